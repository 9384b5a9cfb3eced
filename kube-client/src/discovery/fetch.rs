//! Reads the selected groups, from aggregated documents if the server has them, otherwise from unaggregated documents.

use serde_json::Value;

use super::{
    Groups, aggregated,
    apigroup::ApiGroup,
    failure::GroupFailure,
    legacy::{self, Listed},
    names::{array, is_segment, text},
};
use crate::{
    client::Client,
    core::discovery::v2::ACCEPT_AGGREGATED_DISCOVERY_V2,
    error::{DiscoveryError, Error, Result},
};

/// The groups and failures of a server, or of one of its root documents `/api` and `/apis`.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) groups: Vec<ApiGroup>,
    pub(super) failures: Vec<GroupFailure>,
}

/// Reads the selected groups: the core group first, then the others in the order of the server.
pub(super) async fn all(client: &Client, wanted: &Groups) -> Result<Found> {
    let core = async {
        if wanted.contains(ApiGroup::CORE_GROUP) {
            root(client, "/api", wanted).await
        } else {
            Ok(Found::default())
        }
    };
    let named = async {
        if wanted.has_named_group() { root(client, "/apis", wanted).await } else { Ok(Found::default()) }
    };
    let (mut found, named) = futures::try_join!(core, named)?;
    for group in named.groups {
        if found.groups.iter().any(|known| known.name() == group.name()) {
            found.failures.push(GroupFailure::invalid(group.name(), None, "the group is listed twice"));
        } else {
            found.groups.push(group);
        }
    }
    found.failures.extend(named.failures);
    Ok(found)
}

/// Reads the groups below `path`, which is `/api` or `/apis`.
async fn root(client: &Client, path: &str, wanted: &Groups) -> Result<Found> {
    let document: Value = match client.request_document(path, ACCEPT_AGGREGATED_DISCOVERY_V2).await {
        // From a proxy or an aggregated API server that does not support the parameters of the media types.
        Err(error) if error.status().is_some_and(|status| status.code == 406) => {
            client.request_document(path, "application/json").await?
        }
        // A server may have only one of the root documents.
        Err(error) if error.is_not_found() => return Ok(Found::default()),
        document => document?,
    };
    let core = path == "/api";
    let mut found = Found::default();
    match (text(&document["kind"]), core) {
        ("APIGroupDiscoveryList", _) => {
            for item in entries(&document, "items", path)? {
                let name = text(&item["metadata"]["name"]);
                if name.is_empty() != core || !core && !is_segment(name) {
                    let what = format_args!("a group has the name {name:?}");
                    found.failures.push(GroupFailure::invalid(path, None, what));
                } else if wanted.contains(name) {
                    found.groups.extend(aggregated::group(name, item, &mut found.failures));
                }
            }
        }
        ("APIVersions", true) => {
            let listed = Listed::core(&document, &mut found.failures);
            found.groups = legacy::groups(client, listed.into_iter().collect(), &mut found.failures).await;
        }
        ("APIGroupList", false) => {
            let mut listed = Vec::new();
            for entry in entries(&document, "groups", path)? {
                if entry["name"].as_str().is_none_or(|name| wanted.contains(name)) {
                    listed.extend(Listed::of(entry, &mut found.failures));
                }
            }
            found.groups = legacy::groups(client, listed, &mut found.failures).await;
        }
        (kind, _) => return Err(invalid(path, format!("it has the kind {kind:?}"))),
    }
    Ok(found)
}

/// The elements of the array `field` of a document.
fn entries<'a>(document: &'a Value, field: &str, path: &str) -> Result<&'a [Value]> {
    array(&document[field]).map_err(|what| invalid(path, format!("`{field}` {what}")))
}

fn invalid(path: &str, what: String) -> Error {
    DiscoveryError::InvalidDocument { document: path.to_owned(), what }.into()
}
