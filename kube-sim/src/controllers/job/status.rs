//! The conditions of jobs.

use serde_json::{Value, json};

use crate::controllers::objects::condition;

/// Sets a condition, unless it has this status already. Does not add a condition with the status `False`. Returns
/// whether the condition has changed.
pub(super) fn set_condition(
    job: &mut Value,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
    now: &str,
) -> bool {
    let new = json!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastProbeTime": now, "lastTransitionTime": now,
    });
    match condition(job, kind).map(|old| old["status"].clone()) {
        Some(old) if old == status => return false,
        None if status == "False" => return false,
        _ => {}
    }
    if !job["status"]["conditions"].is_array() {
        job["status"]["conditions"] = json!([]);
    }
    let Some(list) = job["status"]["conditions"].as_array_mut() else { return false };
    match list.iter().position(|old| old["type"] == kind) {
        Some(at) => list[at] = new,
        None => list.push(new),
    }
    true
}
