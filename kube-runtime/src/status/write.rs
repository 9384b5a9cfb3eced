//! `write_status`: writes the status of an object if the status has changed.

use kube_client::api::{Patch, PatchParams};
use kube_client::core::HasStatus;
use kube_client::{Api, Error, Resource, Result};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

/// Writes the status of an object, and returns the object of the response. Returns `None`, and sends nothing, if
/// `status` is equal to the status in `object`: such a write would cost a request and change nothing.
///
/// The request is a merge patch of the subresource `status`, and contains only the changed fields. A list, such as
/// `conditions`, is replaced as a whole. An outdated status in `object` does no lasting harm: the controller reconciles
/// the object again when its cache has received the later status.
///
/// The function needs the permission `patch` for the subresource.
///
/// ```
/// use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition, NamespaceStatus};
/// use kube_client::core::{ApiResource, NotUsed, Object};
/// use kube_client::{Api, Client};
/// use kube_runtime::status::write_status;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let kind = ApiResource::erase::<Namespace>(&());
/// let namespaces = Api::<Object<NotUsed, NamespaceStatus>>::all_with(client, &kind);
/// let namespace = namespaces.get("default").await?;
/// let mut status = namespace.status.clone().unwrap_or_default();
/// assert!(write_status(&namespaces, &namespace, &status).await?.is_none());
/// let checked = NamespaceCondition { type_: "Checked".into(), status: "True".into(), ..Default::default() };
/// status.conditions = Some(vec![checked]);
/// let written = write_status(&namespaces, &namespace, &status).await?;
/// assert!(written.is_some_and(|namespace| namespace.status == Some(status)));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// The errors of [`Api::patch_status`]; [`Error::Request`] if the status cannot be encoded, or the object has no name.
///
/// # Cancel safety
///
/// Dropping the future ends the request. The server may already have changed the status; a repeated call is harmless.
pub async fn write_status<K>(api: &Api<K>, object: &K, status: &K::Status) -> Result<Option<K>>
where
    K: Resource + HasStatus + DeserializeOwned + Send + 'static,
    K::Status: Serialize,
{
    let name = object.meta().name.as_deref().unwrap_or_default();
    let invalid = |problem: &str| Error::Request {
        what: format!("cannot write the status of {}/{name}: {problem}", api.resource_url()),
        source: None,
    };
    if name.is_empty() {
        return Err(invalid("the object has no name"));
    }
    let encode = |status: Option<&K::Status>| serde_json::to_value(status);
    let (before, after) = match (encode(object.status()), encode(Some(status))) {
        (Ok(before), Ok(after)) => (before, after),
        (Err(error), _) | (_, Err(error)) => return Err(invalid(&error.to_string())),
    };
    let Some(patch) = merge_patch(&before, &after) else { return Ok(None) };
    let patch = Patch::Merge(json!({"status": patch}));
    api.patch_status(name, &PatchParams::default(), &patch).await.map(Some)
}

/// The merge patch (RFC 7396) that changes `before` to `after`; `None` if they are equal. A null is equal to a field
/// that does not exist.
fn merge_patch(before: &Value, after: &Value) -> Option<Value> {
    let none = Map::new();
    let (before, after) = match (before, after) {
        (Value::Object(before), Value::Object(after)) => (before, after),
        // The last arm handles an empty `after`: the patch `{}` creates the empty object.
        (Value::Null, Value::Object(after)) if !after.is_empty() => (&none, after),
        (before, after) => return (before != after).then(|| after.clone()),
    };
    let mut patch = Map::new();
    for (field, value) in after {
        if let Some(change) = merge_patch(before.get(field).unwrap_or(&Value::Null), value) {
            patch.insert(field.clone(), change);
        }
    }
    for field in before.keys().filter(|field| !after.contains_key(*field)) {
        patch.insert(field.clone(), Value::Null);
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_merge_patch(before: &Value, after: &Value, expected: &Value) {
        assert_eq!(merge_patch(before, after).unwrap_or_default(), *expected);
    }

    #[test]
    fn a_patch_contains_only_the_changed_fields() {
        let status = json!({"phase": "Ready", "conditions": [{"type": "a"}], "nodes": {"x": 1, "y": 2}});
        check_merge_patch(&status, &status, &Value::Null);
        check_merge_patch(&Value::Null, &json!({}), &json!({}));
        check_merge_patch(&json!({}), &json!({"phase": null}), &Value::Null);
        check_merge_patch(&Value::Null, &json!({"phase": "Ready"}), &json!({"phase": "Ready"}));
        check_merge_patch(
            &status,
            &json!({"phase": "Ready", "nodes": {"x": 1}}),
            &json!({"conditions": null, "nodes": {"y": null}}),
        );
        check_merge_patch(
            &json!({"conditions": [1, 2], "nodes": {}}),
            &json!({"conditions": [1], "nodes": {"x": 1}}),
            &json!({"conditions": [1], "nodes": {"x": 1}}),
        );
        check_merge_patch(
            &json!({"phase": "Ready"}),
            &json!({"phase": {"name": "Ready"}}),
            &json!({"phase": {"name": "Ready"}}),
        );
    }
}
