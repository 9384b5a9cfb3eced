//! The admission plugin Priority: resolves the priority classes of pods, and refuses a second default class.

use std::sync::Arc;

use serde_json::Value;

use super::Write;
use crate::status::SimError;
use crate::store::State;
use crate::store::object::StoredObject;
use crate::strategy::is_system_class;

pub(super) const CLASSES: &str = "scheduling.k8s.io/priorityclasses";

/// The preemption policy of a pod without a priority class.
const DEFAULT_POLICY: &str = "PreemptLowerPriority";

/// Sets the class, the priority and the preemption policy of a new pod. If an update omits the priority or the policy,
/// the pod keeps the old value.
///
/// # Errors
/// 403 if the class does not exist, or if the pod has another priority or policy than its class.
pub(super) fn resolve(state: &mut State, write: &Write<'_>, pod: &mut Value) -> Result<(), SimError> {
    if let Some(old) = write.old {
        for field in ["priority", "preemptionPolicy"] {
            if pod["spec"][field].is_null() && !old["spec"][field].is_null() {
                pod["spec"][field] = old["spec"][field].clone();
            }
        }
        return Ok(());
    }
    if !pod["spec"].is_object() {
        return Ok(());
    }
    let class = match pod["spec"]["priorityClassName"].as_str().filter(|name| !name.is_empty()) {
        Some(name) => {
            let why = || write.forbidden(pod, &format!("no PriorityClass with name {name} was found"));
            Some(state.get(CLASSES, name).ok_or_else(why)?.clone())
        }
        None => default_class(state),
    };
    let class = class.as_ref().map(|class| state.decoded_value(class));
    let (priority, policy) = match &class {
        Some(class) => (class["value"].as_i64().unwrap_or(0), class["preemptionPolicy"].as_str()),
        None => (0, Some(DEFAULT_POLICY)),
    };
    let spec = &pod["spec"];
    if let Some(given) = spec["priority"].as_i64().filter(|given| *given != priority) {
        let why = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {priority} from the given PriorityClass name"
        );
        return Err(write.forbidden(pod, &why));
    }
    if let Some(policy) = policy
        && let Some(given) = spec["preemptionPolicy"].as_str().filter(|given| *given != policy)
    {
        let why = format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
        );
        return Err(write.forbidden(pod, &why));
    }
    if let Some(class) = &class {
        pod["spec"]["priorityClassName"] = class["metadata"]["name"].clone();
    }
    pod["spec"]["priority"] = priority.into();
    if let Some(policy) = policy {
        pod["spec"]["preemptionPolicy"] = policy.into();
    }
    Ok(())
}

/// The default class; if several exist, the one with the lowest value. A system priority class cannot be the
/// default.
fn default_class(state: &State) -> Option<Arc<StoredObject>> {
    let is_default = |class: &Arc<StoredObject>| {
        !is_system_class(class.name()) && state.decoded_value(class)["globalDefault"] == true
    };
    let defaults = state.objects(CLASSES, "").into_iter().filter(is_default);
    defaults.min_by_key(|class| state.decoded_value(class)["value"].as_i64())
}

/// Refuses a second default class.
pub(super) fn check_class(state: &State, write: &Write<'_>, class: &Value) -> Result<(), SimError> {
    if !write.is_to_any(&[("scheduling.k8s.io", "priorityclasses")]) || class["globalDefault"] != true {
        return Ok(());
    }
    let Some(default) = default_class(state) else { return Ok(()) };
    let name = default.name();
    if write.old.is_some() && class["metadata"]["name"] == name {
        return Ok(());
    }
    let why = format!("PriorityClass {name} is already marked as default. Only one default can exist");
    Err(write.forbidden(class, &why))
}
