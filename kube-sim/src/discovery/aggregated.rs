//! Aggregated discovery: all groups, versions and resources in one document.

use serde_json::{Value, json};

use crate::registry::{Registry, Resource};

/// The document of `/api` if `core` is true, otherwise the document of `/apis`. If `beta` is true, the document has the
/// version `v2beta1` instead of `v2`.
pub(crate) fn document(registry: &Registry, core: bool, beta: bool) -> Value {
    let items: Vec<Value> = registry
        .groups()
        .iter()
        .filter(|g| g.name.is_empty() == core)
        .map(|group| {
            let versions: Vec<Value> = group
                .versions
                .iter()
                .map(|version| {
                    let resources: Vec<Value> = registry
                        .resources_of_version(&group.name, version)
                        .iter()
                        .map(|r| resource_entry(r))
                        .collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let metadata = if core { json!({}) } else { json!({"name": group.name}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": if beta { "apidiscovery.k8s.io/v2beta1" } else { "apidiscovery.k8s.io/v2" },
        "metadata": {},
        "items": items,
    })
}

/// The `responseKind` of the resource `r` or of a subresource of `r`. As in the API server, `responseKind` has an empty
/// group and version if `r` is built in and `group` and `version` are those of `r`.
fn response_kind(r: &Resource, group: &str, version: &str, kind: &str) -> Value {
    let own = r.builtin_resource().is_some() && (group, version) == (r.group.as_str(), r.version.as_str());
    let (group, version) = if own { ("", "") } else { (group, version) };
    json!({"group": group, "version": version, "kind": kind})
}

/// The entry of a resource in the document.
fn resource_entry(r: &Resource) -> Value {
    let mut entry = json!({
        "resource": r.plural,
        "responseKind": response_kind(r, &r.group, &r.version, &r.kind),
        "scope": if r.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": r.singular,
        "verbs": r.discovered_verbs(),
    });
    for (key, list) in [("shortNames", &r.short_names), ("categories", &r.categories)] {
        if !list.is_empty() {
            entry[key] = list.clone().into();
        }
    }
    let subresources: Vec<Value> = r
        .subresources
        .iter()
        .map(|s| {
            json!({
                "subresource": s.name,
                "responseKind": response_kind(r, &s.group, &s.version, &s.kind),
                "verbs": s.verbs,
            })
        })
        .collect();
    if !subresources.is_empty() {
        entry["subresources"] = subresources.into();
    }
    entry
}
