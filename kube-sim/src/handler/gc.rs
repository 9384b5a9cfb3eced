//! How objects go: finalizers, owner references, and the contents of namespaces.
//!
//! What a cluster's garbage collector and namespace controller do in the background happens here at once, under the
//! same lock and in a fixed order, so that a run replays.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{meta, strategy};
use crate::registry::Resource;
use crate::store::object::Stored;
use crate::store::{Place, State};

/// What becomes of the objects that a deleted one owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// How long a pod on a node takes to stop, when no workload plays the kubelet.
const STOP_TIME: Duration = Duration::from_secs(1);

/// How long an object may be there without any of its owners.
const OWNERLESS_TIME: Duration = Duration::from_secs(1);

/// Storage of definitions.
const DEFINITIONS: &str = "apiextensions.k8s.io/customresourcedefinitions";

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// Does this update take the last thing away that kept a deleted object?
pub(crate) fn ends_with_update(resource: &Resource, old: &Value, new: &Value) -> bool {
    let had = !meta::finalizers(old).is_empty() || has_namespace_finalizer(resource, old);
    meta::is_being_deleted(old)
        && had
        && meta::finalizers(new).is_empty()
        && !has_namespace_finalizer(resource, new)
        && old["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
}

fn has_namespace_finalizer(resource: &Resource, object: &Value) -> bool {
    resource.kind == "Namespace"
        && resource.group.is_empty()
        && object["spec"]["finalizers"].as_array().is_some_and(|f| !f.is_empty())
}

/// The outcome of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeletionOutcome {
    /// The object is deleted.
    Deleted,
    /// The object has a deletionTimestamp and waits for its finalizers or its grace period.
    Terminating,
}

/// Deletes one object: marks it when something holds it, and takes it out when nothing does.
pub(crate) fn delete(
    state: &mut State,
    resource: &Resource,
    place: &Place,
    propagation: Propagation,
    grace: Option<i64>,
) -> DeletionOutcome {
    delete_at(state, resource, place, propagation, grace, 0)
}

/// Chains of owners longer than this are deleted in the background, so that no client can exhaust the stack.
const DEEPEST: usize = 32;

fn delete_at(
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
    let is_pod = resource.kind == "Pod" && resource.group.is_empty();
    let grace = if is_pod { pod_grace(&old, grace) } else { 0 };
    let mut finalizers = meta::finalizers(&old);
    set_policy(&mut finalizers, propagation);
    meta::set_finalizers(&mut new, &finalizers);
    let held = !finalizers.is_empty() || grace > 0 || has_namespace_finalizer(resource, &old);
    if !held {
        erase(state, place);
        return DeletionOutcome::Deleted;
    }
    mark(state, resource, &old, &mut new, grace);
    let uid = stored.uid.clone();
    if new != old && state.commit(resource, place.1.clone(), new).is_err() {
        // Marking makes an object a few bytes longer; without room for those it stays as it was.
        return DeletionOutcome::Terminating;
    }
    if grace > 0 && finalizers.is_empty() && !state.kubelet {
        let stop = STOP_TIME.min(Duration::from_secs(grace.unsigned_abs()));
        state.schedule_removal(Instant::now() + stop, uid.clone(), place.clone());
    }
    match propagation {
        Propagation::Orphan if finalizers.iter().any(|f| f == ORPHAN) => {
            release_dependents(state, &uid, place);
        }
        Propagation::Foreground => delete_dependents_first(state, &uid, place, depth),
        _ => {}
    }
    if resource.kind == "Namespace" && resource.group.is_empty() {
        empty_namespace(state, stored.name());
    }
    if state.get(&place.0, &place.1).is_some_and(|o| o.uid == uid) {
        DeletionOutcome::Terminating
    } else {
        DeletionOutcome::Deleted
    }
}

fn set_policy(finalizers: &mut Vec<String>, propagation: Propagation) {
    let add = match propagation {
        Propagation::Background => None,
        Propagation::Foreground => Some(FOREGROUND),
        Propagation::Orphan => Some(ORPHAN),
    };
    finalizers.retain(|f| f != FOREGROUND && f != ORPHAN);
    finalizers.extend(add.map(str::to_owned));
}

/// Seconds that a pod gets: none when nothing runs it.
fn pod_grace(pod: &Value, asked: Option<i64>) -> i64 {
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    if pod["spec"]["nodeName"].as_str().is_none_or(str::is_empty) || matches!(phase, "Succeeded" | "Failed") {
        return 0;
    }
    let asked = asked.or(pod["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(30).max(0);
    match pod["metadata"]["deletionGracePeriodSeconds"].as_i64() {
        // A grace period can be shortened, never stretched.
        Some(running) => running.min(asked),
        None => asked,
    }
}

/// Writes the marks of a deletion into `new`.
pub(crate) fn mark(state: &State, resource: &Resource, old: &Value, new: &mut Value, grace: i64) {
    let first = !meta::is_being_deleted(old);
    if first || old["metadata"]["deletionGracePeriodSeconds"] != grace {
        let after = Duration::from_secs(grace.unsigned_abs());
        new["metadata"]["deletionTimestamp"] = state.clock.stamp_after(after).into();
        new["metadata"]["deletionGracePeriodSeconds"] = grace.into();
    }
    if first && let Some(generation) = old["metadata"]["generation"].as_i64().filter(|g| *g > 0) {
        new["metadata"]["generation"] = (generation + 1).into();
    }
    if resource.kind == "Namespace" && resource.group.is_empty() {
        new["status"]["phase"] = "Terminating".into();
        new["metadata"].as_object_mut().map(|m| m.remove("deletionGracePeriodSeconds"));
    }
}

/// Takes an object out whatever holds it, and lets follow what follows from that.
pub(crate) fn erase(state: &mut State, place: &Place) {
    let mut queue = VecDeque::from([place.clone()]);
    while let Some(place) = queue.pop_front() {
        let Some(gone) = state.erase(&place) else { continue };
        for dependent in state.dependents_of(&gone.uid) {
            if lose_owner(state, &dependent, &gone.uid) {
                queue.push_back(dependent);
            }
        }
        for owner in &gone.owners {
            finish_foreground(state, owner, &mut queue);
        }
        withdraw_definition(state, &place, &gone);
        let namespace = gone.namespace();
        if !namespace.is_empty() {
            finish_namespace(state, namespace, &mut queue);
        }
    }
}

/// A definition that is gone takes the objects of its kind along.
fn withdraw_definition(state: &mut State, place: &Place, gone: &Arc<Stored>) {
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
        erase(state, &instance);
    }
    state.wake_watches(&storage);
}

/// An owner of `place` is gone: the reference goes, or the object does. True when it can be taken out now.
fn lose_owner(state: &mut State, place: &Place, owner: &str) -> bool {
    let Some(object) = state.get(&place.0, &place.1).cloned() else { return false };
    let Some(resource) = state.registry.by_storage(&place.0) else { return false };
    let others = object.owners.iter().any(|o| &**o != owner && state.place_of(o).is_some());
    if others {
        drop_reference(state, &resource, place, owner);
        return false;
    }
    let mut value = object.value();
    let grace = if resource.kind == "Pod" { pod_grace(&value, None) } else { 0 };
    if meta::finalizers(&value).is_empty() && grace == 0 {
        return true;
    }
    if !meta::is_being_deleted(&value) {
        let old = value.clone();
        mark(state, &resource, &old, &mut value, grace);
        let free = meta::finalizers(&value).is_empty();
        if state.commit(&resource, place.1.clone(), value).is_ok() && free && !state.kubelet {
            state.schedule_removal(Instant::now() + STOP_TIME, object.uid.clone(), place.clone());
        }
    }
    false
}

fn drop_reference(state: &mut State, resource: &Resource, place: &Place, owner: &str) {
    let Some(object) = state.get(&place.0, &place.1) else { return };
    let mut value = object.value();
    let Some(metadata) = value["metadata"].as_object_mut() else { return };
    if let Some(refs) = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut) {
        refs.retain(|r| r["uid"] != owner);
        if refs.is_empty() {
            metadata.remove("ownerReferences");
        }
    }
    // The object only gets shorter, so there is room for it.
    let _ = state.commit(resource, place.1.clone(), value);
}

/// Orphaning: dependents forget the owner, then the owner's finalizer goes.
fn release_dependents(state: &mut State, uid: &str, place: &Place) {
    for dependent in state.dependents_of(uid) {
        if let Some(resource) = state.registry.by_storage(&dependent.0) {
            drop_reference(state, &resource, &dependent, uid);
        }
    }
    drop_finalizer(state, place, ORPHAN);
}

/// Foreground deletion: dependents go first; the owner goes when none is left that blocks it.
fn delete_dependents_first(state: &mut State, uid: &str, place: &Place, depth: usize) {
    for dependent in state.dependents_of(uid) {
        let Some(object) = state.get(&dependent.0, &dependent.1).cloned() else { continue };
        let Some(resource) = state.registry.by_storage(&dependent.0) else { continue };
        let others = object.owners.iter().any(|o| &**o != uid && state.place_of(o).is_some());
        if others {
            drop_reference(state, &resource, &dependent, uid);
        } else if !meta::is_being_deleted(&object.value()) {
            let owns = depth < DEEPEST && !state.dependents_of(&object.uid).is_empty();
            let policy = if owns { Propagation::Foreground } else { Propagation::Background };
            delete_at(state, &resource, &dependent, policy, None, depth + 1);
        }
    }
    if state.get(&place.0, &place.1).is_some_and(|o| &*o.uid == uid) && !is_blocked(state, uid) {
        drop_finalizer(state, place, FOREGROUND);
    }
}

fn is_blocked(state: &State, uid: &str) -> bool {
    state.dependents_of(uid).iter().any(|place| {
        state.get(&place.0, &place.1).is_some_and(|object| {
            let refs = object.value()["metadata"]["ownerReferences"].take();
            let list = refs.as_array().cloned().unwrap_or_default();
            list.iter().any(|r| r["uid"] == uid && r["blockOwnerDeletion"] == true)
        })
    })
}

/// A dependent of `owner` went: if the owner waited for it in the foreground, it may go now.
fn finish_foreground(state: &mut State, owner: &str, queue: &mut VecDeque<Place>) {
    let Some(place) = state.place_of(owner).cloned() else { return };
    let Some(object) = state.get(&place.0, &place.1) else { return };
    let value = object.value();
    if !meta::is_being_deleted(&value)
        || !meta::finalizers(&value).iter().any(|f| f == FOREGROUND)
        || is_blocked(state, owner)
    {
        return;
    }
    if take_finalizer(state, &place, FOREGROUND) {
        queue.push_back(place);
    }
}

fn drop_finalizer(state: &mut State, place: &Place, finalizer: &str) {
    if take_finalizer(state, place, finalizer) {
        erase(state, place);
    }
}

/// Removes one finalizer; true when nothing holds the object any more.
fn take_finalizer(state: &mut State, place: &Place, finalizer: &str) -> bool {
    let Some(object) = state.get(&place.0, &place.1) else { return false };
    let mut value = object.value();
    let mut finalizers = meta::finalizers(&value);
    finalizers.retain(|f| f != finalizer);
    meta::set_finalizers(&mut value, &finalizers);
    let grace = value["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    if finalizers.is_empty() && grace == 0 {
        return true;
    }
    if let Some(resource) = state.registry.by_storage(&place.0) {
        // The object only gets shorter, so there is room for it.
        let _ = state.commit(&resource, place.1.clone(), value);
    }
    false
}

/// Deletes what a namespace holds, then the namespace when nothing is left.
fn empty_namespace(state: &mut State, namespace: &str) {
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
    finish_namespace(state, namespace, &mut queue);
    for place in queue {
        erase(state, &place);
    }
}

/// When a terminating namespace holds nothing any more, its own finalizer goes, and with it the namespace.
fn finish_namespace(state: &mut State, namespace: &str, queue: &mut VecDeque<Place>) {
    let storage = "/namespaces";
    let Some(object) = state.get(storage, namespace).cloned() else { return };
    let mut value = object.value();
    if !meta::is_being_deleted(&value) {
        return;
    }
    let left = state.tables().any(|(_, table)| table.has_namespace(namespace));
    if left {
        return;
    }
    let Some(resource) = state.registry.by_storage(storage) else { return };
    value["spec"] = json!({});
    let place: Place = (resource.storage.clone(), object.key.clone());
    if meta::finalizers(&value).is_empty() {
        queue.push_back(place);
    } else {
        // The object only gets shorter, so there is room for it.
        let _ = state.commit(&resource, place.1, value);
    }
}

/// An object was written: if none of its owners is there, it goes a moment later.
pub(crate) fn look_for_owners(state: &mut State, resource: &Resource, object: &Stored) {
    if is_ownerless(state, object) {
        let place = (resource.storage.clone(), object.key.clone());
        state.schedule_removal(Instant::now() + OWNERLESS_TIME, object.uid.clone(), place);
    }
}

fn is_ownerless(state: &State, object: &Stored) -> bool {
    !object.owners.is_empty() && object.owners.iter().all(|owner| state.place_of(owner).is_none())
}

/// Takes out what has fallen due by now.
pub(crate) fn run_due(state: &mut State) {
    let now = Instant::now();
    while let Some(place) = state.take_due(now) {
        let Some(object) = state.get(&place.0, &place.1).cloned() else { continue };
        let value = object.value();
        if !meta::is_being_deleted(&value) {
            // It was due for want of owners, and may have got one since.
            if is_ownerless(state, &object)
                && let Some(resource) = state.registry.by_storage(&place.0)
            {
                delete(state, &resource, &place, Propagation::Background, None);
            }
        } else if meta::finalizers(&value).is_empty() {
            erase(state, &place);
        }
    }
}

/// The policy of a deletion, from its options.
pub(crate) fn propagation(
    resource: &Resource,
    asked: Option<&str>,
    orphan: Option<bool>,
    finalizers: &[String],
) -> Propagation {
    match (asked, orphan) {
        (Some("Foreground"), _) => Propagation::Foreground,
        (Some("Orphan"), _) | (None, Some(true)) => Propagation::Orphan,
        (None, None) if finalizers.iter().any(|f| f == ORPHAN) => Propagation::Orphan,
        (None, None) if finalizers.iter().any(|f| f == FOREGROUND) => Propagation::Foreground,
        (None, None) if strategy::orphans_by_default(resource) => Propagation::Orphan,
        _ => Propagation::Background,
    }
}
