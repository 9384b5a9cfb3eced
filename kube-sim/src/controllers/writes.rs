//! Functions with which the controllers write objects. `create` performs the steps of a request: defaults, generation,
//! managed fields, built-in admission plugins, validation and quotas. `modify` sets only the generation and the managed
//! fields.
//!
//! The functions call no admission webhooks and evaluate no admission policies.

use serde_json::Value;

use super::objects::{name, namespace, storage_key_in};
use crate::admission_plugin::AdmissionPlugin;
use crate::apply;
use crate::handler::admission::{self, NAMESPACES};
use crate::handler::deletion::{self, Propagation};
use crate::handler::{object_meta, quota};
use crate::protobuf;
use crate::registry::Resource;
use crate::schema;
use crate::status::SimError;
use crate::store::object::key;
use crate::store::{State, StorageKey};

/// The field manager of the controllers of kube-controller-manager.
pub(super) const CONTROLLER_MANAGER: &str = "kube-controller-manager";
/// The field manager of the scheduler.
pub(super) const SCHEDULER: &str = "kube-scheduler";
/// The field manager of the kubelets.
pub(super) const KUBELET: &str = "kubelet";

/// The number of attempts to find an unused name for `generateName`.
const NAME_ATTEMPTS: usize = 8;

/// What a write changes: the whole object, like a request to the main resource, or only the status, like a request to
/// `/status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Object,
    Status,
}

/// Creates an object of the table `storage`. Returns the stored object.
///
/// # Errors
/// The `Status` with which the server refuses the object.
pub(super) fn create(
    state: &mut State,
    storage: &str,
    object: &Value,
    manager: &str,
) -> Result<Value, SimError> {
    let resource = state.registry.find_by_storage(storage).ok_or_else(SimError::no_such_resource)?;
    let is_generated = name(object).is_empty();
    for _ in 1..NAME_ATTEMPTS {
        match create_once(state, &resource, object.clone(), manager) {
            Err(error) if is_generated && error.is_already_exists() => {}
            outcome => return outcome,
        }
    }
    create_once(state, &resource, object.clone(), manager)
}

fn create_once(
    state: &mut State,
    resource: &Resource,
    mut object: Value,
    manager: &str,
) -> Result<Value, SimError> {
    object["apiVersion"] = resource.api_version.as_str().into();
    object["kind"] = resource.kind.as_str().into();
    let namespace_name = namespace(&object).to_owned();
    if resource.namespaced && state.has_plugin(AdmissionPlugin::NamespaceLifecycle) {
        let found = state.get(NAMESPACES, &namespace_name).cloned();
        admission::check_namespace(found.as_deref(), resource, &namespace_name, name(&object))?;
    }
    object_meta::prepare_for_create(&mut object, &namespace_name, &mut state.random, &state.clock)?;
    if resource.strategy.has_generation {
        object["metadata"]["generation"] = 1.into();
    }
    let schema = resource.schema();
    canonicalize(resource, &mut object)?;
    schema::apply_defaults(&schema, &mut object);
    (resource.strategy.set_defaults)(None, &mut object);
    track_managed_fields(state, resource, "", manager, None, &mut object);
    let write =
        admission::Write { resource, subresource: "", namespace: &namespace_name, old: None, user: None };
    if admission::mutates(state, &write) {
        admission::mutate(state, &write, &mut object)?;
    }
    let has_status = resource.has_status();
    resource.strategy.prepare_for_create(&mut object, &schema, has_status, &mut state.random);
    let mut errors = resource.strategy.validate(&schema, None, &object);
    errors.extend(object_meta::validate(resource, &object));
    if !errors.is_empty() {
        return Err(SimError::invalid(&resource.group, &resource.kind, name(&object), &errors));
    }
    // A controller ignores the warnings of the server.
    admission::validate(state, &write, &object, &mut Vec::new())?;
    let key = key(&namespace_name, name(&object));
    if state.get(&resource.storage, &key).is_some() {
        return Err(SimError::already_exists(&resource.group, &resource.plural, name(&object)));
    }
    quota::check_create(state, resource, &object)?;
    let stored = state.commit(resource, key, object)?;
    Ok(stored.typed_value(&resource.api_version, &resource.kind))
}

/// Applies `change` to the object at `storage_key`, and stores the result if it differs. Returns the stored object; `None`
/// if there is no object.
///
/// # Errors
/// The changed object does not decode, or exceeds a limit of the store, such as the space quota.
pub(super) fn modify(
    state: &mut State,
    storage_key: &StorageKey,
    part: Part,
    manager: &str,
    change: impl FnOnce(&mut Value),
) -> Result<Option<Value>, SimError> {
    let Some(resource) = state.registry.find_by_storage(&storage_key.0) else { return Ok(None) };
    let Some(stored) = state.object_at(storage_key) else { return Ok(None) };
    let before = stored.typed_value(&resource.api_version, &resource.kind);
    let mut new = before.clone();
    change(&mut new);
    canonicalize(&resource, &mut new)?;
    if new == before {
        return Ok(Some(before));
    }
    if part == Part::Object
        && resource.strategy.has_generation
        && resource.increments_generation(&before, &new)
    {
        let generation = before["metadata"]["generation"].as_i64().unwrap_or(0);
        new["metadata"]["generation"] = (generation + 1).into();
    }
    let subresource = if part == Part::Status && resource.has_status() { "status" } else { "" };
    track_managed_fields(state, &resource, subresource, manager, Some(&before), &mut new);
    let stored = state.commit(&resource, storage_key.1.clone(), new)?;
    Ok(Some(stored.typed_value(&resource.api_version, &resource.kind)))
}

/// If the table `storage` has an object with the name and namespace of `object`, applies `change` to the stored object.
/// Otherwise, applies `change` to `object`, and creates `object`.
///
/// # Errors
/// As with [`create`] and [`modify`].
pub(super) fn create_or_modify(
    state: &mut State,
    storage: &str,
    mut object: Value,
    manager: &str,
    change: impl FnOnce(&mut Value),
) -> Result<(), SimError> {
    let storage_key = storage_key_in(storage, &object);
    if state.object_at(&storage_key).is_some() {
        return modify(state, &storage_key, Part::Object, manager, change).map(drop);
    }
    change(&mut object);
    create(state, storage, &object, manager).map(drop)
}

/// Deletes the object at `storage_key` with the propagation policy `Background`.
pub(super) fn delete(state: &mut State, storage_key: &StorageKey) {
    if let Some(resource) = state.registry.find_by_storage(&storage_key.0) {
        deletion::delete(state, &resource, storage_key, Propagation::Background, None);
    }
}

/// Brings an object of a built-in kind into the form in which Go serializes it: for example, without the zero values
/// that Go omits.
fn canonicalize(resource: &Resource, object: &mut Value) -> Result<(), SimError> {
    if resource.builtin_resource().is_none() {
        return Ok(());
    }
    schema::decode(&resource.schema(), object, protobuf::omits_zero).map_err(SimError::internal)
}

/// Sets the `managedFields` of `new`.
pub(super) fn track_managed_fields(
    state: &State,
    resource: &Resource,
    subresource: &str,
    manager: &str,
    live: Option<&Value>,
    new: &mut Value,
) {
    let schema = resource.schema();
    let cx = apply::Context {
        schema: &schema,
        api_version: &resource.api_version,
        kind: &resource.kind,
        served: &resource.served,
        subresource,
        manager,
        now: &state.clock.stamp(),
        reset: resource.strategy.reset_fields(subresource, resource.has_status()),
    };
    apply::track_ownership(&cx, live, new);
}
