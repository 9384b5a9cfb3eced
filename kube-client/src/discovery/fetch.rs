//! Reads the selected groups, from aggregated documents if the server has them, otherwise from unaggregated documents.

use serde_json::Value;

use super::{
    GroupSelection, aggregated,
    apigroup::ApiGroup,
    failure::GroupFailure,
    json::{elements, is_path_segment, string_or_empty},
    unaggregated::{self, GroupEntry},
};
use crate::{
    client::Client,
    core::discovery::v2::ACCEPT_AGGREGATED_DISCOVERY_V2,
    error::{DiscoveryError, Error, Result},
};

/// The groups and failures of a server, or of one of its root documents `/api` and `/apis`.
#[derive(Debug, Default)]
pub(super) struct DiscoveredGroups {
    pub(super) groups: Vec<ApiGroup>,
    pub(super) failures: Vec<GroupFailure>,
}

/// Reads the selected groups. Returns the core group first, and then the others in the order of the server.
pub(super) async fn fetch_selected(client: &Client, wanted: &GroupSelection) -> Result<DiscoveredGroups> {
    let core = async {
        if wanted.contains(ApiGroup::CORE_GROUP) {
            fetch_groups_below(client, "/api", wanted).await
        } else {
            Ok(DiscoveredGroups::default())
        }
    };
    let named = async {
        if wanted.has_named_group() {
            fetch_groups_below(client, "/apis", wanted).await
        } else {
            Ok(DiscoveredGroups::default())
        }
    };
    let (mut found, named) = futures::try_join!(core, named)?;
    for group in named.groups {
        if found.groups.iter().any(|known| known.name() == group.name()) {
            found.failures.push(GroupFailure::invalid_document(
                group.name(),
                None,
                "the group is listed twice",
            ));
        } else {
            found.groups.push(group);
        }
    }
    found.failures.extend(named.failures);
    Ok(found)
}

/// Reads the groups below `path`, which is `/api` or `/apis`.
async fn fetch_groups_below(
    client: &Client,
    path: &str,
    wanted: &GroupSelection,
) -> Result<DiscoveredGroups> {
    let document: Value = match client.request_document(path, ACCEPT_AGGREGATED_DISCOVERY_V2).await {
        // Some proxies and aggregated API servers respond with 406 to media types with parameters.
        Err(error) if error.status().is_some_and(|status| status.code == 406) => {
            client.request_document(path, "application/json").await?
        }
        // A server may have only one of the root documents.
        Err(error) if error.is_not_found() => return Ok(DiscoveredGroups::default()),
        document => document?,
    };
    let core = path == "/api";
    let mut found = DiscoveredGroups::default();
    match (string_or_empty(&document["kind"]), core) {
        ("APIGroupDiscoveryList", _) => {
            for item in entries(&document, "items", path)? {
                let name = string_or_empty(&item["metadata"]["name"]);
                if name.is_empty() != core || !core && !is_path_segment(name) {
                    let what = format_args!("a group has the name {name:?}");
                    found.failures.push(GroupFailure::invalid_document(path, None, what));
                } else if wanted.contains(name) {
                    found.groups.extend(aggregated::parse_group(name, item, &mut found.failures));
                }
            }
        }
        ("APIVersions", true) => {
            let listed = GroupEntry::from_api_versions(&document, &mut found.failures);
            found.groups =
                unaggregated::fetch_groups(client, listed.into_iter().collect(), &mut found.failures).await;
        }
        ("APIGroupList", false) => {
            let mut listed = Vec::new();
            for entry in entries(&document, "groups", path)? {
                if entry["name"].as_str().is_none_or(|name| wanted.contains(name)) {
                    listed.extend(GroupEntry::from_api_group(entry, &mut found.failures));
                }
            }
            found.groups = unaggregated::fetch_groups(client, listed, &mut found.failures).await;
        }
        (kind, _) => return Err(invalid_document(path, format!("it has the kind {kind:?}"))),
    }
    Ok(found)
}

/// The elements of the array `field` of a document.
fn entries<'a>(document: &'a Value, field: &str, path: &str) -> Result<&'a [Value]> {
    elements(&document[field]).map_err(|what| invalid_document(path, format!("`{field}` {what}")))
}

/// The error for a root document that cannot be used.
fn invalid_document(path: &str, what: String) -> Error {
    DiscoveryError::InvalidDocument { document: path.to_owned(), what }.into()
}
