//! Reads the documents of aggregated discovery.
//!
//! This module decodes each entry separately: a malformed entry becomes a [`GroupFailure`], and the other entries remain
//! usable.

use serde_json::Value;

use super::{
    apigroup::{ApiGroup, ServedResource, ServedVersion},
    failure::{GroupFailure, display_name},
    json::{elements, is_path_segment, string_or_empty},
};
use crate::{
    core::{
        ApiResource, GroupVersionKind,
        discovery::{
            Scope,
            v2::{APIResourceDiscovery, APISubresourceDiscovery, GroupVersionKind as ResponseKind},
        },
    },
    error::DiscoveryError,
};

/// Reads a group from `item`, the group's entry in a document; `None` if no version of the group can be used.
pub(super) fn parse_group(group: &str, item: &Value, failures: &mut Vec<GroupFailure>) -> Option<ApiGroup> {
    let versions = match elements(&item["versions"]) {
        Ok([]) => {
            failures.push(GroupFailure::new(group, None, DiscoveryError::EmptyApiGroup(group.to_owned())));
            return None;
        }
        Ok(versions) => versions,
        Err(what) => {
            failures.push(GroupFailure::invalid_document(group, None, format_args!("`versions` {what}")));
            return None;
        }
    };
    let mut read = Vec::new();
    for entry in versions {
        read.extend(parse_version(group, entry, failures));
    }
    // The server sorts the versions by preference, so the first usable version is preferred. A stale version is unusable.
    let preferred = read.first().map(|data| data.version.clone());
    ApiGroup::new(group.to_owned(), read, preferred)
}

/// Reads a version of a group; `None` if the version cannot be used.
fn parse_version(group: &str, entry: &Value, failures: &mut Vec<GroupFailure>) -> Option<ServedVersion> {
    let version = string_or_empty(&entry["version"]);
    if !is_path_segment(version) {
        failures.push(GroupFailure::invalid_document(
            group,
            None,
            format_args!("a version has the name {version:?}"),
        ));
        return None;
    }
    if string_or_empty(&entry["freshness"]) == "Stale" {
        let stale = DiscoveryError::StaleGroupVersion(display_name(group, Some(version)));
        failures.push(GroupFailure::new(group, Some(version), stale));
        return None;
    }
    let mut push_failure =
        |what: String| failures.push(GroupFailure::invalid_document(group, Some(version), what));
    let resources = match elements(&entry["resources"]) {
        Ok(resources) => resources,
        Err(what) => {
            push_failure(format!("`resources` {what}"));
            return None;
        }
    };
    let mut served_resources: Vec<ServedResource> = Vec::new();
    for resource in resources {
        match parse_resource(group, version, resource, &mut push_failure) {
            Ok(Some(served)) => served_resources.push(served),
            Ok(None) => {}
            Err(what) => push_failure(what),
        }
    }
    Some(ServedVersion { version: version.to_owned(), served_resources })
}

/// Reads a resource. Returns `None` for a resource that exists only as the parent of its subresources; such a resource
/// has no kind.
fn parse_resource(
    group: &str,
    version: &str,
    entry: &Value,
    push_failure: &mut impl FnMut(String),
) -> Result<Option<ServedResource>, String> {
    let mut entry = entry.clone();
    let subresources = entry.as_object_mut().and_then(|fields| fields.remove("subresources"));
    let found: APIResourceDiscovery =
        serde_json::from_value(entry).map_err(|error| format!("a resource does not decode: {error}"))?;
    let plural = found.resource.unwrap_or_default();
    if !is_path_segment(&plural) {
        return Err(format!("a resource has the name {plural:?}"));
    }
    let kind = found.response_kind.and_then(|response| response.kind).unwrap_or_default();
    if kind.is_empty() {
        return if found.verbs.is_empty() { Ok(None) } else { Err(format!("{plural} has no kind")) };
    }
    let scope = match found.scope.as_deref() {
        Some("Namespaced") => Scope::Namespaced,
        Some("Cluster") => Scope::Cluster,
        other => return Err(format!("{plural} has the scope {:?}", other.unwrap_or_default())),
    };
    let gvk = GroupVersionKind::gvk(group, version, &kind);
    let mut served =
        ServedResource::new(ApiResource::from_gvk_with_plural(&gvk, &plural), scope, found.verbs);
    served.singular = found.singular_resource.unwrap_or_default();
    served.short_names = found.short_names;
    served.categories = found.categories;
    match elements(subresources.as_ref().unwrap_or(&Value::Null)) {
        Ok(entries) => {
            for entry in entries {
                match parse_subresource(group, version, scope, entry) {
                    Ok(ServedResource { resource, capabilities, .. }) => {
                        served.capabilities.subresources.push((resource, capabilities));
                    }
                    Err(what) => push_failure(format!("{plural}: {what}")),
                }
            }
        }
        Err(what) => push_failure(format!("{plural}: `subresources` {what}")),
    }
    Ok(Some(served))
}

fn parse_subresource(
    group: &str,
    version: &str,
    scope: Scope,
    entry: &Value,
) -> Result<ServedResource, String> {
    let found: APISubresourceDiscovery = serde_json::from_value(entry.clone())
        .map_err(|error| format!("a subresource does not decode: {error}"))?;
    let ResponseKind { group: own_group, version: own_version, kind } =
        found.response_kind.unwrap_or_default();
    let gvk = response_kind(group, version, own_group, own_version, kind.unwrap_or_default());
    // The name may contain slashes: `proxy/metrics`.
    let name = found.subresource.filter(|name| name.split('/').all(is_path_segment));
    let name = name.ok_or("a subresource has no usable name")?;
    Ok(ServedResource::new(ApiResource::from_gvk_with_plural(&gvk, &name), scope, found.verbs))
}

/// The kind of a subresource. `own_group` and `own_version` are from the entry of the subresource. If the entry has no
/// version, the kind has `group` and `version`, those of the document. If the entry has a version but no group, the kind
/// is in the core group.
pub(super) fn response_kind(
    group: &str,
    version: &str,
    own_group: Option<String>,
    own_version: Option<String>,
    kind: String,
) -> GroupVersionKind {
    match own_version.filter(|version| !version.is_empty()) {
        Some(version) => GroupVersionKind { group: own_group.unwrap_or_default(), version, kind },
        None => GroupVersionKind { group: group.to_owned(), version: version.to_owned(), kind },
    }
}
