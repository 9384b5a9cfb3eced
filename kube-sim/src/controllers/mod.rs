//! The controllers that the simulation runs: the garbage collector, the namespace controller and others.
//!
//! Each controller is a module with two functions. For each change in the store, `observe` returns the keys of the
//! objects to reconcile. When the delay of the controller has passed, `reconcile` compares the object of a key with its
//! desired state. Controllers write to the store directly. They send no requests, so faults and the journal do not
//! apply to them.
//!
//! The controllers run under the lock of the state, in a fixed order: after each write, before each request, and when a
//! watch is polled. A controller with a delay of zero therefore reconciles a change before the next request is handled.

pub(crate) mod custom_resource_definitions;
mod deployment;
mod events;
mod garbage_collector;
mod kubelet;
mod namespace_defaults;
mod namespaces;
mod objects;
mod owned;
mod pod_lifecycle;
mod pods;
mod replica_set;
mod scheduler;
mod writes;

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

/// The maximum number of reconciles in one call of [`run`]. Controllers that undo each other's changes must not block
/// the server; the next call continues.
const MAX_RECONCILES: usize = 100_000;

/// The time after which a controller tries again to write an object that the server has refused.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// Passes the changes since the last call to the controllers, then reconciles the objects whose keys are due.
pub(crate) fn run(state: &mut State) {
    let now = Instant::now();
    for _ in 0..MAX_RECONCILES {
        while let Some((storage, event)) = state.next_unobserved() {
            observe(state, &storage, &event, now);
        }
        let Some(key) = state.pop_due(now) else { return };
        match key.controller {
            Controller::CustomResourceDefinition => custom_resource_definitions::reconcile(state, &key),
            Controller::GarbageCollector => garbage_collector::reconcile(state, &key),
            Controller::Kubelet => kubelet::reconcile(state, &key),
            Controller::Namespace => namespaces::reconcile(state, &key),
            // The key of a controller that was disabled after the event.
            controller if !state.runs(controller) => {}
            Controller::ServiceAccount => namespace_defaults::reconcile_service_account(state, &key),
            Controller::RootCaCertificate => namespace_defaults::reconcile_root_ca(state, &key),
            Controller::Deployment => deployment::reconcile(state, &key),
            Controller::ReplicaSet => replica_set::reconcile(state, &key),
            Controller::Scheduler => scheduler::reconcile(state),
            Controller::PodLifecycle => pod_lifecycle::reconcile(state, &key),
        }
    }
}

/// Queues the keys that each controller derives from an event.
fn observe(state: &mut State, storage: &Arc<str>, event: &Event, now: Instant) {
    let mut due = Vec::new();
    for (controller, delay) in state.delays() {
        let keys = match controller {
            Controller::CustomResourceDefinition => {
                custom_resource_definitions::observe(state, storage, event)
            }
            Controller::GarbageCollector => garbage_collector::observe(state, storage, event),
            Controller::Kubelet => kubelet::observe(state, storage, event),
            Controller::Namespace => namespaces::observe(state, storage, event),
            Controller::ServiceAccount => namespace_defaults::observe_service_accounts(state, storage, event),
            Controller::RootCaCertificate => namespace_defaults::observe_root_ca(state, storage, event),
            Controller::Deployment => deployment::observe(state, storage, event),
            Controller::ReplicaSet => replica_set::observe(state, storage, event),
            Controller::Scheduler => scheduler::observe(storage, event),
            Controller::PodLifecycle => pod_lifecycle::observe(state, storage, event),
        };
        due.extend(
            keys.into_iter().map(|(place, uid, extra)| (Key { controller, place, uid }, now + delay + extra)),
        );
    }
    for (key, at) in due {
        state.add_key(key, at);
    }
}

/// Adds a certificate authority to the bundle in the config map `kube-root-ca.crt` of each namespace.
pub(crate) fn publish_root_ca(state: &mut State, authority: &str) {
    let earlier = state.root_ca.as_deref().unwrap_or_default();
    state.root_ca = Some(format!("{earlier}{authority}").into());
    namespace_defaults::requeue_all(state);
    run(state);
}

/// Reconciles the object of a key again after a time.
fn requeue(state: &mut State, key: &Key, after: Duration) {
    state.add_key(key.clone(), Instant::now() + after);
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
