//! Deletion of objects by the server: finalizers, grace periods, and the deletion propagation policy.
//!
//! The policies `Foreground` and `Orphan` only add finalizers here. The garbage collector in `controllers` handles the
//! dependents.

use serde_json::Value;

use super::object_meta;
use crate::clock::Clock;
use crate::registry::Resource;
use crate::store::{State, StorageKey};

/// The deletion propagation policy: the handling of the dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// The finalizer of the foreground policy: the object is removed after its dependents.
pub(crate) const FOREGROUND_FINALIZER: &str = "foregroundDeletion";
/// The finalizer of the orphan policy: the object is removed after its dependents have lost their owner reference.
pub(crate) const ORPHAN_FINALIZER: &str = "orphan";

/// Whether this update completes a deletion: it removes the last finalizer of an object that has a deletionTimestamp
/// and a grace period of zero. The finalizers in the spec of a `Namespace` count too.
pub(crate) fn completes_deletion(resource: &Resource, old: &Value, new: &Value) -> bool {
    let deletion = &resource.strategy.deletion;
    let was_deferred = !object_meta::finalizers(old).is_empty() || deletion.is_deferred_by_spec(old);
    object_meta::is_being_deleted(old)
        && was_deferred
        && object_meta::finalizers(new).is_empty()
        && !deletion.is_deferred_by_spec(new)
        && old["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
}

/// Deletes one object. An object with finalizers or a grace period only gets a deletionTimestamp.
pub(crate) fn delete(
    state: &mut State,
    resource: &Resource,
    storage_key: &StorageKey,
    propagation: Propagation,
    grace: Option<i64>,
) {
    let Some(stored) = state.object_at(storage_key).cloned() else { return };
    let old = stored.value();
    let mut new = old.clone();
    if !defer_removal(&state.clock, resource, &mut new, propagation, grace) {
        state.erase(storage_key);
        return;
    }
    if new != old {
        // The commit fails if the object with its deletionTimestamp exceeds the space quota. The stored
        // object is then unchanged.
        let _ = state.commit(resource, storage_key.1.clone(), new);
    }
}

/// Prepares an object for its deletion. Returns whether the removal of the object is deferred.
///
/// If the kind has a function [`DeletionStrategy::defer`](crate::strategy::DeletionStrategy), and the object
/// is not yet being deleted, calls this function. The removal is then deferred.
///
/// In all other cases, a finalizer or a grace period defers the removal. The finalizer of `propagation`
/// counts too. If the removal is deferred, adds this finalizer and sets the deletionTimestamp.
pub(crate) fn defer_removal(
    clock: &Clock,
    resource: &Resource,
    object: &mut Value,
    propagation: Propagation,
    grace: Option<i64>,
) -> bool {
    let old = object.clone();
    let deletion = &resource.strategy.deletion;
    if let Some(defer) = deletion.defer.filter(|_| !object_meta::is_being_deleted(&old)) {
        defer(object, &clock.stamp());
        return true;
    }
    let grace = deletion.grace_seconds(&old, grace);
    let mut finalizers = object_meta::finalizers(&old);
    set_policy_finalizer(&mut finalizers, propagation);
    let deferred = !finalizers.is_empty() || grace > 0 || deletion.is_deferred_by_spec(&old);
    if deferred {
        object_meta::set_finalizers(object, &finalizers);
        mark_deleted(clock, resource, &old, object, grace);
    }
    deferred
}

/// Removes the finalizers of all propagation policies, and adds the finalizer of the policy `propagation`.
/// The policy `Background` has no finalizer.
fn set_policy_finalizer(finalizers: &mut Vec<String>, propagation: Propagation) {
    let add = match propagation {
        Propagation::Background => None,
        Propagation::Foreground => Some(FOREGROUND_FINALIZER),
        Propagation::Orphan => Some(ORPHAN_FINALIZER),
    };
    finalizers.retain(|f| f != FOREGROUND_FINALIZER && f != ORPHAN_FINALIZER);
    finalizers.extend(add.map(str::to_owned));
}

/// Sets deletionTimestamp, deletionGracePeriodSeconds and the generation in `new`, and then makes the changes that the
/// strategy of the kind defines for a deletion.
pub(crate) fn mark_deleted(clock: &Clock, resource: &Resource, old: &Value, new: &mut Value, grace: i64) {
    let first = !object_meta::is_being_deleted(old);
    if first || old["metadata"]["deletionGracePeriodSeconds"] != grace {
        let after = std::time::Duration::from_secs(grace.unsigned_abs());
        new["metadata"]["deletionTimestamp"] = clock.stamp_after(after).into();
        new["metadata"]["deletionGracePeriodSeconds"] = grace.into();
    }
    if first && let Some(generation) = old["metadata"]["generation"].as_i64().filter(|g| *g > 0) {
        new["metadata"]["generation"] = (generation + 1).into();
    }
    (resource.strategy.deletion.mark)(new);
}

/// Removes one finalizer of an object that is being deleted. Also removes the object if no other finalizer and no grace
/// period defers the removal.
pub(crate) fn remove_finalizer(state: &mut State, storage_key: &StorageKey, finalizer: &str) {
    let Some(object) = state.object_at(storage_key) else { return };
    let mut value = object.value();
    let mut finalizers = object_meta::finalizers(&value);
    finalizers.retain(|f| f != finalizer);
    object_meta::set_finalizers(&mut value, &finalizers);
    let Some(resource) = state.registry.find_by_storage(&storage_key.0) else { return };
    let grace = value["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    if finalizers.is_empty() && grace == 0 && !resource.strategy.deletion.is_deferred_by_spec(&value) {
        state.erase(storage_key);
    } else {
        // The object gets smaller, so the commit cannot exceed the space quota.
        let _ = state.commit(&resource, storage_key.1.clone(), value);
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
