//! The controllers that create default objects in each namespace: the service account `default`, and the config map
//! `kube-root-ca.crt`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::writes::{self, CONTROLLER_MANAGER};
use super::{Keys, is_deletion, own_key};
use crate::handler::admission::NAMESPACES;
use crate::store::State;
use crate::store::queue::{Controller, Key};
use crate::store::table::{Change, Event};

const SERVICE_ACCOUNTS: &str = "/serviceaccounts";
const CONFIG_MAPS: &str = "/configmaps";
const ROOT_CA_CONFIG_MAP: &str = "kube-root-ca.crt";

/// The key of a new namespace, or of a namespace whose service account `default` is deleted.
pub(super) fn keys_for_service_account_controller(state: &State, storage: &Arc<str>, event: &Event) -> Keys {
    match &**storage {
        NAMESPACES if event.change == Change::Added => own_key(storage, event),
        SERVICE_ACCOUNTS if is_deletion(event) && event.object.name() == "default" => {
            namespace_key(state, event)
        }
        _ => Keys::new(),
    }
}

/// The key of a new namespace, or of a namespace whose config map `kube-root-ca.crt` is changed or deleted.
pub(super) fn keys_for_root_ca(state: &State, storage: &Arc<str>, event: &Event) -> Keys {
    match &**storage {
        NAMESPACES if event.change == Change::Added => own_key(storage, event),
        CONFIG_MAPS if event.change != Change::Added && event.object.name() == ROOT_CA_CONFIG_MAP => {
            namespace_key(state, event)
        }
        _ => Keys::new(),
    }
}

/// The key of the namespace of an object.
fn namespace_key(state: &State, event: &Event) -> Keys {
    let namespace = state.get(NAMESPACES, event.object.namespace());
    let key = |namespace: &Arc<crate::store::object::StoredObject>| {
        ((Arc::from(NAMESPACES), namespace.key.clone()), namespace.uid.clone(), std::time::Duration::ZERO)
    };
    namespace.map(key).into_iter().collect()
}

/// Queues the keys of all namespaces after a change of the certificate authorities.
pub(super) fn requeue_all_namespaces(state: &mut State) {
    let namespaces = state.objects(NAMESPACES, "");
    for namespace in namespaces {
        let storage_key = (Arc::from(NAMESPACES), namespace.key.clone());
        let key = Key {
            controller: Controller::RootCaCertificate,
            object: storage_key,
            uid: namespace.uid.clone(),
        };
        super::requeue(state, &key, std::time::Duration::ZERO);
    }
}

/// Creates the service account `default`, unless it exists.
pub(super) fn reconcile_service_account(state: &mut State, key: &Key) {
    write_unless_terminating(state, key, SERVICE_ACCOUNTS, "default", |_| {});
}

/// Creates the config map `kube-root-ca.crt`, or restores its content.
pub(super) fn reconcile_root_ca(state: &mut State, key: &Key) {
    let Some(authority) = state.root_ca.clone() else { return };
    let data = json!({"ca.crt": *authority});
    write_unless_terminating(state, key, CONFIG_MAPS, ROOT_CA_CONFIG_MAP, |map| {
        map["data"] = data;
        let note = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints \
            such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
            distributions of Kubernetes clusters.";
        map["metadata"]["annotations"]["kubernetes.io/description"] = note.into();
    });
}

/// Creates or changes an object in the namespace of the key, unless the namespace is terminating.
fn write_unless_terminating(
    state: &mut State,
    key: &Key,
    storage: &str,
    name: &str,
    change: impl FnOnce(&mut Value),
) {
    let Some(namespace) = super::object_of(state, key).filter(|namespace| !namespace.is_terminating) else {
        return;
    };
    let object = json!({"metadata": {"name": name, "namespace": namespace.name()}});
    if let Err(error) = writes::create_or_modify(state, storage, object, CONTROLLER_MANAGER, change) {
        tracing::debug!(%error, name, "cannot write an object of a namespace");
    }
}
