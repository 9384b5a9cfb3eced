//! The resources of the resource metrics API. In a cluster, the API server does not serve these resources itself: it
//! forwards the requests to a component such as metrics-server.

use std::sync::Arc;

use serde_json::json;

use super::crd::resources_of;
use super::resource::Resource;

/// The group of the resource metrics API.
pub(crate) const METRICS_GROUP: &str = "metrics.k8s.io";

/// The read-only resources `nodes` and `pods` of the resource metrics API.
pub(super) fn resources() -> Vec<Resource> {
    let column = |name: &str, path: &str| json!({"name": name, "type": "string", "jsonPath": path});
    let columns =
        [column("cpu", ".usage.cpu"), column("memory", ".usage.memory"), column("Window", ".window")];
    let kinds = [("nodes", "NodeMetrics", "Cluster"), ("pods", "PodMetrics", "Namespaced")];
    let definitions = kinds.map(|(plural, kind, scope)| {
        json!({"spec": {
            "group": METRICS_GROUP,
            "scope": scope,
            "names": {"plural": plural, "singular": "", "kind": kind, "listKind": format!("{kind}List")},
            "versions": [{
                "name": "v1beta1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}},
                "additionalPrinterColumns": columns,
            }],
        }})
    });
    let mut resources: Vec<_> =
        definitions.iter().flat_map(|definition| resources_of(definition, &[], &Arc::default())).collect();
    for resource in &mut resources {
        resource.verbs = vec!["get".into(), "list".into()];
        resource.singular = String::new();
    }
    resources
}
