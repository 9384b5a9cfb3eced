//! The controllers that the simulation runs: the garbage collector, the namespace controller and others.
//!
//! All controllers have the same shape. The log of the store feeds them: for each change, [`observe`] of a controller
//! returns the keys of the objects to reconcile. A key is due after the delay of its controller, and `reconcile` then
//! compares the state of the object with the desired state. Controllers use the store like the server's own storage
//! layer: they send no requests, so faults and the journal do not concern them.
//!
//! The controllers run under the lock of the state, in a fixed order: after each write, before each request, and when a
//! watch is polled. With a delay of zero, the changes of the controllers therefore follow a write before any request can
//! see the state between.

mod definitions;
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

/// The keys that a controller adds for a change, each with the time until it is due, in addition to the delay of the
/// controller.
type Keys = Vec<(Place, Arc<str>, Duration)>;

/// Feeds the controllers with the changes since the last call, and reconciles the objects that are due.
pub(crate) fn run(state: &mut State) {
    let now = Instant::now();
    loop {
        while let Some((storage, event)) = state.next_unobserved() {
            observe(state, &storage, &event, now);
        }
        let Some(key) = state.pop_due(now) else { return };
        match key.controller {
            Controller::CustomResourceDefinition => definitions::reconcile(state, &key),
            Controller::GarbageCollector => garbage_collector::reconcile(state, &key),
            Controller::Kubelet => kubelet::reconcile(state, &key),
            Controller::Namespace => namespaces::reconcile(state, &key),
        }
    }
}

/// Adds the keys of all controllers for a change to the queue.
fn observe(state: &mut State, storage: &Arc<str>, event: &Event, now: Instant) {
    for controller in Controller::ALL {
        let Some(delay) = state.delay(controller) else { continue };
        let keys = match controller {
            Controller::CustomResourceDefinition => definitions::observe(storage, event),
            Controller::GarbageCollector => garbage_collector::observe(state, storage, event),
            Controller::Kubelet => kubelet::observe(state, storage, event),
            Controller::Namespace => namespaces::observe(state, storage, event),
        };
        for (place, uid, after) in keys {
            state.add_key(Key { controller, place, uid }, now + delay + after);
        }
    }
}

/// The key of the changed object, which is due after the delay of the controller.
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
