//! The namespace controller: deletes the objects in terminating namespaces, and then the namespaces.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::{Keys, is_deletion, object_of, own_key};
use crate::handler::admission::NAMESPACES;
use crate::handler::deletion::{self, Propagation};
use crate::handler::object_meta;
use crate::store::queue::Key;
use crate::store::table::Event;
use crate::store::{State, StorageKey};

/// The key of a terminating namespace that changes, or from which an object is deleted.
pub(super) fn keys_to_reconcile(state: &State, storage: &Arc<str>, event: &Event) -> Keys {
    let object = &event.object;
    if &**storage == NAMESPACES {
        let terminates = object.is_terminating && !is_deletion(event);
        return if terminates { own_key(storage, event) } else { Keys::new() };
    }
    if !is_deletion(event) || object.namespace().is_empty() {
        return Keys::new();
    }
    // The deletion of a terminating namespace may wait for this object.
    match state.get(NAMESPACES, object.namespace()) {
        Some(namespace) if namespace.is_terminating => {
            let storage_key = (Arc::from(NAMESPACES), namespace.key.clone());
            vec![(storage_key, namespace.uid.clone(), Duration::ZERO)]
        }
        _ => Keys::new(),
    }
}

/// Deletes the objects in a terminating namespace. Once the namespace is empty, removes the finalizers in its spec, and
/// removes the namespace if its metadata has no finalizers.
pub(super) fn reconcile(state: &mut State, key: &Key) {
    let Some(namespace) = object_of(state, key).filter(|namespace| namespace.is_terminating) else { return };
    delete_contents(state, namespace.name());
    if state.tables().any(|(_, table)| table.has_objects_in(namespace.name())) {
        return;
    }
    let Some(resource) = state.registry.find_by_storage(NAMESPACES) else { return };
    let mut value = namespace.value();
    value["spec"] = json!({});
    if object_meta::finalizers(&value).is_empty() {
        state.erase(&key.object);
    } else if value != namespace.value() {
        // The object gets smaller, so the commit cannot exceed the space quota.
        let _ = state.commit(&resource, key.object.1.clone(), value);
    }
}

/// Deletes all objects of a namespace that are not already being deleted.
fn delete_contents(state: &mut State, namespace: &str) {
    let contents: Vec<StorageKey> = state
        .tables()
        .flat_map(|(storage, table)| table.objects(namespace).into_iter().map(|o| (storage.clone(), o)))
        .filter(|(_, object)| !object.is_terminating)
        .map(|(storage, object)| (storage, object.key.clone()))
        .collect();
    for storage_key in contents {
        if let Some(resource) =
            state.registry.find_by_storage(&storage_key.0).filter(|resource| resource.namespaced)
        {
            deletion::delete(state, &resource, &storage_key, Propagation::Background, None);
        }
    }
}
