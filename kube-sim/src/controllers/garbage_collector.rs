//! The garbage collector: deletes objects whose owners do not exist, and completes deletions with the policies
//! `Foreground` and `Orphan`.
//!
//! A deletion with one of these policies adds a finalizer to the owner. The garbage collector deletes or orphans the
//! dependents, and then removes the finalizer.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{Keys, is_deletion, object_of, own_key};
use crate::handler::deletion::{self, FOREGROUND_FINALIZER, ORPHAN_FINALIZER, Propagation};
use crate::handler::object_meta;
use crate::store::object::StoredObject;
use crate::store::queue::Key;
use crate::store::table::Event;
use crate::store::{State, StorageKey};

/// The extra delay in [`Keys`] for an object that is written while none of its owners exists. During the delay, a
/// client can correct the owner references.
const MISSING_OWNERS_DELAY: Duration = Duration::from_secs(1);

/// Returns the keys of the objects that a change concerns:
/// - the changed object, if it is terminating, or if it has owners and none of them exists
/// - the dependents of a deleted object
/// - terminating owners that may have lost their last dependent
pub(super) fn keys_to_reconcile(state: &State, storage: &Arc<str>, event: &Event) -> Keys {
    let object = &event.object;
    let mut keys = Keys::new();
    if is_deletion(event) {
        keys.extend(
            state
                .dependents_of(&object.uid)
                .into_iter()
                .filter_map(|storage_key| key_without_extra_delay(state, storage_key)),
        );
    } else if object.is_terminating {
        keys = own_key(storage, event);
    } else if !object.owners.is_empty() && object.owners.iter().all(|uid| state.storage_key_of(uid).is_none())
    {
        keys = own_key(storage, event);
        keys[0].2 = MISSING_OWNERS_DELAY;
    }
    // The deletion of a terminating owner may wait for this dependent.
    let previous_owners = event.previous.as_ref().map_or(&[][..], |previous| &previous.owners);
    if is_deletion(event) || previous_owners != object.owners.as_slice() {
        let owners = previous_owners.iter().filter_map(|uid| state.storage_key_of(uid).cloned());
        let waiting =
            owners.filter(|storage_key| state.object_at(storage_key).is_some_and(|o| o.is_terminating));
        keys.extend(waiting.filter_map(|storage_key| key_without_extra_delay(state, storage_key)));
    }
    keys
}

/// An item of [`Keys`] for the object at `storage_key`, without an extra delay; `None` if the object does not exist.
fn key_without_extra_delay(
    state: &State,
    storage_key: StorageKey,
) -> Option<(StorageKey, Arc<str>, Duration)> {
    let uid = state.object_at(&storage_key)?.uid.clone();
    Some((storage_key, uid, Duration::ZERO))
}

/// Deletes or orphans the dependents of a terminating object. For any other object, removes the references to owners
/// that do not exist, or deletes the object if none of its owners exists.
pub(super) fn reconcile(state: &mut State, key: &Key) {
    let Some(object) = object_of(state, key) else { return };
    if object.is_terminating {
        let finalizers = object_meta::finalizers(&object.value());
        if finalizers.iter().any(|f| f == ORPHAN_FINALIZER) {
            orphan_dependents(state, &key.object, &object);
        } else if finalizers.iter().any(|f| f == FOREGROUND_FINALIZER) {
            delete_dependents_first(state, &key.object, &object);
        }
        return;
    }
    let exists = |uid: &&Arc<str>| state.storage_key_of(uid).is_some();
    let missing: Vec<Arc<str>> = object.owners.iter().filter(|uid| !exists(uid)).cloned().collect();
    if missing.is_empty() {
        return;
    }
    if missing.len() < object.owners.len() {
        drop_owner_references(state, &key.object, &missing);
    } else if let Some(resource) = state.registry.find_by_storage(&key.object.0) {
        let finalizers = object_meta::finalizers(&object.value());
        let policy = if finalizers.iter().any(|f| f == ORPHAN_FINALIZER) {
            Propagation::Orphan
        } else if finalizers.iter().any(|f| f == FOREGROUND_FINALIZER) {
            Propagation::Foreground
        } else {
            Propagation::Background
        };
        deletion::delete(state, &resource, &key.object, policy, None);
    }
}

/// Removes the references to these owners from an object.
fn drop_owner_references(state: &mut State, storage_key: &StorageKey, owners: &[Arc<str>]) {
    let Some(object) = state.object_at(storage_key) else { return };
    let mut value = object.value();
    let Some(metadata) = value["metadata"].as_object_mut() else { return };
    if let Some(refs) = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut) {
        refs.retain(|reference| !owners.iter().any(|uid| reference["uid"] == **uid));
        if refs.is_empty() {
            metadata.remove("ownerReferences");
        }
    }
    if let Some(resource) = state.registry.find_by_storage(&storage_key.0) {
        // The object gets smaller, so the commit cannot exceed the space quota.
        let _ = state.commit(&resource, storage_key.1.clone(), value);
    }
}

/// Orphan policy: removes the owner reference from all dependents, then the `orphan` finalizer from the owner.
fn orphan_dependents(state: &mut State, storage_key: &StorageKey, owner: &StoredObject) {
    for dependent in state.dependents_of(&owner.uid) {
        drop_owner_references(state, &dependent, std::slice::from_ref(&owner.uid));
    }
    deletion::remove_finalizer(state, storage_key, ORPHAN_FINALIZER);
}

/// Foreground policy: deletes the dependents. If another owner of a dependent exists, only removes the owner reference
/// from the dependent. Removes the `foregroundDeletion` finalizer from the owner once no dependent with
/// `blockOwnerDeletion` exists.
fn delete_dependents_first(state: &mut State, storage_key: &StorageKey, owner: &StoredObject) {
    for dependent in state.dependents_of(&owner.uid) {
        let Some(object) = state.object_at(&dependent).cloned() else { continue };
        let Some(resource) = state.registry.find_by_storage(&dependent.0) else { continue };
        if object.owners.iter().any(|uid| *uid != owner.uid && state.storage_key_of(uid).is_some()) {
            drop_owner_references(state, &dependent, std::slice::from_ref(&owner.uid));
        } else if !object.is_terminating {
            let owns = !state.dependents_of(&object.uid).is_empty();
            let policy = if owns { Propagation::Foreground } else { Propagation::Background };
            deletion::delete(state, &resource, &dependent, policy, None);
        }
    }
    if !has_blocking_dependent(state, &owner.uid) {
        deletion::remove_finalizer(state, storage_key, FOREGROUND_FINALIZER);
    }
}

/// Whether the owner has a dependent with `blockOwnerDeletion`.
fn has_blocking_dependent(state: &State, owner: &str) -> bool {
    state.dependents_of(owner).iter().any(|storage_key| {
        state.object_at(storage_key).is_some_and(|object| {
            let value = object.value();
            let references = value["metadata"]["ownerReferences"].as_array();
            let blocks = |r: &Value| r["uid"] == owner && r["blockOwnerDeletion"] == true;
            references.is_some_and(|references| references.iter().any(blocks))
        })
    })
}
