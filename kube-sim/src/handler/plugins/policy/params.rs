//! The parameters of a policy: the objects that the `paramRef` of its bindings selects.

use std::sync::Arc;

use serde_json::Value;

use crate::handler::convert;
use crate::registry::Resource;
use crate::shared_state::Inner;
use crate::store::object::{StoredObject, key};
use crate::store::selector::LabelSelector;

/// The resource of a `paramKind`; `None` if the policy has no parameters.
///
/// # Errors
/// The text for a kind that is not served.
pub(super) fn resource(inner: &Inner, kind: &Value) -> Result<Option<Arc<Resource>>, String> {
    if kind.is_null() {
        return Ok(None);
    }
    let text = |field: &str| kind[field].as_str().unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let found = inner.lock().registry.find_kind(api_version, kind);
    let unknown = || format!("failed to find resource referenced by paramKind: '{api_version}, Kind={kind}'");
    found.map(Some).ok_or_else(unknown)
}

/// The parameters that a binding selects. The policy is evaluated once for each parameter. If the parameter is `None`, the
/// variable `params` is null in the expressions.
///
/// # Errors
/// The text for an invalid `paramRef`, or for a `paramRef` that selects no object while `parameterNotFoundAction` is
/// `Deny`.
pub(super) fn collect(
    inner: &Inner,
    resource: Option<&Arc<Resource>>,
    binding: &Value,
    namespace: &str,
) -> Result<Vec<Option<Value>>, String> {
    let reference = &binding["spec"]["paramRef"];
    let Some(resource) = resource.filter(|_| !reference.is_null()) else { return Ok(vec![None]) };
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    let namespace = match (resource.namespaced, text("namespace")) {
        (true, "") if namespace.is_empty() => {
            return Err(
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
                    .to_owned(),
            );
        }
        (true, "") => namespace,
        (false, own) if !own.is_empty() => {
            return Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned());
        }
        (_, own) => own,
    };
    let found: Vec<Arc<StoredObject>> = match text("name") {
        "" => {
            let selector = LabelSelector::from_json(&reference["selector"]);
            let state = inner.lock();
            let all = state.objects(&resource.storage, namespace);
            all.into_iter().filter(|object| selector.matches(&object.labels)).collect()
        }
        name => inner.lock().get(&resource.storage, &key(namespace, name)).cloned().into_iter().collect(),
    };
    if found.is_empty() && text("parameterNotFoundAction") == "Deny" {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned());
    }
    let shown = |object| convert::from_stored(resource, &convert::to_read_form(resource, object));
    Ok(found.into_iter().map(|object| Some(shown(object))).collect())
}
