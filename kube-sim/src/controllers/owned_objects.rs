//! Functions for an owner, such as a replica set, and its objects. The functions create pods from a template, adopt
//! orphans, and release the objects that the selector of the owner does not select.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::objects::{
    controller_of, is_controlled_by, is_terminating, labels, list, name, namespace, storage_key_in, uid,
};
use super::writes::{self, CONTROLLER_MANAGER, Part};
use super::{Keys, is_deletion};
use crate::status::SimError;
use crate::store::selector::LabelSelector;
use crate::store::table::Event;
use crate::store::{State, StorageKey};

/// The kind of an owner, such as `ReplicaSet`, with its API version and its table in the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnerKind {
    pub(super) storage: &'static str,
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
}

impl OwnerKind {
    /// An owner reference that makes `owner` the controller of an object.
    pub(super) fn owner_reference(self, owner: &Value) -> Value {
        json!({
            "apiVersion": self.api_version, "kind": self.kind, "name": name(owner), "uid": uid(owner),
            "controller": true, "blockOwnerDeletion": true,
        })
    }

    /// The `involvedObject` of an Event about `object`.
    pub(super) fn involved_object(self, object: &Value) -> Value {
        json!({
            "apiVersion": self.api_version, "kind": self.kind, "name": name(object), "namespace": namespace(object),
            "uid": uid(object), "resourceVersion": object["metadata"]["resourceVersion"],
        })
    }

    /// Returns the keys of the owners to reconcile after an event. These are the stored owners of this kind that
    /// the changed object has, or had before the change.
    ///
    /// If there are no such owners, an owner may adopt the object. The function then returns the keys of all
    /// owners of this kind whose selector selects the object. But it returns no keys if the object has any
    /// other owner, or was deleted.
    pub(super) fn keys_of_owners(self, state: &State, event: &Event) -> Keys {
        let previous = event.previous.as_ref().map_or(&[][..], |previous| &previous.owners);
        let mut keys = Keys::new();
        for owner in event.object.owners.iter().chain(previous) {
            if let Some(storage_key) =
                state.storage_key_of(owner).filter(|storage_key| &*storage_key.0 == self.storage)
            {
                keys.push((storage_key.clone(), owner.clone(), Duration::ZERO));
            }
        }
        if keys.is_empty() && event.object.owners.is_empty() && !is_deletion(event) {
            let table = state.table(self.storage);
            let owners = table.map(|table| table.objects(event.object.namespace())).unwrap_or_default();
            let selecting =
                owners.iter().filter(|owner| selector(&owner.value()).matches(&event.object.labels));
            keys.extend(selecting.map(|owner| {
                ((Arc::from(self.storage), owner.key.clone()), owner.uid.clone(), Duration::ZERO)
            }));
        }
        keys
    }

    /// Releases the objects that `owner` controls but does not select. Adopts the selected objects that have no controller
    /// and are not terminating. Considers only the table `storage`. A terminating `owner` neither releases nor adopts
    /// objects. Returns the selected objects that `owner` now controls.
    pub(super) fn claim_objects(self, state: &mut State, owner: &Value, storage: &str) -> Vec<Value> {
        let selector = selector(owner);
        let mut claimed = Vec::new();
        for object in controlled_objects(state, owner, storage) {
            if selector.matches(&labels(&object)) {
                claimed.push(object);
            } else if !is_terminating(owner) {
                remove_owner_reference(state, &storage_key_in(storage, &object), uid(owner));
            }
        }
        if is_terminating(owner) {
            return claimed;
        }
        let table = state.table(storage);
        let orphans: Vec<StorageKey> = table
            .map(|table| table.objects(namespace(owner)))
            .unwrap_or_default()
            .iter()
            .filter(|object| !object.is_terminating && selector.matches(&object.labels))
            .filter(|object| object.owners.is_empty() || controller_of(&object.value()).is_none())
            .map(|object| (Arc::from(storage), object.key.clone()))
            .collect();
        for storage_key in orphans {
            let adopted = writes::modify(state, &storage_key, Part::Object, CONTROLLER_MANAGER, |object| {
                let owners = &mut object["metadata"]["ownerReferences"];
                if !owners.is_array() {
                    *owners = json!([]);
                }
                if let Some(owners) = owners.as_array_mut() {
                    owners.push(self.owner_reference(owner));
                }
            });
            claimed.extend(adopted.ok().flatten());
        }
        claimed
    }
}

/// The selector in the spec of an owner.
pub(super) fn selector(owner: &Value) -> LabelSelector {
    LabelSelector::from_json(&owner["spec"]["selector"])
}

/// The objects in the table `storage` whose controller is `owner`.
pub(super) fn controlled_objects(state: &State, owner: &Value, storage: &str) -> Vec<Value> {
    let storage_keys = state.dependents_of(uid(owner));
    let own = storage_keys.iter().filter(|storage_key| &*storage_key.0 == storage);
    let objects = own.filter_map(|storage_key| state.object_at(storage_key)).map(|object| object.value());
    objects.filter(|object| is_controlled_by(object, owner)).collect()
}

/// Removes the reference to the owner from an object.
fn remove_owner_reference(state: &mut State, storage_key: &StorageKey, owner: &str) {
    // The object gets smaller, so the commit cannot exceed the space quota.
    let _ = writes::modify(state, storage_key, Part::Object, CONTROLLER_MANAGER, |object| {
        let Some(metadata) = object["metadata"].as_object_mut() else { return };
        let Some(owners) = metadata.get_mut("ownerReferences").and_then(Value::as_array_mut) else { return };
        owners.retain(|reference| reference["uid"] != owner);
        if owners.is_empty() {
            metadata.remove("ownerReferences");
        }
    });
}

/// A pod from `template`, with `owner` as its controller. The pod has no name yet, only a `generateName`.
pub(super) fn pod_from_template(kind: OwnerKind, owner: &Value, template: &Value) -> Value {
    let mut pod = json!({
        "metadata": {
            "generateName": format!("{}-", name(owner)),
            "namespace": namespace(owner),
            "ownerReferences": [kind.owner_reference(owner)],
        },
        "spec": template["spec"],
    });
    for field in ["labels", "annotations", "finalizers"] {
        let value = &template["metadata"][field];
        if !value.is_null() {
            pod["metadata"][field] = value.clone();
        }
    }
    pod
}

/// Creates a pod of `owner`, and an Event about the success or failure.
///
/// # Errors
/// The `Status` with which the server refuses the pod.
pub(super) fn create_pod(
    state: &mut State,
    kind: OwnerKind,
    owner: &Value,
    pod: &Value,
    component: &str,
) -> Result<Value, SimError> {
    let created = writes::create(state, super::objects::PODS, pod, CONTROLLER_MANAGER);
    let involved = kind.involved_object(owner);
    match &created {
        Ok(pod) => {
            let message = format!("Created pod: {}", name(pod));
            super::events::record_normal(state, component, &involved, "SuccessfulCreate", &message);
        }
        Err(error) => {
            let message = format!("Error creating: {error}");
            super::events::record_warning(state, component, &involved, "FailedCreate", &message);
        }
    }
    created
}

/// Deletes a pod of `owner`, and creates an Event about the deletion.
pub(super) fn delete_pod(state: &mut State, kind: OwnerKind, owner: &Value, pod: &Value, component: &str) {
    writes::delete(state, &storage_key_in(super::objects::PODS, pod));
    let message = format!("Deleted pod: {}", name(pod));
    super::events::record_normal(
        state,
        component,
        &kind.involved_object(owner),
        "SuccessfulDelete",
        &message,
    );
}

/// The keys of the objects in the table `storage` that select the changed object of `event`. Services, for
/// example, select pods but do not own them. The function `selector` returns the selector of an object in the
/// table. This selector must match the labels of the changed object before or after the change.
pub(super) fn keys_of_objects_that_select(
    state: &State,
    storage: &'static str,
    event: &Event,
    selector: fn(&Value) -> Option<LabelSelector>,
) -> Keys {
    let table = state.table(storage);
    let candidates = table.map(|table| table.objects(event.object.namespace())).unwrap_or_default();
    let is_selected = |value: &Value| {
        selector(value).is_some_and(|selector| {
            selector.matches(&event.object.labels)
                || event.previous.as_ref().is_some_and(|previous| selector.matches(&previous.labels))
        })
    };
    let selecting = candidates.iter().filter(|candidate| is_selected(&candidate.value()));
    selecting
        .map(|found| ((Arc::from(storage), found.key.clone()), found.uid.clone(), Duration::ZERO))
        .collect()
}

/// The pods of `namespace` that `selector` selects.
pub(super) fn selected_pods(state: &State, namespace: &str, selector: &LabelSelector) -> Vec<Value> {
    let mut pods = list(state, super::objects::PODS, namespace);
    pods.retain(|pod| selector.matches(&labels(pod)));
    pods
}
