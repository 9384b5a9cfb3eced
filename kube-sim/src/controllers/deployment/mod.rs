//! The deployment controller: rolls out the pod template of a deployment by creating and scaling replica sets. Names in
//! parentheses, such as `syncDeployment`, are functions of the deployment controller in Kubernetes.

mod new_replica_set;
mod rollout;
mod scaling;
mod status;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::objects::{
    DEPLOYMENTS, PODS, REPLICA_SETS, annotation, condition, is_terminating, number, scaled_value,
};
use super::owned_objects::{OwnerKind, selector};
use super::writes::{self, CONTROLLER_MANAGER, Part};
use super::{Keys, events, is_deletion, object_of, own_key};
use crate::store::State;
use crate::store::queue::Key;
use crate::store::table::Event;

/// The label that distinguishes the pods of different replica sets of a deployment.
const HASH_LABEL: &str = "pod-template-hash";
const REVISION_ANNOTATION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY_ANNOTATION: &str = "deployment.kubernetes.io/revision-history";
const DESIRED_REPLICAS_ANNOTATION: &str = "deployment.kubernetes.io/desired-replicas";
const MAX_REPLICAS_ANNOTATION: &str = "deployment.kubernetes.io/max-replicas";

/// The name of this controller in Events (`source.component`).
const COMPONENT: &str = "deployment-controller";

const KIND: OwnerKind = OwnerKind { storage: DEPLOYMENTS, api_version: "apps/v1", kind: "Deployment" };

/// The keys of a changed deployment, of the deployments that own or may adopt a changed replica set, and of
/// the deployment of a deleted pod.
pub(super) fn keys_to_reconcile(state: &State, storage: &Arc<str>, event: &Event) -> Keys {
    match &**storage {
        DEPLOYMENTS if !is_deletion(event) => own_key(storage, event),
        REPLICA_SETS => KIND.keys_of_owners(state, event),
        // With the strategy `Recreate`, a rollout waits until the old pods have ended.
        PODS if is_deletion(event) => {
            let sets = event.object.owners.iter().filter_map(|owner| state.storage_key_of(owner));
            let sets = sets.filter(|storage_key| &*storage_key.0 == REPLICA_SETS);
            let owners = sets
                .filter_map(|storage_key| state.object_at(storage_key))
                .flat_map(|set| set.owners.clone());
            let storage_keys = owners
                .filter_map(|owner| Some((state.storage_key_of(&owner)?.clone(), owner, Duration::ZERO)));
            storage_keys.filter(|(storage_key, ..)| &*storage_key.0 == DEPLOYMENTS).collect()
        }
        _ => Keys::new(),
    }
}

/// The state of one reconcile: a deployment with its replica sets.
struct Deployment<'a> {
    state: &'a mut State,
    key: &'a Key,
    object: Value,
    /// The replica set with the pod template of the deployment.
    new_set: Option<Value>,
    /// The other replica sets, oldest first.
    old_sets: Vec<Value>,
}

/// Performs one step of the rollout of a deployment, and writes its status.
pub(super) fn reconcile(state: &mut State, key: &Key) {
    let Some(stored) = object_of(state, key) else { return };
    let object = stored.value();
    if selector(&object).is_empty() {
        let message = "This deployment is selecting all pods. A non-empty selector is required.";
        return events::record_warning(
            state,
            COMPONENT,
            &KIND.involved_object(&object),
            "SelectingAll",
            message,
        );
    }
    let mut sets = KIND.claim_objects(state, &object, REPLICA_SETS);
    sets.sort_by(compare_by_creation_time);
    let mut deployment = Deployment { state, key, object, new_set: None, old_sets: Vec::new() };
    deployment.divide_sets(sets);
    deployment.sync();
}

impl Deployment<'_> {
    /// Performs the step that the state of the deployment requires (`syncDeployment`).
    fn sync(&mut self) {
        if is_terminating(&self.object) {
            return self.update_status();
        }
        self.report_pause_or_resume();
        if self.spec()["paused"] == true {
            return self.sync_scale();
        }
        if !self.sync_new_set() {
            return;
        }
        if self.needs_scaling() {
            return self.sync_scale();
        }
        match self.spec()["strategy"]["type"].as_str() {
            Some("Recreate") => self.roll_out_by_recreation(),
            _ => self.roll_out(),
        }
    }

    /// Scales the replica sets of a deployment that is paused or whose `spec.replicas` has changed
    /// (`DeploymentController.sync`). Writes the status.
    fn sync_scale(&mut self) {
        if self.spec()["paused"] == true && !self.sync_new_set() {
            return;
        }
        self.scale();
        if self.spec()["paused"] == true {
            self.delete_excess_old_sets();
        }
        self.update_status();
    }

    /// Whether `spec.replicas` has changed since the active replica sets were scaled (`isScalingEvent`).
    fn needs_scaling(&self) -> bool {
        let replicas = self.replicas();
        let desired = |set: &Value| {
            annotation(set, DESIRED_REPLICAS_ANNOTATION).and_then(|text| text.parse::<i64>().ok())
        };
        self.all_sets()
            .filter(|set| is_active(set))
            .any(|set| desired(set).is_some_and(|desired| desired != replicas))
    }

    /// Writes the condition `Progressing` after the deployment has been paused or resumed (`checkPausedConditions`).
    fn report_pause_or_resume(&mut self) {
        if !self.has_deadline() {
            return;
        }
        let reason = condition(&self.object, "Progressing").map(|found| found["reason"].clone());
        let (is_paused, was_paused) =
            (self.spec()["paused"] == true, reason == Some("DeploymentPaused".into()));
        if is_paused == was_paused || reason == Some("ProgressDeadlineExceeded".into()) {
            return;
        }
        let (reason, message) = if is_paused {
            ("DeploymentPaused", "Deployment is paused")
        } else {
            ("DeploymentResumed", "Deployment is resumed")
        };
        self.set_condition("Progressing", "Unknown", reason, message);
        self.write_status();
    }

    fn spec(&self) -> &Value {
        &self.object["spec"]
    }

    fn replicas(&self) -> i64 {
        number(&self.spec()["replicas"])
    }

    /// All replica sets: the old ones, then the new one.
    fn all_sets(&self) -> impl Iterator<Item = &Value> {
        self.old_sets.iter().chain(&self.new_set)
    }

    /// Whether the rollout has a deadline for its progress. The largest value of `progressDeadlineSeconds` means that
    /// there is no deadline.
    fn has_deadline(&self) -> bool {
        self.spec()["progressDeadlineSeconds"]
            .as_i64()
            .is_some_and(|deadline| deadline != i64::from(i32::MAX))
    }

    fn is_rolling_update(&self) -> bool {
        self.spec()["strategy"]["type"] == "RollingUpdate"
    }

    /// The maximum number of pods above `spec.replicas` during a rollout.
    fn max_surge(&self) -> i64 {
        if !self.is_rolling_update() {
            return 0;
        }
        scaled_value(&self.spec()["strategy"]["rollingUpdate"]["maxSurge"], self.replicas(), true)
    }

    /// The maximum number of unavailable pods, out of `spec.replicas`, during a rollout.
    fn max_unavailable(&self) -> i64 {
        if !self.is_rolling_update() || self.replicas() == 0 {
            return 0;
        }
        let limit = &self.spec()["strategy"]["rollingUpdate"]["maxUnavailable"];
        let unavailable = scaled_value(limit, self.replicas(), false);
        // Without surge, a rollout needs an unavailable pod.
        let unavailable = if unavailable == 0 && self.max_surge() == 0 { 1 } else { unavailable };
        unavailable.min(self.replicas())
    }

    /// Creates an Event about the deployment.
    fn record_event(&mut self, is_warning: bool, reason: &str, message: &str) {
        let involved = KIND.involved_object(&self.object);
        let record = if is_warning { events::record_warning } else { events::record_normal };
        record(self.state, COMPONENT, &involved, reason, message);
    }

    /// Sets a condition of `object`. As in Kubernetes, a condition with the same status and reason remains unchanged.
    fn set_condition(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let now = self.state.clock.stamp();
        status::set_condition(
            &mut self.object["status"],
            json!({
                "type": kind, "status": status, "reason": reason, "message": message, "lastUpdateTime": now,
                "lastTransitionTime": now,
            }),
        );
    }

    /// Writes the status and the annotations of `object`. A write to the subresource `status` may change annotations
    /// too.
    fn write_status(&mut self) {
        let (status, annotations) = (&self.object["status"], &self.object["metadata"]["annotations"]);
        let written =
            writes::modify(self.state, &self.key.object, Part::Status, CONTROLLER_MANAGER, |stored| {
                stored["status"] = status.clone();
                if annotations.is_object() {
                    stored["metadata"]["annotations"] = annotations.clone();
                }
            });
        if let Ok(Some(object)) = written {
            self.object = object;
        }
    }
}

/// Whether the desired number of replicas of a replica set is greater than zero.
fn is_active(set: &Value) -> bool {
    number(&set["spec"]["replicas"]) > 0
}

/// Compares two replica sets by creation time, then by name.
fn compare_by_creation_time(a: &Value, b: &Value) -> std::cmp::Ordering {
    let created = |set: &Value| set["metadata"]["creationTimestamp"].as_str().map(str::to_owned);
    created(a).cmp(&created(b)).then_with(|| super::objects::name(a).cmp(super::objects::name(b)))
}

/// The revision of a replica set; 0 if it has none.
fn revision(set: &Value) -> i64 {
    annotation(set, REVISION_ANNOTATION).and_then(|text| text.parse().ok()).unwrap_or(0)
}
