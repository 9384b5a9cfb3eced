//! The controllers that the simulation runs: the garbage collector, the namespace controller, the controllers of
//! workloads, the scheduler, replacements for the kubelets, and others.
//!
//! Each controller has two functions. For each change in the store, `keys_to_reconcile` returns the keys of the objects
//! to reconcile. When the delay of the controller has passed, `reconcile` compares the object of a key with its desired
//! state. Controllers write to the store directly. They send no requests, so faults and the journal do not apply to
//! them.
//!
//! The controllers run under the lock of the state, in a deterministic order. They run after each write, before each
//! request for a resource, and when a watch is polled. A controller with a delay of zero therefore reconciles a change
//! before the next request is handled.

pub(crate) mod client_ca;
mod controller_revisions;
mod cron_job;
pub(crate) mod custom_resource_definitions;
mod daemon_set;
mod deployment;
mod disruption;
mod endpoints;
mod events;
mod garbage_collector;
mod job;
mod kubelet;
mod namespace_defaults;
mod namespaces;
mod node_lifecycle;
mod objects;
mod owned_objects;
mod pod_lifecycle;
mod pods;
mod replica_set;
mod resource_quota;
mod scheduler;
mod stateful_set;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::store::object::StoredObject;
use crate::store::queue::{Controller, Key};
use crate::store::table::{Change, Event};
use crate::store::{State, StorageKey};

/// The objects that a controller reconciles because of an event. Each item contains the storage key and the uid of an
/// object, and an extra delay. The reconcile is due after the delay of the controller plus the extra delay.
type Keys = Vec<(StorageKey, Arc<str>, Duration)>;

/// The maximum number of reconciles in one call of [`run`]. Controllers that undo each other's changes must not block
/// the server; the next call continues.
const MAX_RECONCILES: usize = 20_000;

/// The time after which a controller tries again to write an object that the server has refused.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// For each change since the last call, queues the keys of the objects that each controller must reconcile. Then
/// reconciles the objects whose keys are due.
pub(crate) fn run(state: &mut State) {
    let now = Instant::now();
    for _ in 0..MAX_RECONCILES {
        while let Some((storage, event)) = state.pop_unobserved() {
            queue_keys(state, &storage, &event, now);
        }
        let Some(key) = state.pop_due(now) else { return };
        match key.controller {
            Controller::CustomResourceDefinition => custom_resource_definitions::reconcile(state, &key),
            Controller::GarbageCollector => garbage_collector::reconcile(state, &key),
            Controller::Kubelet => kubelet::reconcile(state, &key),
            Controller::Namespace => namespaces::reconcile(state, &key),
            // The controller was disabled after the key was queued.
            controller if !state.is_running(controller) => {}
            Controller::ServiceAccount => namespace_defaults::reconcile_service_account(state, &key),
            Controller::RootCaCertificate => namespace_defaults::reconcile_root_ca(state, &key),
            Controller::Deployment => deployment::reconcile(state, &key),
            Controller::ReplicaSet => replica_set::reconcile(state, &key),
            Controller::StatefulSet => stateful_set::reconcile(state, &key),
            Controller::DaemonSet => daemon_set::reconcile(state, &key),
            Controller::Job => job::reconcile(state, &key),
            Controller::CronJob => cron_job::reconcile(state, &key),
            Controller::EndpointSlice => endpoints::reconcile(state, &key),
            Controller::Disruption => disruption::reconcile(state, &key),
            Controller::ResourceQuota => resource_quota::reconcile(state, &key),
            Controller::NodeLifecycle => node_lifecycle::reconcile(state, &key),
            Controller::Scheduler => scheduler::reconcile(state),
            Controller::PodLifecycle => pod_lifecycle::reconcile(state, &key),
        }
    }
}

/// Queues the keys that each controller derives from an event.
fn queue_keys(state: &mut State, storage: &Arc<str>, event: &Event, now: Instant) {
    let running: Vec<(Controller, Duration)> = state.controller_delays().collect();
    for (controller, delay) in running {
        for (storage_key, uid, extra_delay) in keys_to_reconcile(state, controller, storage, event) {
            state.add_key(Key { controller, object: storage_key, uid }, now + delay + extra_delay);
        }
    }
}

/// The keys that a controller derives from an event.
fn keys_to_reconcile(state: &State, controller: Controller, storage: &Arc<str>, event: &Event) -> Keys {
    match controller {
        Controller::CustomResourceDefinition => {
            custom_resource_definitions::keys_to_reconcile(state, storage, event)
        }
        Controller::GarbageCollector => garbage_collector::keys_to_reconcile(state, storage, event),
        Controller::Kubelet => kubelet::keys_to_reconcile(state, storage, event),
        Controller::Namespace => namespaces::keys_to_reconcile(state, storage, event),
        Controller::ServiceAccount => {
            namespace_defaults::keys_for_service_account_controller(state, storage, event)
        }
        Controller::RootCaCertificate => namespace_defaults::keys_for_root_ca(state, storage, event),
        Controller::Deployment => deployment::keys_to_reconcile(state, storage, event),
        Controller::ReplicaSet => replica_set::keys_to_reconcile(state, storage, event),
        Controller::StatefulSet => stateful_set::keys_to_reconcile(state, storage, event),
        Controller::DaemonSet => daemon_set::keys_to_reconcile(state, storage, event),
        Controller::Job => job::keys_to_reconcile(state, storage, event),
        Controller::CronJob => cron_job::keys_to_reconcile(state, storage, event),
        Controller::EndpointSlice => endpoints::keys_to_reconcile(state, storage, event),
        Controller::Disruption => disruption::keys_to_reconcile(state, storage, event),
        Controller::ResourceQuota => resource_quota::keys_to_reconcile(state, storage, event),
        Controller::NodeLifecycle => node_lifecycle::keys_to_reconcile(state, storage, event),
        Controller::Scheduler => scheduler::keys_to_reconcile(storage, event),
        Controller::PodLifecycle => pod_lifecycle::keys_to_reconcile(state, storage, event),
    }
}

/// Sets the delay of a controller; `None` disables the controller. If the controller was disabled and now runs, queues the
/// keys that it derives from all objects. In the same way, a controller in a cluster lists all objects when it starts.
pub(crate) fn set_delay(state: &mut State, controller: Controller, delay: Option<Duration>) {
    let was_running = state.is_running(controller);
    state.set_controller_delay(controller, delay);
    let Some(delay) = delay.filter(|_| !was_running) else { return };
    let tables = state.tables().map(|(storage, table)| (storage.clone(), table.objects("")));
    let objects: Vec<_> = tables.collect();
    let now = Instant::now();
    for (storage, objects) in objects {
        for object in objects {
            let event = Event::new(Change::Added, object, None);
            for (storage_key, uid, extra_delay) in keys_to_reconcile(state, controller, &storage, &event) {
                state.add_key(Key { controller, object: storage_key, uid }, now + delay + extra_delay);
            }
        }
    }
    run(state);
}

/// Adds a certificate authority to the bundle in the config map `kube-root-ca.crt` of each namespace.
pub(crate) fn publish_root_ca(state: &mut State, authority: &str) {
    let earlier = state.root_ca.as_deref().unwrap_or_default();
    state.root_ca = Some(format!("{earlier}{authority}").into());
    namespace_defaults::requeue_all_namespaces(state);
    run(state);
}

/// The controllers that compare times in objects, such as deadlines, with the clock. Each controller is listed with the
/// table of these objects.
const TIMED_CONTROLLERS: [(Controller, &str); 9] = [
    (Controller::Deployment, objects::DEPLOYMENTS),
    (Controller::ReplicaSet, objects::REPLICA_SETS),
    (Controller::StatefulSet, "apps/statefulsets"),
    (Controller::DaemonSet, "apps/daemonsets"),
    (Controller::Job, job::JOBS),
    (Controller::CronJob, "batch/cronjobs"),
    (Controller::Disruption, "policy/poddisruptionbudgets"),
    (Controller::NodeLifecycle, objects::PODS),
    (Controller::PodLifecycle, objects::PODS),
];

/// Reconciles the objects in the tables of [`TIMED_CONTROLLERS`] after the clock has jumped.
pub(crate) fn reconcile_after_clock_jump(state: &mut State) {
    for (controller, storage) in TIMED_CONTROLLERS {
        if !state.is_running(controller) {
            continue;
        }
        let objects = state.objects(storage, "");
        for object in objects {
            let storage_key = (Arc::from(storage), object.key.clone());
            requeue(state, &Key { controller, object: storage_key, uid: object.uid.clone() }, Duration::ZERO);
        }
    }
    run(state);
}

/// Queues a key again. The key is due when `after` has passed. Does nothing if the clock cannot represent that time.
fn requeue(state: &mut State, key: &Key, after: Duration) {
    if let Some(at) = Instant::now().checked_add(after) {
        state.add_key(key.clone(), at);
    }
}

/// [`Keys`] with only the key of the changed object, without an extra delay.
fn own_key(storage: &Arc<str>, event: &Event) -> Keys {
    vec![((storage.clone(), event.object.key.clone()), event.object.uid.clone(), Duration::ZERO)]
}

fn is_deletion(event: &Event) -> bool {
    event.change == Change::Deleted
}

/// The object of a key; `None` if it has been deleted or recreated.
fn object_of(state: &State, key: &Key) -> Option<Arc<StoredObject>> {
    state.object_at(&key.object).filter(|object| object.uid == key.uid).cloned()
}
