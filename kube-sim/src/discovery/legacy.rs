//! Unaggregated discovery: the documents `APIVersions`, `APIGroupList`, `APIGroup` and `APIResourceList`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::registry::{Group, Registry, Resource};

/// The document of `/api`.
pub(crate) fn core_versions_document() -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443"}],
    })
}

/// The document of `/apis`.
pub(crate) fn group_list_document(registry: &Registry) -> Value {
    let groups: Vec<Value> =
        registry.groups().iter().filter(|g| !g.name.is_empty()).map(group_entry).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// The document of `/apis/GROUP`; `None` if the group is not served.
pub(crate) fn group_document(registry: &Registry, name: &str) -> Option<Value> {
    let group = registry.groups().into_iter().find(|g| g.name == name && !name.is_empty())?;
    let mut document = group_entry(&group);
    document["kind"] = "APIGroup".into();
    document["apiVersion"] = "v1".into();
    Some(document)
}

/// The entry of a group in `APIGroupList`.
fn group_entry(group: &Group) -> Value {
    let version = |v: &String| json!({"groupVersion": format!("{}/{v}", group.name), "version": v});
    json!({
        "name": group.name,
        "versions": group.versions.iter().map(version).collect::<Vec<_>>(),
        "preferredVersion": version(&group.preferred),
    })
}

/// The hash of the group, version and kind in which the objects of a resource are stored; `None` for a built-in
/// resource that is not stored.
fn storage_version_hash(resource: &Resource) -> Option<String> {
    if let Some(source) = resource.builtin_resource() {
        return (!source.storage_version_hash.is_empty()).then(|| source.storage_version_hash.to_owned());
    }
    let stored = format!("{}/{}", resource.custom_properties()?.storage_version, resource.kind);
    let digest = ring::digest::digest(&ring::digest::SHA256, stored.as_bytes());
    Some(STANDARD.encode(&digest.as_ref()[..HASH_BYTES]))
}

/// The number of digest bytes in a `storageVersionHash`.
const HASH_BYTES: usize = 8;

/// The document of `/api/v1` or `/apis/GROUP/VERSION`; `None` if no resource of the version is served.
pub(crate) fn resource_list_document(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let resources = registry.resources_of_version(group, version);
    if resources.is_empty() {
        return None;
    }
    let mut entries = Vec::new();
    for r in &resources {
        let mut entry = json!({
            "name": r.plural,
            "singularName": r.singular,
            "namespaced": r.namespaced,
            "kind": r.kind,
            "verbs": r.discovered_verbs(),
        });
        for (key, list) in [("shortNames", &r.short_names), ("categories", &r.categories)] {
            if !list.is_empty() {
                entry[key] = list.clone().into();
            }
        }
        if let Some(hash) = storage_version_hash(r) {
            entry["storageVersionHash"] = hash.into();
        }
        entries.push(entry);
        for s in &r.subresources {
            let mut entry = json!({
                "name": format!("{}/{}", r.plural, s.name),
                "singularName": "",
                "namespaced": r.namespaced,
                "kind": s.kind,
                "verbs": s.verbs,
            });
            if (&s.group, &s.version) != (&r.group, &r.version) {
                entry["group"] = s.group.as_str().into();
                entry["version"] = s.version.as_str().into();
            }
            entries.push(entry);
        }
    }
    let name = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut list = json!({"kind": "APIResourceList", "groupVersion": name, "resources": entries});
    // The API server omits `apiVersion` from the resource list of the core group.
    if !group.is_empty() {
        list["apiVersion"] = "v1".into();
    }
    Some(list)
}
