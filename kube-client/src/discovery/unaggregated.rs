//! Reads the unaggregated documents of discovery: one with the groups, and one for each group version.

use std::collections::HashMap;

use futures::{StreamExt, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroup, APIResource};
use serde_json::Value;

use super::{
    aggregated::response_kind,
    apigroup::{ApiGroup, ServedResource, ServedVersion},
    failure::GroupFailure,
    json::{elements, is_path_segment},
};
use crate::{
    client::Client,
    core::{ApiResource, GroupVersion, GroupVersionKind, discovery::Scope},
    error::{DiscoveryError, Result},
};

/// The maximum number of concurrent requests for documents of group versions.
const MAX_CONCURRENT_REQUESTS: usize = 8;

/// A group and its versions, as an unaggregated document lists them. The resources are in other documents.
#[derive(Debug)]
pub(super) struct GroupEntry {
    pub(super) name: String,
    pub(super) versions: Vec<String>,
    pub(super) preferred: Option<String>,
}

impl GroupEntry {
    /// The core group, from the `versions` of the document at `/api`.
    pub(super) fn from_api_versions(document: &Value, failures: &mut Vec<GroupFailure>) -> Option<Self> {
        let mut versions = Vec::new();
        match elements(&document["versions"]) {
            Err(what) => {
                failures.push(GroupFailure::invalid_document("", None, format_args!("`versions` {what}")));
            }
            Ok(entries) => {
                for entry in entries {
                    match entry.as_str() {
                        Some(version) => versions.push(version.to_owned()),
                        None => failures.push(GroupFailure::invalid_document(
                            "",
                            None,
                            "a version is not a string",
                        )),
                    }
                }
            }
        }
        // The document has no preferred version; clients of Kubernetes use v1.
        Self::with_valid_versions(String::new(), versions, Some("v1".to_owned()), failures)
    }

    /// Reads a group from its entry in the document at `/apis`, or from the document at `/apis/GROUP`.
    pub(super) fn from_api_group(entry: &Value, failures: &mut Vec<GroupFailure>) -> Option<Self> {
        let group = match serde_json::from_value::<APIGroup>(entry.clone()) {
            Ok(group) => group,
            Err(error) => {
                let name = entry["name"].as_str().unwrap_or("an unnamed group");
                failures.push(GroupFailure::invalid_document(
                    name,
                    None,
                    format_args!("does not decode: {error}"),
                ));
                return None;
            }
        };
        let versions = group.versions.into_iter().map(|version| version.version).collect();
        let preferred = group.preferred_version.map(|preferred| preferred.version);
        if !is_path_segment(&group.name) {
            let what = format_args!("a group has the name {:?}", group.name);
            failures.push(GroupFailure::invalid_document("/apis", None, what));
            return None;
        }
        Self::with_valid_versions(group.name, versions, preferred, failures)
    }

    /// Creates an entry without the versions that have unusable names; `None` if the document lists no version.
    fn with_valid_versions(
        name: String,
        mut versions: Vec<String>,
        preferred: Option<String>,
        failures: &mut Vec<GroupFailure>,
    ) -> Option<Self> {
        if versions.is_empty() {
            failures.push(GroupFailure::new(&name, None, DiscoveryError::EmptyApiGroup(name.clone())));
            return None;
        }
        versions.retain(|version| {
            let valid = is_path_segment(version);
            if !valid {
                let what = format_args!("a version has the name {version:?}");
                failures.push(GroupFailure::invalid_document(&name, None, what));
            }
            valid
        });
        Some(Self { name, versions, preferred })
    }
}

/// Reads the documents of all versions, a few at a time. The result has the order of `listed`.
pub(super) async fn fetch_groups(
    client: &Client,
    listed: Vec<GroupEntry>,
    failures: &mut Vec<GroupFailure>,
) -> Vec<ApiGroup> {
    let wanted: Vec<(usize, GroupVersion)> = listed
        .iter()
        .enumerate()
        .flat_map(|(index, group)| {
            group.versions.iter().map(move |version| (index, GroupVersion::gv(&group.name, version)))
        })
        .collect();
    let requests = wanted.into_iter().map(|(index, gv)| {
        let client = client.clone();
        async move {
            let mut problems = Vec::new();
            let data = match fetch_version(&client, &gv, &mut problems).await {
                Ok(data) => Some(data),
                Err(error) => {
                    problems.push(GroupFailure::new(&gv.group, Some(&gv.version), error));
                    None
                }
            };
            (index, data, problems)
        }
    });
    let documents: Vec<_> = stream::iter(requests).buffered(MAX_CONCURRENT_REQUESTS).collect().await;
    let mut read: Vec<Vec<ServedVersion>> = listed.iter().map(|_| Vec::new()).collect();
    for (index, data, problems) in documents {
        failures.extend(problems);
        read[index].extend(data);
    }
    let groups = listed.into_iter().zip(read);
    groups.filter_map(|(group, versions)| ApiGroup::new(group.name, versions, group.preferred)).collect()
}

/// Reads the document of one group version.
pub(super) async fn fetch_version(
    client: &Client,
    gv: &GroupVersion,
    failures: &mut Vec<GroupFailure>,
) -> Result<ServedVersion> {
    let root = if gv.group.is_empty() { "/api" } else { "/apis" };
    let document: Value =
        client.request_document(&format!("{root}/{}", gv.api_version()), "application/json").await?;
    let unusable = |what| DiscoveryError::InvalidDocument { document: gv.api_version(), what };
    // Without this check, another document, such as a `Status`, would count as a version without resources.
    match (document["kind"].as_str(), document.get("resources")) {
        (Some("APIResourceList"), _) | (None, Some(_)) => {}
        (kind, _) => return Err(unusable(format!("it has the kind {:?}", kind.unwrap_or_default())).into()),
    }
    let entries = elements(&document["resources"]).map_err(|what| unusable(format!("`resources` {what}")))?;
    let mut served_resources: Vec<ServedResource> = Vec::new();
    let mut subresources = Vec::new();
    let mut push_failure =
        |what: String| failures.push(GroupFailure::invalid_document(&gv.group, Some(&gv.version), what));
    for entry in entries {
        match serde_json::from_value::<APIResource>(entry.clone()) {
            Err(error) => push_failure(format!("a resource does not decode: {error}")),
            Ok(found) if !found.name.split('/').all(is_path_segment) => {
                push_failure(format!("a resource has the name {:?}", found.name));
            }
            Ok(found) if found.name.contains('/') => subresources.push(found),
            Ok(found) if found.kind.is_empty() => push_failure(format!("{} has no kind", found.name)),
            Ok(found) => served_resources.push(to_served_resource(gv, found)),
        }
    }
    let mut index = HashMap::new();
    for (position, served) in served_resources.iter().enumerate() {
        index.entry(served.resource.plural.clone()).or_insert(position);
    }
    for found in subresources {
        // Skip a subresource whose parent is not in the document.
        let Some((parent, name)) = found.name.split_once('/') else { continue };
        let Some(parent) = index.get(parent).map(|position| &mut served_resources[*position]) else {
            continue;
        };
        let gvk = response_kind(&gv.group, &gv.version, found.group, found.version, found.kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, name);
        let subresource = ServedResource::new(resource, parent.capabilities.scope, found.verbs);
        parent.capabilities.subresources.push((subresource.resource, subresource.capabilities));
    }
    Ok(ServedVersion { version: gv.version.clone(), served_resources })
}

/// Converts an entry of the document to a [`ServedResource`] with the group and version of the document, even if the
/// group and version of the entry differ.
fn to_served_resource(gv: &GroupVersion, found: APIResource) -> ServedResource {
    let gvk = GroupVersionKind::gvk(&gv.group, &gv.version, &found.kind);
    let scope = if found.namespaced { Scope::Namespaced } else { Scope::Cluster };
    let resource = ApiResource::from_gvk_with_plural(&gvk, &found.name);
    let mut served = ServedResource::new(resource, scope, found.verbs);
    served.singular = found.singular_name;
    served.short_names = found.short_names.unwrap_or_default();
    served.categories = found.categories.unwrap_or_default();
    served
}
