//! Deletion of objects: finalizers, grace periods, garbage collection by owner references, and the contents of
//! namespaces.
//!
//! In a cluster, the garbage collector and the namespace controller run in the background. Here both run synchronously,
//! under the lock of the state and in a fixed order, so that a simulation is reproducible.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::admission::NAMESPACES;
use super::object_meta;
use crate::clock::Clock;
use crate::registry::Resource;
use crate::store::object::Stored;
use crate::store::{Place, State};

/// The deletion propagation policy: the handling of the dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// Time from the delete request for a scheduled pod to the removal of the pod, if no `Workload` simulates kubelets.
const POD_REMOVAL_DELAY: Duration = Duration::from_secs(1);

/// Time from the write of an object to its garbage collection, if none of its owners exists.
const MISSING_OWNERS_DELAY: Duration = Duration::from_secs(1);

/// The name of the table that contains the CustomResourceDefinitions.
pub(super) const CRD_TABLE: &str = "apiextensions.k8s.io/customresourcedefinitions";

/// The finalizers of an object whose dependents are handled before it is removed.
const FOREGROUND_FINALIZER: &str = "foregroundDeletion";
const ORPHAN_FINALIZER: &str = "orphan";

/// Whether this update completes a deletion: it removes the last finalizer of an object that has a deletionTimestamp.
pub(crate) fn completes_deletion(resource: &Resource, old: &Value, new: &Value) -> bool {
    let deletion = &resource.strategy.deletion;
    let had = !object_meta::finalizers(old).is_empty() || deletion.is_deferred_by_spec(old);
    object_meta::is_being_deleted(old)
        && had
        && object_meta::finalizers(new).is_empty()
        && !deletion.is_deferred_by_spec(new)
        && old["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
}

/// The outcome of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeletionOutcome {
    /// The object is removed from the storage.
    Deleted,
    /// The object has a deletionTimestamp; finalizers or a grace period defer its removal.
    Terminating,
}

/// Deletes one object. An object with finalizers or a grace period only gets a deletionTimestamp.
pub(crate) fn delete(
    state: &mut State,
    resource: &Resource,
    place: &Place,
    propagation: Propagation,
    grace: Option<i64>,
) -> DeletionOutcome {
    delete_at_depth(state, resource, place, propagation, grace, 0)
}

/// Foreground deletion recurses up to this depth of ownership; deeper dependents are deleted with the background
/// policy, so that no client can exhaust the stack.
const MAX_FOREGROUND_DEPTH: usize = 32;

/// Deletes an object at this depth of a foreground deletion.
fn delete_at_depth(
    state: &mut State,
    resource: &Resource,
    place: &Place,
    propagation: Propagation,
    grace: Option<i64>,
    depth: usize,
) -> DeletionOutcome {
    let Some(stored) = state.get(&place.0, &place.1).cloned() else { return DeletionOutcome::Deleted };
    let old = stored.value();
    let mut new = old.clone();
    let deletion = &resource.strategy.deletion;
    let grace = deletion.grace(&old, grace);
    let mut finalizers = object_meta::finalizers(&old);
    set_policy_finalizer(&mut finalizers, propagation);
    object_meta::set_finalizers(&mut new, &finalizers);
    let deferred = !finalizers.is_empty() || grace > 0 || deletion.is_deferred_by_spec(&old);
    if !deferred {
        erase(state, place);
        return DeletionOutcome::Deleted;
    }
    mark_deleted(state.clock, resource, &old, &mut new, grace);
    let uid = stored.uid.clone();
    if new != old && state.commit(resource, place.1.clone(), new).is_err() {
        // The additional deletionTimestamp exceeds the storage quota, so the stored object is unchanged.
        return DeletionOutcome::Terminating;
    }
    if grace > 0 && finalizers.is_empty() && !state.kubelet {
        let stop = POD_REMOVAL_DELAY.min(Duration::from_secs(grace.unsigned_abs()));
        state.schedule_removal(Instant::now() + stop, uid.clone(), place.clone());
    }
    match propagation {
        Propagation::Orphan if finalizers.iter().any(|f| f == ORPHAN_FINALIZER) => {
            orphan_dependents(state, &uid, place);
        }
        Propagation::Foreground => delete_dependents_first(state, &uid, place, depth),
        _ => {}
    }
    if &*place.0 == NAMESPACES {
        delete_namespace_contents(state, stored.name());
    }
    if state.get(&place.0, &place.1).is_some_and(|o| o.uid == uid) {
        DeletionOutcome::Terminating
    } else {
        DeletionOutcome::Deleted
    }
}

/// Replaces the finalizers of other propagation policies with the finalizer of `propagation`, if this policy has one.
fn set_policy_finalizer(finalizers: &mut Vec<String>, propagation: Propagation) {
    let add = match propagation {
        Propagation::Background => None,
        Propagation::Foreground => Some(FOREGROUND_FINALIZER),
        Propagation::Orphan => Some(ORPHAN_FINALIZER),
    };
    finalizers.retain(|f| f != FOREGROUND_FINALIZER && f != ORPHAN_FINALIZER);
    finalizers.extend(add.map(str::to_owned));
}

/// Sets deletionTimestamp, deletionGracePeriodSeconds and the related fields in `new`.
pub(crate) fn mark_deleted(clock: Clock, resource: &Resource, old: &Value, new: &mut Value, grace: i64) {
    let first = !object_meta::is_being_deleted(old);
    if first || old["metadata"]["deletionGracePeriodSeconds"] != grace {
        let after = Duration::from_secs(grace.unsigned_abs());
        new["metadata"]["deletionTimestamp"] = clock.stamp_after(after).into();
        new["metadata"]["deletionGracePeriodSeconds"] = grace.into();
    }
    if first && let Some(generation) = old["metadata"]["generation"].as_i64().filter(|g| *g > 0) {
        new["metadata"]["generation"] = (generation + 1).into();
    }
    (resource.strategy.deletion.mark)(new);
}

/// Removes an object from the storage regardless of its finalizers, then garbage-collects its dependents and completes
/// the deletions that the object blocked.
pub(crate) fn erase(state: &mut State, place: &Place) {
    let mut queue = VecDeque::from([place.clone()]);
    while let Some(place) = queue.pop_front() {
        let Some(deleted) = state.erase(&place) else { continue };
        for dependent in state.dependents_of(&deleted.uid) {
            if collect_dependent(state, &dependent, &deleted.uid) {
                queue.push_back(dependent);
            }
        }
        for owner in &deleted.owners {
            finish_foreground_deletion(state, owner, &mut queue);
        }
        withdraw_crd(state, &place, &deleted);
        let namespace = deleted.namespace();
        if !namespace.is_empty() {
            finish_namespace_deletion(state, namespace, &mut queue);
        }
    }
}

/// If `deleted` is a CustomResourceDefinition, stops serving its custom resource and removes the custom objects.
fn withdraw_crd(state: &mut State, place: &Place, deleted: &Arc<Stored>) {
    if &*place.0 != CRD_TABLE {
        return;
    }
    let withdrawn = state.registry.withdraw(deleted.name());
    let Some(storage) = withdrawn.first().map(|r| r.storage.clone()) else { return };
    let instances: Vec<Place> = state
        .table(&storage)
        .map(|t| t.objects("").iter().map(|o| (storage.clone(), o.key.clone())).collect())
        .unwrap_or_default();
    for instance in instances {
        erase(state, &instance);
    }
    state.wake_watches(&storage);
}

/// Garbage-collects a dependent of the deleted object with the UID `owner`. If the dependent has another owner, removes
/// only the owner reference; otherwise starts the deletion. Returns true if the caller must erase the dependent.
fn collect_dependent(state: &mut State, place: &Place, owner: &str) -> bool {
    let Some(object) = state.get(&place.0, &place.1).cloned() else { return false };
    let Some(resource) = state.registry.by_storage(&place.0) else { return false };
    let others = object.owners.iter().any(|o| &**o != owner && state.place_of(o).is_some());
    if others {
        drop_owner_reference(state, &resource, place, owner);
        return false;
    }
    let mut value = object.value();
    let grace = resource.strategy.deletion.grace(&value, None);
    if object_meta::finalizers(&value).is_empty() && grace == 0 {
        return true;
    }
    if !object_meta::is_being_deleted(&value) {
        let old = value.clone();
        mark_deleted(state.clock, &resource, &old, &mut value, grace);
        let free = object_meta::finalizers(&value).is_empty();
        if state.commit(&resource, place.1.clone(), value).is_ok() && free && !state.kubelet {
            state.schedule_removal(Instant::now() + POD_REMOVAL_DELAY, object.uid.clone(), place.clone());
        }
    }
    false
}

/// Removes the reference to `owner` (a UID) from the object.
fn drop_owner_reference(state: &mut State, resource: &Resource, place: &Place, owner: &str) {
    let Some(object) = state.get(&place.0, &place.1) else { return };
    let mut value = object.value();
    let Some(metadata) = value["metadata"].as_object_mut() else { return };
    if let Some(refs) = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut) {
        refs.retain(|r| r["uid"] != owner);
        if refs.is_empty() {
            metadata.remove("ownerReferences");
        }
    }
    // The object gets smaller, so the commit cannot exceed the storage quota.
    let _ = state.commit(resource, place.1.clone(), value);
}

/// Orphan policy: removes the owner reference from all dependents, then the `orphan` finalizer from the owner.
fn orphan_dependents(state: &mut State, uid: &str, place: &Place) {
    for dependent in state.dependents_of(uid) {
        if let Some(resource) = state.registry.by_storage(&dependent.0) {
            drop_owner_reference(state, &resource, &dependent, uid);
        }
    }
    remove_finalizer_and_erase(state, place, ORPHAN_FINALIZER);
}

/// Foreground policy: deletes the dependents, then the owner once no dependent with `blockOwnerDeletion` exists.
fn delete_dependents_first(state: &mut State, uid: &str, place: &Place, depth: usize) {
    for dependent in state.dependents_of(uid) {
        let Some(object) = state.get(&dependent.0, &dependent.1).cloned() else { continue };
        let Some(resource) = state.registry.by_storage(&dependent.0) else { continue };
        let others = object.owners.iter().any(|o| &**o != uid && state.place_of(o).is_some());
        if others {
            drop_owner_reference(state, &resource, &dependent, uid);
        } else if !object_meta::is_being_deleted(&object.value()) {
            let owns = depth < MAX_FOREGROUND_DEPTH && !state.dependents_of(&object.uid).is_empty();
            let policy = if owns { Propagation::Foreground } else { Propagation::Background };
            delete_at_depth(state, &resource, &dependent, policy, None, depth + 1);
        }
    }
    if state.get(&place.0, &place.1).is_some_and(|o| &*o.uid == uid) && !has_blocking_dependent(state, uid) {
        remove_finalizer_and_erase(state, place, FOREGROUND_FINALIZER);
    }
}

/// Whether the owner has a dependent with `blockOwnerDeletion`.
fn has_blocking_dependent(state: &State, uid: &str) -> bool {
    state.dependents_of(uid).iter().any(|place| {
        state.get(&place.0, &place.1).is_some_and(|object| {
            let refs = object.value()["metadata"]["ownerReferences"].take();
            let list = refs.as_array().cloned().unwrap_or_default();
            list.iter().any(|r| r["uid"] == uid && r["blockOwnerDeletion"] == true)
        })
    })
}

/// Completes the foreground deletion of `owner` if no remaining dependent blocks the deletion. Adds the owner to
/// `queue`, unless another finalizer remains.
fn finish_foreground_deletion(state: &mut State, owner: &str, queue: &mut VecDeque<Place>) {
    let Some(place) = state.place_of(owner).cloned() else { return };
    let Some(object) = state.get(&place.0, &place.1) else { return };
    let value = object.value();
    if !object_meta::is_being_deleted(&value)
        || !object_meta::finalizers(&value).iter().any(|f| f == FOREGROUND_FINALIZER)
        || has_blocking_dependent(state, owner)
    {
        return;
    }
    if remove_finalizer(state, &place, FOREGROUND_FINALIZER) {
        queue.push_back(place);
    }
}

/// Removes one finalizer, then the object if neither another finalizer nor a grace period defers its removal.
fn remove_finalizer_and_erase(state: &mut State, place: &Place, finalizer: &str) {
    if remove_finalizer(state, place, finalizer) {
        erase(state, place);
    }
}

/// Removes one finalizer. If neither another finalizer nor a grace period remains, writes nothing and returns true: the
/// caller must erase the object.
fn remove_finalizer(state: &mut State, place: &Place, finalizer: &str) -> bool {
    let Some(object) = state.get(&place.0, &place.1) else { return false };
    let mut value = object.value();
    let mut finalizers = object_meta::finalizers(&value);
    finalizers.retain(|f| f != finalizer);
    object_meta::set_finalizers(&mut value, &finalizers);
    let grace = value["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    if finalizers.is_empty() && grace == 0 {
        return true;
    }
    if let Some(resource) = state.registry.by_storage(&place.0) {
        // The object gets smaller, so the commit cannot exceed the storage quota.
        let _ = state.commit(&resource, place.1.clone(), value);
    }
    false
}

/// Deletes all objects of a namespace, then the namespace itself if no object remains.
fn delete_namespace_contents(state: &mut State, namespace: &str) {
    let contents: Vec<Place> = state
        .tables()
        .flat_map(|(storage, table)| {
            table.objects(namespace).into_iter().map(|o| (storage.clone(), o.key.clone()))
        })
        .filter(|(storage, _)| state.registry.by_storage(storage).is_some_and(|r| r.namespaced))
        .collect();
    for place in contents {
        if let Some(resource) = state.registry.by_storage(&place.0) {
            delete(state, &resource, &place, Propagation::Background, None);
        }
    }
    let mut queue = VecDeque::new();
    finish_namespace_deletion(state, namespace, &mut queue);
    for place in queue {
        erase(state, &place);
    }
}

/// Completes the deletion of a terminating namespace that is empty: removes its `spec.finalizers`. Adds it to `queue`,
/// unless another finalizer remains.
fn finish_namespace_deletion(state: &mut State, namespace: &str, queue: &mut VecDeque<Place>) {
    let storage = NAMESPACES;
    let Some(object) = state.get(storage, namespace).cloned() else { return };
    let mut value = object.value();
    if !object_meta::is_being_deleted(&value) {
        return;
    }
    let left = state.tables().any(|(_, table)| table.has_namespace(namespace));
    if left {
        return;
    }
    let Some(resource) = state.registry.by_storage(storage) else { return };
    value["spec"] = json!({});
    let place: Place = (resource.storage.clone(), object.key.clone());
    if object_meta::finalizers(&value).is_empty() {
        queue.push_back(place);
    } else {
        // The object gets smaller, so the commit cannot exceed the storage quota.
        let _ = state.commit(&resource, place.1, value);
    }
}

/// Schedules the garbage collection of a written object if none of its owners exists.
pub(crate) fn schedule_if_owners_missing(state: &mut State, resource: &Resource, object: &Stored) {
    if has_only_missing_owners(state, object) {
        let place = (resource.storage.clone(), object.key.clone());
        state.schedule_removal(Instant::now() + MISSING_OWNERS_DELAY, object.uid.clone(), place);
    }
}

/// Whether the object has owner references, but none of its owners exists.
fn has_only_missing_owners(state: &State, object: &Stored) -> bool {
    !object.owners.is_empty() && object.owners.iter().all(|owner| state.place_of(owner).is_none())
}

/// Runs the scheduled removals that are due.
pub(crate) fn run_due_removals(state: &mut State) {
    let now = Instant::now();
    while let Some(place) = state.take_due(now) {
        let Some(object) = state.get(&place.0, &place.1).cloned() else { continue };
        let value = object.value();
        if !object_meta::is_being_deleted(&value) {
            // The removal was scheduled because no owner existed. An owner may exist now.
            if has_only_missing_owners(state, &object)
                && let Some(resource) = state.registry.by_storage(&place.0)
            {
                delete(state, &resource, &place, Propagation::Background, None);
            }
        } else if object_meta::finalizers(&value).is_empty() {
            erase(state, &place);
        }
    }
}

/// The propagation policy of a deletion. The `DeleteOptions` have precedence over the finalizers of the object; the
/// default of the kind has the lowest precedence.
pub(crate) fn propagation(
    resource: &Resource,
    requested: Option<&str>,
    orphan: Option<bool>,
    finalizers: &[String],
) -> Propagation {
    match (requested, orphan) {
        (Some("Foreground"), _) => Propagation::Foreground,
        (Some("Orphan"), _) | (None, Some(true)) => Propagation::Orphan,
        (None, None) if finalizers.iter().any(|f| f == ORPHAN_FINALIZER) => Propagation::Orphan,
        (None, None) if finalizers.iter().any(|f| f == FOREGROUND_FINALIZER) => Propagation::Foreground,
        (None, None) if resource.strategy.deletion.orphans_by_default => Propagation::Orphan,
        _ => Propagation::Background,
    }
}
