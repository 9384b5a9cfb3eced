//! The admission plugin NamespaceLifecycle: refuses creates in a missing or terminating namespace, and
//! deletions of `default`, `kube-system` and `kube-public`.
//!
//! Admission runs while the lock of the state is free. It must not change the storage.

use super::target::Target;
use crate::registry::Resource;
use crate::status::SimError;
use crate::store::object::Stored;

/// The name of the table that contains the namespaces.
pub(crate) const NAMESPACES: &str = "/namespaces";

/// Checks that the namespace `wanted` of a new object exists and is not terminating. `namespace` is the stored
/// `Namespace`, or `None` if it does not exist.
pub(crate) fn check_create(
    namespace: Option<&Stored>,
    resource: &Resource,
    wanted: &str,
    name: &str,
) -> Result<(), SimError> {
    match namespace {
        None => Err(SimError::not_found("", "namespaces", wanted)),
        Some(found) if found.is_terminating => {
            let why =
                format!("unable to create new content in namespace {wanted} because it is being terminated");
            Err(SimError::forbidden(&resource.group, &resource.plural, name, &why).with_causes(vec![
                serde_json::json!({
                    "reason": "NamespaceTerminating",
                    "message": format!("namespace {wanted} is being terminated"),
                    "field": "metadata.namespace",
                }),
            ]))
        }
        Some(_) => Ok(()),
    }
}

/// Refuses to delete the namespaces that every cluster needs.
pub(crate) fn check_delete(target: &Target) -> Result<(), SimError> {
    let is_namespace = &*target.resource.storage == NAMESPACES;
    if is_namespace && matches!(target.name.as_str(), "default" | "kube-system" | "kube-public") {
        return Err(SimError::forbidden("", "namespaces", &target.name, "this namespace may not be deleted"));
    }
    Ok(())
}
