//! Side effects of a committed write: the server establishes CustomResourceDefinitions and schedules the garbage
//! collection of objects whose owners do not exist.

use std::sync::Arc;

use super::gc;
use crate::apply;
use crate::registry::{Resource, crd};
use crate::store::State;
use crate::store::object::Stored;

fn is_crd(resource: &Resource) -> bool {
    &*resource.storage == gc::CRD_TABLE
}

/// Runs the side effects of a committed create.
pub(crate) fn after_create(state: &mut State, resource: &Resource, object: &Arc<Stored>) {
    if is_crd(resource) {
        establish(state, resource, object);
    }
    gc::schedule_if_owners_missing(state, resource, object);
}

/// Runs the side effects of a committed update.
pub(crate) fn after_update(state: &mut State, resource: &Resource, object: &Arc<Stored>) {
    if is_crd(resource) {
        establish(state, resource, object);
    }
    gc::schedule_if_owners_missing(state, resource, object);
}

/// Sets the conditions of a CustomResourceDefinition. If its names do not conflict with another definition, serves the
/// custom resource immediately.
fn establish(state: &mut State, resource: &Resource, object: &Arc<Stored>) {
    let before = object.typed_value(&resource.api_version, &resource.kind);
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
        let _ = state.commit(resource, object.key.clone(), crd);
    }
}
