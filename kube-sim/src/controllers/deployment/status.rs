//! The status of a deployment: counts and conditions.

use std::time::Duration;

use serde_json::{Value, json};

use super::Deployment;
use crate::controllers::objects::{condition, name, number, remaining_time, seconds, time};
use crate::controllers::requeue;

impl Deployment<'_> {
    /// Writes the counts and the condition `Available` (`syncDeploymentStatus`).
    pub(super) fn update_status(&mut self) {
        let status = self.calculate_status();
        self.replace_status(status);
    }

    /// Writes the status, with the progress of the rollout (`syncRolloutStatus`). If the status has not
    /// changed, calls [`requeue_for_deadline`](Self::requeue_for_deadline): an unfinished rollout is
    /// reconciled again after its progress deadline (`progressDeadlineSeconds`).
    pub(super) fn update_rollout_status(&mut self) {
        let mut status = self.calculate_status();
        let current = condition(&self.object, "Progressing").cloned();
        if !self.has_deadline() {
            remove_condition(&mut status, "Progressing");
        }
        let is_done = number(&status["replicas"]) == number(&status["updatedReplicas"])
            && current.as_ref().is_some_and(|current| current["reason"] == "NewReplicaSetAvailable");
        if self.has_deadline() && !is_done {
            self.set_progressing_condition(&mut status, current.as_ref());
        }
        let failure =
            self.new_set.iter().chain(&self.old_sets).find_map(|set| condition(set, "ReplicaFailure"));
        match failure.cloned() {
            Some(mut failure) => {
                failure["lastUpdateTime"] = failure["lastTransitionTime"].clone();
                set_condition(&mut status, failure);
            }
            None => remove_condition(&mut status, "ReplicaFailure"),
        }
        if status == self.object["status"] {
            self.requeue_for_deadline(&status);
        } else {
            self.replace_status(status);
        }
    }

    /// Sets the condition `Progressing` if the rollout is complete, has progressed, or has exceeded its deadline.
    fn set_progressing_condition(&self, status: &mut Value, current: Option<&Value>) {
        let subject = match &self.new_set {
            Some(set) => format!("ReplicaSet \"{}\"", name(set)),
            None => format!("Deployment \"{}\"", name(&self.object)),
        };
        let now = self.state.clock.stamp();
        let progressing = |value: &str, reason: &str, message: String| {
            json!({
                "type": "Progressing", "status": value, "reason": reason, "message": message,
                "lastUpdateTime": now, "lastTransitionTime": now,
            })
        };
        if self.is_complete_with(status) {
            let message = format!("{subject} has successfully progressed.");
            set_condition(status, progressing("True", "NewReplicaSetAvailable", message));
        } else if self.has_progressed(status) {
            let message = format!("{subject} is progressing.");
            let mut condition = progressing("True", "ReplicaSetUpdated", message);
            if let Some(current) = current.filter(|current| current["status"] == "True") {
                condition["lastTransitionTime"] = current["lastTransitionTime"].clone();
            }
            // `lastUpdateTime` must change even if the reason stays the same. `set_condition` would keep the old
            // condition with its time, so the old condition is removed first.
            remove_condition(status, "Progressing");
            set_condition(status, condition);
        } else if current.is_some_and(|current| self.has_timed_out(current)) {
            let message = format!("{subject} has timed out progressing.");
            set_condition(status, progressing("False", "ProgressDeadlineExceeded", message));
        }
    }

    /// Whether all replicas are updated and available in the stored status.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete_with(&self.object["status"])
    }

    fn is_complete_with(&self, status: &Value) -> bool {
        ["updatedReplicas", "replicas", "availableReplicas"]
            .iter()
            .all(|field| number(&status[field]) == self.replicas())
            && number(&status["observedGeneration"]) >= number(&self.object["metadata"]["generation"])
    }

    /// Whether the new status has more updated, ready or available replicas, or fewer old ones, than the stored status.
    fn has_progressed(&self, new: &Value) -> bool {
        let old = &self.object["status"];
        let outdated = |status: &Value| number(&status["replicas"]) - number(&status["updatedReplicas"]);
        ["updatedReplicas", "readyReplicas", "availableReplicas"]
            .iter()
            .any(|field| number(&new[field]) > number(&old[field]))
            || outdated(new) < outdated(old)
    }

    fn has_timed_out(&self, current: &Value) -> bool {
        match current["reason"].as_str() {
            Some("NewReplicaSetAvailable") => false,
            Some("ProgressDeadlineExceeded") => true,
            _ => self.time_to_deadline(current).is_some_and(|rest| rest.is_zero()),
        }
    }

    /// The time until the deadline of the progress; zero if the deadline has passed.
    fn time_to_deadline(&self, current: &Value) -> Option<Duration> {
        let from = time(&current["lastUpdateTime"])?;
        Some(remaining_time(&self.state.clock, from, seconds(&self.spec()["progressDeadlineSeconds"])))
    }

    /// Requeues the deployment for the deadline of its progress (`requeueStuckDeployment`).
    fn requeue_for_deadline(&mut self, status: &Value) {
        let Some(current) = condition(&self.object, "Progressing") else { return };
        if !self.has_deadline()
            || self.is_complete_with(status)
            || current["reason"] == "ProgressDeadlineExceeded"
        {
            return;
        }
        if let Some(rest) = self.time_to_deadline(current) {
            requeue(self.state, self.key, rest + Duration::from_secs(1));
        }
    }

    /// The status with current counts, the current condition `Available`, and the other conditions of the stored
    /// status.
    fn calculate_status(&self) -> Value {
        let sum = |field: &str| -> i64 { self.all_sets().map(|set| number(&set["status"][field])).sum() };
        let size: i64 = self.all_sets().map(|set| number(&set["spec"]["replicas"])).sum();
        let available = sum("availableReplicas");
        let mut status = json!({
            "observedGeneration": self.object["metadata"]["generation"],
            "terminatingReplicas": sum("terminatingReplicas"),
        });
        // The counts in the following list are omitted if they are zero, as with `omitempty` in Go.
        let updated = self.new_set.as_ref().map_or(0, |set| number(&set["status"]["replicas"]));
        for (field, count) in [
            ("replicas", sum("replicas")),
            ("updatedReplicas", updated),
            ("readyReplicas", sum("readyReplicas")),
            ("availableReplicas", available),
            ("unavailableReplicas", (size - available).max(0)),
            ("collisionCount", number(&self.object["status"]["collisionCount"])),
        ] {
            if count != 0 {
                status[field] = count.into();
            }
        }
        let conditions = &self.object["status"]["conditions"];
        if conditions.is_array() {
            status["conditions"] = conditions.clone();
        }
        let now = self.state.clock.stamp();
        let is_available = available >= self.replicas() - self.max_unavailable();
        let (value, reason, message) = if is_available {
            ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        } else {
            ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        };
        set_condition(
            &mut status,
            json!({
                "type": "Available", "status": value, "reason": reason, "message": message,
                "lastUpdateTime": now, "lastTransitionTime": now,
            }),
        );
        status
    }

    fn replace_status(&mut self, status: Value) {
        if status != self.object["status"] {
            self.object["status"] = status;
            self.write_status();
        }
    }
}

/// Sets a condition, unless a condition with the same type, status and reason exists. `lastTransitionTime` remains if
/// the status does not change.
pub(super) fn set_condition(status: &mut Value, mut condition: Value) {
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let Some(list) = status["conditions"].as_array_mut() else { return };
    let at = list.iter().position(|old| old["type"] == condition["type"]);
    if let Some(at) = at {
        let old = &list[at];
        if old["status"] == condition["status"] && old["reason"] == condition["reason"] {
            return;
        }
        if old["status"] == condition["status"] {
            condition["lastTransitionTime"] = old["lastTransitionTime"].clone();
        }
        list.remove(at);
    }
    list.push(condition);
}

fn remove_condition(status: &mut Value, kind: &str) {
    let Some(list) = status["conditions"].as_array_mut() else { return };
    list.retain(|condition| condition["type"] != kind);
    if list.is_empty()
        && let Some(status) = status.as_object_mut()
    {
        status.remove("conditions");
    }
}
