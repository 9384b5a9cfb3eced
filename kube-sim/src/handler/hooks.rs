//! What the server does on its own account after certain objects changed: definitions get served, or stop being.

use std::sync::Arc;

use super::gc;
use crate::apply;
use crate::registry::{Resource, crd};
use crate::store::object::Stored;
use crate::store::{Place, State};

fn is_definition(resource: &Resource) -> bool {
    resource.group == "apiextensions.k8s.io" && resource.kind == "CustomResourceDefinition"
}

/// Storage of definitions.
const DEFINITIONS: &str = "apiextensions.k8s.io/customresourcedefinitions";

pub(crate) fn after_create(state: &mut State, resource: &Resource, object: &Arc<Stored>) {
    if is_definition(resource) {
        establish(state, resource, object);
    }
    gc::look_for_owners(state, resource, object);
}

pub(crate) fn after_update(state: &mut State, resource: &Resource, object: &Arc<Stored>) {
    if is_definition(resource) {
        establish(state, resource, object);
    }
    gc::look_for_owners(state, resource, object);
}

/// Accepts a definition's names and serves it at once.
fn establish(state: &mut State, resource: &Resource, object: &Arc<Stored>) {
    let before = object.typed_value(&resource.api_version, &resource.kind);
    let mut crd = before.clone();
    let conflict = state.registry.name_conflict(&crd);
    let now = state.clock.stamp();
    crd::accept(&mut crd, conflict.as_deref(), &now);
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
            reset: apply::reset_fields(resource.builtin(), "status", true),
        };
        apply::track(&cx, Some(&before), &mut crd);
        // Without room for the conditions the definition is served all the same.
        let _ = state.commit(resource, object.key.clone(), crd);
    }
}

pub(crate) fn after_erase(state: &mut State, place: &Place, gone: &Arc<Stored>) {
    if &*place.0 != DEFINITIONS {
        return;
    }
    let withdrawn = state.registry.withdraw(gone.name());
    let Some(storage) = withdrawn.first().map(|r| r.storage.clone()) else { return };
    let instances: Vec<Place> = state
        .table(&storage)
        .map(|t| t.objects("").iter().map(|o| (storage.clone(), o.key.clone())).collect())
        .unwrap_or_default();
    for instance in instances {
        gc::erase(state, &instance);
    }
    state.wake_watches(&storage);
}
