//! `extract_applied`: the applied fields of an object as an apply configuration (server-side apply, KEP-555).

use serde::{Serialize, de::DeserializeOwned};

use super::managed_fields::applied_fields;

/// The fields that the field manager `manager` has applied to an object, as the apply configuration `A` of the object's
/// kind; `None` if the manager has applied nothing. `#[derive(ApplyConfiguration)]` of kube-derive generates apply
/// configurations.
///
/// The result is a complete input for the next apply of this manager. Change some of its fields, and apply it: the manager
/// still owns the fields that you did not change. For `object` and `subresource`, see [`applied_fields`].
///
/// # Errors
///
/// If `object` does not serialize, or the fields do not decode as `A`.
///
/// ```
/// use kube_core::extract_applied;
/// use kube_derive::{ApplyConfiguration, CustomResource};
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
/// use serde_json::json;
///
/// #[derive(CustomResource, ApplyConfiguration, Clone, Debug, Serialize, Deserialize, JsonSchema)]
/// #[kube(group = "example.com", version = "v1", kind = "Site", namespaced, apply)]
/// # #[kube(crates(kube_core = "kube_core"))]
/// # #[apply(crates(kube_core = "kube_core"))]
/// struct SiteSpec {
///     title: String,
///     replicas: i32,
/// }
///
/// let site: Site = serde_json::from_value(json!({
///     "apiVersion": "example.com/v1", "kind": "Site",
///     "metadata": {"name": "a", "managedFields": [
///         {"manager": "scaler", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
///     ]},
///     "spec": {"title": "of another manager", "replicas": 3},
/// }))?;
/// let mut applied: SiteApply = extract_applied(&site, "scaler", None)?.unwrap_or_else(|| SiteApply::new("a"));
/// applied.spec.get_or_insert_default().replicas = Some(4);
/// let expected = json!({
///     "apiVersion": "example.com/v1", "kind": "Site", "metadata": {"name": "a"}, "spec": {"replicas": 4},
/// });
/// assert_eq!(serde_json::to_value(&applied)?, expected);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn extract_applied<A: DeserializeOwned>(
    object: &impl Serialize,
    manager: &str,
    subresource: Option<&str>,
) -> Result<Option<A>, serde_json::Error> {
    let object = serde_json::to_value(object)?;
    applied_fields(&object, manager, subresource).map(serde_json::from_value).transpose()
}
