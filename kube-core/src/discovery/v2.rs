//! The documents of aggregated discovery, `apidiscovery.k8s.io/v2` (KEP-3352).
//!
//! Every field is optional. A list may be `null`, which decodes to an empty list. `k8s-openapi` does not contain the types
//! of this module.

use crate::{ListMeta, ObjectMeta, null::null_as_default};
use serde::{Deserialize, Serialize};

/// The `Accept` header of a request for aggregated discovery. The server returns the first form that it supports: v2,
/// v2beta1 (Kubernetes 1.26 to 1.29), or documents that are not aggregated.
pub const ACCEPT_AGGREGATED_DISCOVERY_V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// The groups below `/api` or `/apis`, in the order of the server's priority.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct APIGroupDiscoveryList {
    /// The metadata of the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ListMeta>,
    /// The groups.
    #[serde(default, deserialize_with = "null_as_default")]
    pub items: Vec<APIGroupDiscovery>,
}

/// A group and its versions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct APIGroupDiscovery {
    /// The metadata. It contains only the name of the group; the core group has no name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ObjectMeta>,
    /// The versions; the preferred one is first.
    #[serde(default, deserialize_with = "null_as_default")]
    pub versions: Vec<APIVersionDiscovery>,
}

/// A version of a group and its resources.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct APIVersionDiscovery {
    /// The name of the version, such as `v1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The resources.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<APIResourceDiscovery>,
    /// `Current`, or `Stale` if the aggregated API server of the group is not available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness: Option<String>,
}

/// A resource and its subresources.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct APIResourceDiscovery {
    /// The plural name, as used in URLs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// The kind of the objects. If its group and version are empty, the group and version of the resource apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_kind: Option<GroupVersionKind>,
    /// `Namespaced` or `Cluster`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The singular name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub singular_resource: Option<String>,
    /// The verbs.
    #[serde(default, deserialize_with = "null_as_default")]
    pub verbs: Vec<String>,
    /// The short names, such as `po`.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub short_names: Vec<String>,
    /// The categories, such as `all`.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// The subresources.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub subresources: Vec<APISubresourceDiscovery>,
}

/// A subresource.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct APISubresourceDiscovery {
    /// The last segment of the URL, such as `status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subresource: Option<String>,
    /// The kind that the subresource returns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_kind: Option<GroupVersionKind>,
    /// The kinds that the subresource accepts.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub accepted_types: Vec<GroupVersionKind>,
    /// The verbs.
    #[serde(default, deserialize_with = "null_as_default")]
    pub verbs: Vec<String>,
}

/// The group, version and kind of an object in a discovery document. The server may omit each of these fields. In
/// `kube_core::GroupVersionKind`, the three fields are always set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupVersionKind {
    /// The group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The kind, in CamelCase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn null_and_absent_lists_decode_as_empty_lists() {
        let list: APIGroupDiscoveryList = serde_json::from_value(json!({
            "items": [
                {"versions": null},
                {"versions": [{"version": "v1", "resources": null}, {"resources": [
                    {"resource": "pods", "verbs": null, "shortNames": null, "categories": null, "subresources": [
                        {"subresource": "status", "acceptedTypes": null, "verbs": null},
                    ]},
                ]}]},
            ],
        }))
        .unwrap();
        assert_eq!(
            list.items[1].versions[1].resources[0].subresources[0].subresource.as_deref(),
            Some("status")
        );
        assert_eq!(
            serde_json::from_value::<APIGroupDiscoveryList>(json!({"items": null})).unwrap(),
            APIGroupDiscoveryList::default()
        );
        let written = serde_json::to_value(&list).unwrap();
        assert_eq!(serde_json::from_value::<APIGroupDiscoveryList>(written).unwrap(), list);
    }
}
