//! What the server does on its own account after certain objects changed: definitions get served, or stop being.

use std::sync::Arc;

use super::gc;
use crate::apply;
use crate::registry::{Resource, crd};
use crate::store::State;
use crate::store::object::Stored;

fn is_definition(resource: &Resource) -> bool {
    resource.group == "apiextensions.k8s.io" && resource.kind == "CustomResourceDefinition"
}

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
