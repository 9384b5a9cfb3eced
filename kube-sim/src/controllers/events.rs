//! The Events of the controllers. If a controller repeats an Event about an object, the count of the first Event
//! increases.

use serde_json::{Value, json};

use super::objects::{find, name, namespace, storage_key_in};
use super::writes::{self, Part};
use crate::store::State;

const EVENTS: &str = "/events";

/// The maximum number of stored Events that the controllers have created. If the controllers create more
/// Events, the oldest of these Events is deleted. A cluster deletes each Event after an hour instead.
const MAX_EVENTS: usize = 1_000;

/// Creates an Event of the type `Normal`, or increases the count of an equal one.
pub(super) fn record_normal(
    state: &mut State,
    component: &str,
    involved: &Value,
    reason: &str,
    message: &str,
) {
    record(state, component, involved, ["Normal", reason, message]);
}

/// Creates an Event of the type `Warning`, or increases the count of an equal one.
pub(super) fn record_warning(
    state: &mut State,
    component: &str,
    involved: &Value,
    reason: &str,
    message: &str,
) {
    record(state, component, involved, ["Warning", reason, message]);
}

/// Creates an Event, or increases the count of an equal one. The name of an Event depends on its content, so that equal
/// ones have the same name.
fn record(state: &mut State, component: &str, involved: &Value, [kind, reason, message]: [&str; 3]) {
    let namespace_name = match involved["namespace"].as_str() {
        Some(namespace) if !namespace.is_empty() => namespace,
        _ => "default",
    };
    let key = json!([component, involved["kind"], involved["uid"], kind, reason, message]);
    let object = involved["name"].as_str().unwrap_or_default();
    let event_name = format!("{object}.{}", super::objects::hash(&key, None));
    let now = state.clock.stamp();
    if let Some(event) = find(state, EVENTS, namespace_name, &event_name) {
        // An Event that is not written is lost, as in a cluster.
        let _ = writes::modify(state, &storage_key_in(EVENTS, &event), Part::Object, component, |event| {
            event["count"] = (event["count"].as_i64().unwrap_or(1) + 1).into();
            event["lastTimestamp"] = now.into();
        });
        return;
    }
    let event = json!({
        "metadata": {"name": event_name, "namespace": namespace_name},
        "involvedObject": involved,
        "reason": reason,
        "message": message,
        "type": kind,
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": "",
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    });
    if let Err(error) = writes::create(state, EVENTS, &event, component) {
        tracing::debug!(%error, event = name(&event), namespace = namespace(&event), "cannot create an event");
        return;
    }
    state.recorded_events.push_back(storage_key_in(EVENTS, &event));
    if state.recorded_events.len() > MAX_EVENTS
        && let Some(oldest) = state.recorded_events.pop_front()
    {
        state.erase(&oldest);
    }
}
