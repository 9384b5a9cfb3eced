//! The controller of CustomResourceDefinitions: serves their resources and sets their conditions. If a definition is
//! terminating, deletes its custom resources, and then removes the definition.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{Keys, is_deletion, object_of, own_key, writes};
use crate::handler::deletion::{self, Propagation};
use crate::handler::object_meta;
use crate::json::has_condition;
use crate::registry::{Registry, Resource, crd};
use crate::store::object::StoredObject;
use crate::store::queue::Key;
use crate::store::table::Event;
use crate::store::{State, StorageKey};
use crate::strategy::{CLEANUP_FINALIZER, set_condition};

/// The name of the table that contains the CustomResourceDefinitions.
const CRD_TABLE: &str = "apiextensions.k8s.io/customresourcedefinitions";

/// For a change of a CustomResourceDefinition, returns its key and the keys of the other definitions whose names are
/// not accepted. For the deletion of a custom resource, returns the key of its definition if the definition is
/// terminating.
pub(super) fn keys_to_reconcile(state: &State, storage: &Arc<str>, event: &Event) -> Keys {
    if &**storage == CRD_TABLE {
        let mut keys = own_key(storage, event);
        keys.extend(keys_of_conflicting_definitions(state, &event.object.key));
        return keys;
    }
    if !is_deletion(event) {
        return Keys::new();
    }
    match definition_of(state, storage) {
        Some(definition) if definition.is_terminating => vec![key_of(&definition)],
        _ => Keys::new(),
    }
}

/// Whether `resource` has a CustomResourceDefinition that is being deleted. If so, the server refuses to create custom
/// resources of this definition.
pub(crate) fn is_definition_terminating(state: &State, resource: &Resource) -> bool {
    resource.custom_properties().is_some()
        && definition_of(state, &resource.storage).is_some_and(|definition| definition.is_terminating)
}

/// The CustomResourceDefinition of the custom resources in the table `storage`.
fn definition_of(state: &State, storage: &str) -> Option<Arc<StoredObject>> {
    let (group, plural) = storage.split_once('/')?;
    state.get(CRD_TABLE, &format!("{plural}.{group}")).cloned()
}

/// The name of the table that contains the custom resources of a definition.
fn storage_of(crd: &Value) -> Arc<str> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let spec = &crd["spec"];
    Arc::from(format!("{}/{}", text(&spec["group"]), text(&spec["names"]["plural"])))
}

/// An item of [`Keys`] for a definition, without an extra delay.
fn key_of(definition: &Arc<StoredObject>) -> (StorageKey, Arc<str>, Duration) {
    ((Arc::from(CRD_TABLE), definition.key.clone()), definition.uid.clone(), Duration::ZERO)
}

/// The keys of the definitions whose names are not accepted, without the key of the definition `changed`.
fn keys_of_conflicting_definitions(state: &State, changed: &str) -> Keys {
    let all = state.objects(CRD_TABLE, "");
    let has_conflict =
        |definition: &StoredObject| has_condition(&definition.value(), "NamesAccepted", "False");
    let others = all.iter().filter(|definition| &*definition.key != changed && has_conflict(definition));
    others.map(key_of).collect()
}

/// Serves the resources of a CustomResourceDefinition and sets its conditions. If the definition is terminating,
/// deletes its custom resources. If the definition has been deleted, stops serving its resources.
pub(super) fn reconcile(state: &mut State, key: &Key) {
    match object_of(state, key) {
        Some(definition) if definition.is_terminating => finalize(state, &definition),
        Some(definition) => establish(state, &definition),
        // If a new definition with this name exists, its own key follows in the queue, and the reconcile of that key
        // serves the resources again.
        None => withdraw(state, &key.object.1),
    }
}

/// Sets the conditions of a definition, and serves its resources if it is established.
fn establish(state: &mut State, definition: &Arc<StoredObject>) {
    let Some(resource) = state.registry.find_by_storage(CRD_TABLE) else { return };
    let before = definition.typed_value(&resource.api_version, &resource.kind);
    let mut crd = before.clone();
    let mut used = crd::UsedNames::default();
    for other in state.objects(CRD_TABLE, "") {
        let other = other.value();
        if other["spec"]["group"] == crd["spec"]["group"] {
            used.add_accepted_names(&other);
        }
    }
    crd::update_status(&mut crd, &used, &state.clock.stamp());
    serve(state, &crd);
    commit_status(state, &resource, definition, &before, crd);
}

/// Serves the resources of an established definition. As in the API server, the built-in resources have precedence.
fn serve(state: &mut State, crd: &Value) {
    let is_established = has_condition(crd, "Established", "True");
    if is_established && !Registry::overlaps_built_in(crd) && state.registry.serve(crd) {
        // A changed definition has a new watch cache, which begins with the current objects.
        state.restart_table(&storage_of(crd));
    }
}

/// Commits the status of a definition if it has changed.
fn commit_status(
    state: &mut State,
    resource: &Resource,
    definition: &Arc<StoredObject>,
    before: &Value,
    mut crd: Value,
) {
    if crd == *before {
        return;
    }
    writes::track_managed_fields(state, resource, "status", "kube-apiserver", Some(before), &mut crd);
    // The commit fails if the space quota is exhausted. The custom resource is served even then, but the stored
    // definition does not get its new conditions.
    let _ = state.commit(resource, definition.key.clone(), crd);
}

/// Deletes the custom resources of a terminating definition. Once none remain, removes the API server's cleanup
/// finalizer. If the definition has no other finalizer, removes the definition as well.
fn finalize(state: &mut State, definition: &Arc<StoredObject>) {
    let Some(resource) = state.registry.find_by_storage(CRD_TABLE) else { return };
    let before = definition.typed_value(&resource.api_version, &resource.kind);
    let mut finalizers = object_meta::finalizers(&before);
    if !finalizers.iter().any(|finalizer| finalizer == CLEANUP_FINALIZER) {
        return;
    }
    let storage = storage_of(&before);
    let mut crd = before.clone();
    let now = state.clock.stamp();
    let (reason, message) = if Registry::overlaps_built_in(&crd) {
        ("OverlappingBuiltInResource", "instances overlap with built-in resources in storage")
    } else if has_condition(&crd, "Established", "True") {
        let message = "CustomResource deletion is in progress";
        set_condition(&mut crd, TERMINATING_CONDITION, "InstanceDeletionInProgress", message, &now);
        serve(state, &crd);
        delete_instances(state, &storage);
        if state.table(&storage).is_some_and(|table| !table.is_empty()) {
            commit_status(state, &resource, definition, &before, crd);
            return;
        }
        ("InstanceDeletionCompleted", "removed all instances")
    } else {
        ("NeverEstablished", "resource was never established")
    };
    finalizers.retain(|finalizer| finalizer != CLEANUP_FINALIZER);
    if finalizers.is_empty() {
        state.erase(&(Arc::from(CRD_TABLE), definition.key.clone()));
        return;
    }
    set_condition(&mut crd, ("Terminating", "False"), reason, message, &now);
    object_meta::set_finalizers(&mut crd, &finalizers);
    serve(state, &crd);
    commit_status(state, &resource, definition, &before, crd);
}

/// The condition (type and status) that a definition has while its custom resources are being deleted.
const TERMINATING_CONDITION: (&str, &str) = ("Terminating", "True");

/// Deletes the custom resources in the table `storage` that are not already being deleted.
fn delete_instances(state: &mut State, storage: &Arc<str>) {
    let Some(resource) = state.registry.find_by_storage(storage) else { return };
    let instances: Vec<StorageKey> = state
        .objects(storage, "")
        .into_iter()
        .filter(|object| !object.is_terminating)
        .map(|object| (storage.clone(), object.key.clone()))
        .collect();
    for storage_key in instances {
        deletion::delete(state, &resource, &storage_key, Propagation::Background, None);
    }
}

/// Stops serving the resource of a deleted definition, and ends the watches of its custom resources. As in the API
/// server, custom resources stay stored if a client has removed the API server's cleanup finalizer: a new definition
/// with the same name serves them again.
fn withdraw(state: &mut State, name: &str) {
    let withdrawn = state.registry.withdraw(name);
    if let Some(resource) = withdrawn.first() {
        state.restart_table(&resource.storage);
    }
}
