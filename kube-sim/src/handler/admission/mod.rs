//! The built-in admission plugins. The plugins for webhooks and policies are in `handler::plugins`, and the plugin
//! ResourceQuota is in `handler::quota`.
//!
//! [`mutate`] runs before `prepare_for_create` and `prepare_for_update`, and [`validate`] runs before the object is
//! committed. Both call the plugins in the order of the API server. The plugins must not change the stored objects.

mod certificates;
mod classes;
mod limit_ranger;
mod nodes;
mod pod_resize;
mod pod_security;
mod priority;
mod runtime_class;
mod signers;
mod tolerations;
mod volumes;

use serde_json::Value;

use super::service_account;
use crate::admission_plugin::AdmissionPlugin;
use crate::registry::Resource;
use crate::status::SimError;
use crate::store::State;
use crate::store::object::StoredObject;
use crate::strategy::is_system_class;
use crate::user::User;

pub(crate) use self::nodes::label_pod;
pub(crate) use self::pod_security::existing_pods;
pub(crate) use self::signers::signing_error;

/// The name of the table that contains the namespaces.
pub(crate) const NAMESPACES: &str = "/namespaces";

/// A create or an update that the plugins examine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) subresource: &'a str,
    pub(crate) namespace: &'a str,
    /// The stored object; `None` for a create.
    pub(crate) old: Option<&'a Value>,
    /// The sender of the request. `None` if the sender has all permissions: RBAC is disabled, or the sender
    /// is a controller of the simulation.
    pub(crate) user: Option<&'a User>,
}

impl Write<'_> {
    /// The error 403 for `object`. `why` states the reason why a plugin refuses the object.
    fn forbidden(&self, object: &Value, why: &str) -> SimError {
        let mut names =
            ["name", "generateName"].into_iter().filter_map(|field| object["metadata"][field].as_str());
        let name = names.find(|name| !name.is_empty()).unwrap_or("Unknown");
        SimError::forbidden(&self.resource.group, &self.resource.plural, name, why)
    }

    /// Whether the write creates or changes an object of one of the resources. False for a write to a subresource.
    fn is_to_any(&self, resources: &[(&str, &str)]) -> bool {
        self.subresource.is_empty()
            && resources
                .iter()
                .any(|(group, plural)| self.resource.plural == *plural && self.resource.group == *group)
    }

    /// Whether the write creates an object of one of the resources.
    fn creates(&self, resources: &[(&str, &str)]) -> bool {
        self.old.is_none() && self.is_to_any(resources)
    }

    /// Whether the write changes this subresource.
    fn is_to_subresource(&self, group: &str, plural: &str, subresource: &str) -> bool {
        self.subresource == subresource && self.resource.plural == plural && self.resource.group == group
    }

    /// Whether the write is to the resource `pods` or to one of its subresources.
    fn is_to_pods(&self) -> bool {
        self.resource.plural == "pods" && self.resource.group.is_empty()
    }
}

/// Whether a plugin may change the object of a write.
type Selects = fn(&Write<'_>) -> bool;

/// Sets fields of an object, or refuses the write.
type Mutate = fn(&mut State, &Write<'_>, &mut Value) -> Result<(), SimError>;

/// The mutating plugins in their order.
const MUTATING: [(AdmissionPlugin, Selects, Mutate); 10] = [
    (AdmissionPlugin::LimitRanger, limit_ranger::sets_defaults, |state, write, pod| {
        limit_ranger::set_defaults(state, write, pod);
        Ok(())
    }),
    (
        AdmissionPlugin::ServiceAccount,
        |write| write.creates(PODS),
        |state, write, pod| service_account::admit(state, write.namespace, pod),
    ),
    (
        AdmissionPlugin::TaintNodesByCondition,
        |write| write.creates(&[("", "nodes")]),
        |_, _, node| {
            nodes::add_not_ready_taint(node);
            Ok(())
        },
    ),
    (AdmissionPlugin::Priority, |write| write.is_to_any(PODS), priority::resolve),
    (
        AdmissionPlugin::DefaultTolerationSeconds,
        |write| write.is_to_any(PODS),
        |_, _, pod| {
            tolerations::add_defaults(pod);
            Ok(())
        },
    ),
    (
        AdmissionPlugin::DefaultStorageClass,
        |write| write.creates(&[("", "persistentvolumeclaims")]),
        |state, _, claim| {
            classes::set_storage_class(state, claim);
            Ok(())
        },
    ),
    (
        AdmissionPlugin::StorageObjectInUseProtection,
        |write| write.creates(volumes::PROTECTED_RESOURCES),
        |_, write, object| {
            volumes::protect(write, object);
            Ok(())
        },
    ),
    (
        AdmissionPlugin::RuntimeClass,
        |write| write.creates(PODS),
        |state, write, pod| runtime_class::apply(state, write, pod),
    ),
    (
        AdmissionPlugin::DefaultIngressClass,
        |write| write.creates(&[("networking.k8s.io", "ingresses")]),
        |state, _, ingress| {
            classes::set_ingress_class(state, ingress);
            Ok(())
        },
    ),
    (
        AdmissionPlugin::PodTopologyLabels,
        |write| write.creates(PODS),
        |state, _, pod| {
            nodes::label_pod(state, pod);
            Ok(())
        },
    ),
];

/// The check of a validating plugin. The function returns an error if the plugin refuses the object. It may
/// add the texts of `Warning` headers to the vector.
type Validate = fn(&State, &Write<'_>, &Value, &mut Vec<String>) -> Result<(), SimError>;

/// The validating plugins in their order.
const VALIDATING: [(AdmissionPlugin, Validate); 11] = [
    (AdmissionPlugin::LimitRanger, |state, write, object, _| limit_ranger::check(state, write, object)),
    (AdmissionPlugin::PodSecurity, pod_security::check),
    (AdmissionPlugin::Priority, |state, write, object, _| priority::check_class(state, write, object)),
    (AdmissionPlugin::PersistentVolumeClaimResize, |state, write, object, _| {
        volumes::check_resize(state, write, object)
    }),
    (AdmissionPlugin::RuntimeClass, |state, write, object, _| runtime_class::check(state, write, object)),
    (AdmissionPlugin::CertificateApproval, |state, write, object, _| {
        signers::check_approval(state, write, object)
    }),
    (AdmissionPlugin::CertificateSigning, |state, write, object, _| {
        signers::check_signing(state, write, object)
    }),
    (AdmissionPlugin::ClusterTrustBundleAttest, |state, write, object, _| {
        signers::check_attestation(state, write, object)
    }),
    (AdmissionPlugin::CertificateSubjectRestriction, |_, write, object, _| {
        certificates::check_subject(write, object)
    }),
    (AdmissionPlugin::NodeDeclaredFeatureValidator, |state, write, object, _| {
        pod_resize::check_features(state, write, object)
    }),
    (AdmissionPlugin::PodResizeValidator, |state, write, object, _| {
        pod_resize::check_resize(state, write, object)
    }),
];

const PODS: &[(&str, &str)] = &[("", "pods")];

/// Whether [`mutate`] may change the object of a write. If not, the caller need not copy the object.
pub(crate) fn mutates(state: &State, write: &Write<'_>) -> bool {
    MUTATING.iter().any(|(plugin, selects, _)| selects(write) && state.has_plugin(*plugin))
}

/// Runs the mutating plugins on an object whose defaults are set.
///
/// # Errors
/// The response to a write that a plugin refuses.
pub(crate) fn mutate(state: &mut State, write: &Write<'_>, object: &mut Value) -> Result<(), SimError> {
    for (plugin, selects, mutate) in MUTATING {
        if selects(write) && state.has_plugin(plugin) {
            mutate(state, write, object)?;
        }
    }
    Ok(())
}

/// Runs the validating plugins on an object that passed the validation of its kind.
///
/// # Errors
/// The response to a write that a plugin refuses.
pub(crate) fn validate(
    state: &State,
    write: &Write<'_>,
    object: &Value,
    warnings: &mut Vec<String>,
) -> Result<(), SimError> {
    for (plugin, validate) in VALIDATING {
        if state.has_plugin(plugin) {
            validate(state, write, object, warnings)?;
        }
    }
    Ok(())
}

/// The items of a list; none if the list is absent.
fn items<'a>(parent: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    parent[list].as_array().into_iter().flatten()
}

/// Checks that the namespace `wanted` of a new object exists and is not terminating. `namespace` is the stored
/// `Namespace`, or `None` if it does not exist.
pub(crate) fn check_namespace(
    namespace: Option<&StoredObject>,
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

/// Refuses to delete a system priority class. If the plugin NamespaceLifecycle is enabled, also refuses to
/// delete the namespaces `default`, `kube-system` and `kube-public`. For the deletion of a collection, `name` is empty,
/// and nothing is refused.
pub(crate) fn check_delete(state: &State, resource: &Resource, name: &str) -> Result<(), SimError> {
    let why = match &*resource.storage {
        priority::CLASSES if is_system_class(name) => "this is a system priority class and cannot be deleted",
        NAMESPACES
            if state.has_plugin(AdmissionPlugin::NamespaceLifecycle)
                && matches!(name, "default" | "kube-system" | "kube-public") =>
        {
            "this namespace may not be deleted"
        }
        _ => return Ok(()),
    };
    Err(SimError::forbidden(&resource.group, &resource.plural, name, why))
}

#[cfg(test)]
mod tests;
