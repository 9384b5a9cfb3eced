//! The controllers that the simulation runs: the garbage collector, the namespace controller and others.
//!
//! Each controller is a module with two functions. For each change in the store, `observe` returns the keys of the
//! objects to reconcile. When the delay of the controller has passed, `reconcile` compares the object of a key with its
//! desired state. Controllers write to the store directly. They send no requests, so faults and the journal do not
//! apply to them.
//!
//! The controllers run under the lock of the state, in a fixed order: after each write, before each request, and when a
//! watch is polled. A controller with a delay of zero therefore reconciles a change before the next request is handled.

mod custom_resource_definitions;
mod garbage_collector;
mod kubelet;
mod namespaces;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::store::object::Stored;
use crate::store::queue::{Controller, Key};
use crate::store::table::{Change, Event};
use crate::store::{Place, State};

/// The keys that the `observe` function of a controller returns: the place and uid of an object, and an extra delay.
/// The key is due after the delay of the controller plus the extra delay.
type Keys = Vec<(Place, Arc<str>, Duration)>;

/// Passes the changes since the last call to the controllers, then reconciles the objects whose keys are due.
pub(crate) fn run(state: &mut State) {
    let now = Instant::now();
    loop {
        while let Some((storage, event)) = state.next_unobserved() {
            observe(state, &storage, &event, now);
        }
        let Some(key) = state.pop_due(now) else { return };
        match key.controller {
            Controller::CustomResourceDefinition => custom_resource_definitions::reconcile(state, &key),
            Controller::GarbageCollector => garbage_collector::reconcile(state, &key),
            Controller::Kubelet => kubelet::reconcile(state, &key),
            Controller::Namespace => namespaces::reconcile(state, &key),
        }
    }
}

/// Queues the keys that each controller derives from an event.
fn observe(state: &mut State, storage: &Arc<str>, event: &Event, now: Instant) {
    for controller in Controller::ALL {
        let Some(delay) = state.delay(controller) else { continue };
        let keys = match controller {
            Controller::CustomResourceDefinition => custom_resource_definitions::observe(storage, event),
            Controller::GarbageCollector => garbage_collector::observe(state, storage, event),
            Controller::Kubelet => kubelet::observe(state, storage, event),
            Controller::Namespace => namespaces::observe(state, storage, event),
        };
        for (place, uid, extra_delay) in keys {
            state.add_key(Key { controller, place, uid }, now + delay + extra_delay);
        }
    }
}

/// [`Keys`] that contain only the changed object, without an extra delay.
fn own_key(storage: &Arc<str>, event: &Event) -> Keys {
    vec![((storage.clone(), event.object.key.clone()), event.object.uid.clone(), Duration::ZERO)]
}

fn is_deletion(event: &Event) -> bool {
    event.change == Change::Deleted
}

/// The object of a key, unless it has been deleted or recreated.
fn object_of(state: &State, key: &Key) -> Option<Arc<Stored>> {
    state.get(&key.place.0, &key.place.1).filter(|object| object.uid == key.uid).cloned()
}
