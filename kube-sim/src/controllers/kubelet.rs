//! The replacement for the kubelets: removes terminating pods from the store, as if their containers had stopped.

use std::sync::Arc;
use std::time::Duration;

use super::{Keys, is_deletion, object_of, own_key};
use crate::handler::object_meta;
use crate::store::State;
use crate::store::queue::Key;
use crate::store::table::Event;

/// The name of the table that contains the pods.
const PODS: &str = "/pods";

/// The time from the request to delete a pod until the pod is removed, unless the grace period is shorter.
const POD_REMOVAL_DELAY: Duration = Duration::from_secs(1);

/// The key of a terminating pod with a grace period; none while a
/// [`WorkloadSimulator`](crate::workload::WorkloadSimulator) simulates kubelets.
pub(super) fn keys_to_reconcile(state: &State, storage: &Arc<str>, event: &Event) -> Keys {
    if &**storage != PODS || is_deletion(event) || !event.object.is_terminating || state.simulates_kubelets {
        return Keys::new();
    }
    let grace = event.object.value()["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    if grace <= 0 {
        return Keys::new();
    }
    let mut keys = own_key(storage, event);
    keys[0].2 = POD_REMOVAL_DELAY.min(Duration::from_secs(grace.unsigned_abs()));
    keys
}

/// Removes a terminating pod, or ends its grace period if the pod has finalizers.
pub(super) fn reconcile(state: &mut State, key: &Key) {
    let Some(pod) = object_of(state, key) else { return };
    if !pod.is_terminating || state.simulates_kubelets {
        return;
    }
    let mut value = pod.value();
    if object_meta::finalizers(&value).is_empty() {
        state.erase(&key.object);
    } else if let Some(resource) = state.registry.find_by_storage(PODS) {
        value["metadata"]["deletionGracePeriodSeconds"] = 0.into();
        // The object does not get larger, so the commit cannot exceed the space quota.
        let _ = state.commit(&resource, key.object.1.clone(), value);
    }
}
