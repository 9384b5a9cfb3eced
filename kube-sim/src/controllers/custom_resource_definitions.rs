//! The controller of CustomResourceDefinitions: serves their resources and sets their conditions. After the deletion of
//! a definition, removes its custom resources.

use std::sync::Arc;

use super::{Keys, object_of, own_key};
use crate::apply;
use crate::registry::crd;
use crate::store::object::Stored;
use crate::store::queue::Key;
use crate::store::table::Event;
use crate::store::{Place, State};

/// The name of the table that contains the CustomResourceDefinitions.
const CRD_TABLE: &str = "apiextensions.k8s.io/customresourcedefinitions";

/// The key of a CustomResourceDefinition that is created, updated or deleted.
pub(super) fn observe(storage: &Arc<str>, event: &Event) -> Keys {
    if &**storage == CRD_TABLE { own_key(storage, event) } else { Keys::new() }
}

/// Serves the resource of a CustomResourceDefinition, or stops serving it if the definition has been deleted.
pub(super) fn reconcile(state: &mut State, key: &Key) {
    match object_of(state, key) {
        Some(definition) => establish(state, &definition),
        // If another definition with this name has been created since, the queue contains its key too.
        None => withdraw(state, &key.place.1),
    }
}

/// Serves the resource of a definition, unless its names conflict with another resource, and sets the conditions of the
/// definition.
fn establish(state: &mut State, definition: &Arc<Stored>) {
    let Some(resource) = state.registry.by_storage(CRD_TABLE) else { return };
    let before = definition.typed_value(&resource.api_version, &resource.kind);
    let mut crd = before.clone();
    let conflict = state.registry.name_conflict(&crd);
    let now = state.clock.stamp();
    crd::update_status(&mut crd, conflict.as_deref(), &now);
    if conflict.is_none() {
        state.registry.serve(&crd);
    }
    if crd != before {
        let schema = resource.schema();
        let cx = apply::Context {
            schema: &schema,
            api_version: &resource.api_version,
            kind: &resource.kind,
            served: &resource.served,
            subresource: "status",
            manager: "kube-apiserver",
            now: &now,
            reset: resource.strategy.reset_fields("status", true),
        };
        apply::track(&cx, Some(&before), &mut crd);
        // The commit fails if the storage quota is exhausted. The custom resource is served even then, but the stored
        // definition has no conditions.
        let _ = state.commit(&resource, definition.key.clone(), crd);
    }
}

/// Stops serving the resource of a deleted definition, and removes its custom resources.
fn withdraw(state: &mut State, name: &str) {
    let withdrawn = state.registry.withdraw(name);
    let Some(storage) = withdrawn.first().map(|resource| resource.storage.clone()) else { return };
    let instances: Vec<Place> = state
        .table(&storage)
        .map(|table| table.objects("").iter().map(|o| (storage.clone(), o.key.clone())).collect())
        .unwrap_or_default();
    for instance in instances {
        state.erase(&instance);
    }
    state.wake_watches(&storage);
}
