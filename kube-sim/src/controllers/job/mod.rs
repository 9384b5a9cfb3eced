//! The job controller: runs pods until enough of them have succeeded, or too many have failed.
//!
//! A pod has a finalizer until the controller has counted it, so that a deleted pod is counted too.

mod indexes;
mod pods;
mod status;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use self::indexes::Indexes;
use super::objects::{
    PODS, condition, controller_of, is_condition_true, is_terminating, name, number, remaining_time, seconds,
    storage_key_in, time,
};
use super::owned_objects::{self, OwnerKind};
use super::pods::{is_active, is_ready, phase};
use super::writes::{self, CONTROLLER_MANAGER, Part};
use super::{Keys, events, is_deletion, object_of, own_key, requeue};
use crate::handler::deletion::{self, Propagation};
use crate::handler::object_meta;
use crate::store::State;
use crate::store::queue::Key;
use crate::store::table::Event;

pub(super) const JOBS: &str = "batch/jobs";
const COMPONENT: &str = "job-controller";

/// The finalizer of the pods that the controller has not counted yet.
const TRACKING_FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// The key of an annotation and a label of a pod. Both contain the completion index of the pod.
const INDEX_KEY: &str = "batch.kubernetes.io/job-completion-index";

pub(super) const KIND: OwnerKind = OwnerKind { storage: JOBS, api_version: "batch/v1", kind: "Job" };

/// The keys of a changed job, of the jobs that own or select a changed pod, and of a terminating pod whose job does not
/// exist.
pub(super) fn keys_to_reconcile(state: &State, storage: &Arc<str>, event: &Event) -> Keys {
    match &**storage {
        JOBS if !is_deletion(event) => own_key(storage, event),
        PODS => {
            let keys = KIND.keys_of_owners(state, event);
            if keys.is_empty() && !is_deletion(event) && event.object.is_terminating {
                let pod = event.object.value();
                if object_meta::finalizers(&pod).iter().any(|finalizer| finalizer == TRACKING_FINALIZER) {
                    return own_key(storage, event);
                }
            }
            keys
        }
        _ => Keys::new(),
    }
}

/// The state of one reconcile: a job with its pods.
struct Job<'a> {
    state: &'a mut State,
    key: &'a Key,
    object: Value,
    pods: Vec<Value>,
    /// The succeeded indexes of an indexed job.
    succeeded: Indexes,
    /// The failed indexes of an indexed job: they have more failures than `backoffLimitPerIndex`, or the pod failure
    /// policy has failed them (`FailIndex`).
    failed: Indexes,
}

/// The reason and the message of the condition with which a job ends.
type Outcome = (&'static str, String);

/// Counts the ended pods of a job, creates or deletes pods, and ends the job. Deletes a finished job after its time to
/// live. For the key of a pod, removes the finalizer if the job of the pod does not exist.
pub(super) fn reconcile(state: &mut State, key: &Key) {
    if &*key.object.0 == PODS {
        return release_orphan(state, key);
    }
    let Some(stored) = object_of(state, key) else { return };
    let object = stored.value();
    let manager = object["spec"]["managedBy"].as_str().unwrap_or("kubernetes.io/job-controller");
    if manager != "kubernetes.io/job-controller" {
        return;
    }
    let pods = KIND.claim_objects(state, &object, PODS);
    let status = &object["status"];
    let succeeded = Indexes::parse(status["completedIndexes"].as_str().unwrap_or_default());
    let failed = Indexes::parse(status["failedIndexes"].as_str().unwrap_or_default());
    let mut job = Job { state, key, object, pods, succeeded, failed };
    if job.is_finished() {
        // If a pod ends after its job, `count_ended_pods` removes the finalizer of the pod.
        job.count_ended_pods();
        return job.delete_after_ttl();
    }
    job.sync();
}

/// Removes the finalizer of a pod whose job does not exist.
fn release_orphan(state: &mut State, key: &Key) {
    let Some(pod) = object_of(state, key).map(|pod| pod.value()) else { return };
    let owner = controller_of(&pod).and_then(|owner| owner["uid"].as_str());
    if owner.is_none_or(|owner| state.storage_key_of(owner).is_none()) {
        stop_tracking(state, &pod);
    }
}

impl Job<'_> {
    fn spec(&self) -> &Value {
        &self.object["spec"]
    }

    fn is_finished(&self) -> bool {
        is_condition_true(&self.object, "Complete") || is_condition_true(&self.object, "Failed")
    }

    /// Whether the job has finished, or finishes after its pods have terminated.
    fn is_ending(&self) -> bool {
        ["FailureTarget", "SuccessCriteriaMet", "Complete", "Failed"]
            .iter()
            .any(|kind| is_condition_true(&self.object, kind))
    }

    fn is_suspended(&self) -> bool {
        self.spec()["suspend"] == true
    }

    fn is_indexed(&self) -> bool {
        self.spec()["completionMode"] == "Indexed"
    }

    fn has_backoff_limit_per_index(&self) -> bool {
        self.is_indexed() && self.spec()["backoffLimitPerIndex"].is_number()
    }

    fn completions(&self) -> Option<i64> {
        self.spec()["completions"].as_i64()
    }

    /// Counts the ended pods. If the job has failed or is complete, ends the job. Otherwise creates or deletes pods.
    /// Writes the status. The function is like `syncJob` in Kubernetes.
    fn sync(&mut self) {
        self.count_ended_pods();
        self.start_or_suspend();
        let failure = self.check_failure();
        if let Some(failure) = failure {
            let active: Vec<Value> = self.pods.iter().filter(|pod| is_active(pod)).cloned().collect();
            for pod in &active {
                self.delete_pod(pod);
            }
            self.finish("FailureTarget", "Failed", failure);
        } else if let Some(success) = self.check_success() {
            self.finish("SuccessCriteriaMet", "Complete", success);
        } else if !is_terminating(&self.object) {
            self.manage_pods();
        }
        self.write_status();
    }

    /// Sets the start time and the condition `Suspended`. Removes the start time of a job that becomes suspended.
    fn start_or_suspend(&mut self) {
        let now = self.state.clock.stamp();
        if self.is_suspended() {
            if status::set_condition(
                &mut self.object,
                "Suspended",
                "True",
                "JobSuspended",
                "Job suspended",
                &now,
            ) {
                self.record_event(false, "Suspended", "Job suspended");
                if let Some(status) = self.object["status"].as_object_mut() {
                    status.remove("startTime");
                }
            }
            return;
        }
        if is_condition_true(&self.object, "Suspended") {
            status::set_condition(&mut self.object, "Suspended", "False", "JobResumed", "Job resumed", &now);
            self.record_event(false, "Resumed", "Job resumed");
            self.object["status"]["startTime"] = now.as_str().into();
        }
        if self.object["status"]["startTime"].is_null() {
            self.object["status"]["startTime"] = now.into();
        }
    }

    /// Returns the reason and the message of the failure, if the job has failed. If the job has a deadline that has not
    /// passed, requeues the job for the deadline.
    fn check_failure(&mut self) -> Option<Outcome> {
        if let Some(target) = condition(&self.object, "FailureTarget") {
            let reason = match target["reason"].as_str() {
                Some("DeadlineExceeded") => "DeadlineExceeded",
                Some("PodFailurePolicy") => "PodFailurePolicy",
                Some("MaxFailedIndexesExceeded") => "MaxFailedIndexesExceeded",
                Some("FailedIndexes") => "FailedIndexes",
                _ => "BackoffLimitExceeded",
            };
            return Some((reason, target["message"].as_str().unwrap_or_default().to_owned()));
        }
        if let Some(message) = self.fail_job_message() {
            return Some(("PodFailurePolicy", message));
        }
        let limit = number(&self.spec()["backoffLimit"]);
        let failures = number(&self.object["status"]["failed"]) + self.uncounted_failures();
        if failures > limit || self.is_restart_limit_reached(limit) {
            return Some(("BackoffLimitExceeded", "Job has reached the specified backoff limit".to_owned()));
        }
        if let Some(rest) = self.time_to_deadline() {
            if rest.is_zero() {
                let message = "Job was active longer than specified deadline".to_owned();
                return Some(("DeadlineExceeded", message));
            }
            requeue(self.state, self.key, rest);
        }
        if !self.has_backoff_limit_per_index() {
            return None;
        }
        let failed = i64::try_from(self.failed.len()).unwrap_or(i64::MAX);
        let ended = failed + i64::try_from(self.succeeded.len()).unwrap_or(i64::MAX);
        if self.spec()["maxFailedIndexes"].as_i64().is_some_and(|most| failed > most) {
            let message = "Job has exceeded the specified maximal number of failed indexes".to_owned();
            return Some(("MaxFailedIndexesExceeded", message));
        }
        let done = failed > 0 && self.completions().is_some_and(|completions| ended >= completions);
        done.then(|| ("FailedIndexes", "Job has failed indexes".to_owned()))
    }

    /// Whether the containers in the unfinished pods of the job have restarted at least `limit` times in total, or once
    /// if `limit` is zero. Containers restart only with the restart policy `OnFailure`.
    fn is_restart_limit_reached(&self, limit: i64) -> bool {
        if self.spec()["template"]["spec"]["restartPolicy"] != "OnFailure" {
            return false;
        }
        let running = self.pods.iter().filter(|pod| matches!(phase(pod), "Running" | "Pending"));
        let statuses =
            running.flat_map(|pod| pod["status"]["containerStatuses"].as_array().into_iter().flatten());
        let restarts: i64 = statuses.map(|status| number(&status["restartCount"])).sum();
        if limit == 0 { restarts > 0 } else { restarts >= limit }
    }

    fn time_to_deadline(&self) -> Option<Duration> {
        if self.is_suspended() || !self.spec()["activeDeadlineSeconds"].is_number() {
            return None;
        }
        let start = time(&self.object["status"]["startTime"])?;
        Some(remaining_time(&self.state.clock, start, seconds(&self.spec()["activeDeadlineSeconds"])))
    }

    /// The reason and the message of the completion, if the job is complete.
    fn check_success(&self) -> Option<Outcome> {
        let active = self.pods.iter().filter(|pod| is_active(pod)).count();
        let succeeded = number(&self.object["status"]["succeeded"]);
        let complete = match self.completions() {
            Some(completions) => succeeded >= completions,
            None => succeeded > 0,
        };
        let message = "Reached expected number of succeeded pods".to_owned();
        (complete && active == 0).then_some(("CompletionsReached", message))
    }

    /// Sets the condition `interim`. Counts the failed pods that were waiting for their replacement. If no pod is
    /// terminating, also sets the condition `last` and creates an Event.
    fn finish(&mut self, interim: &str, last: &str, (reason, message): Outcome) {
        let now = self.state.clock.stamp();
        status::set_condition(&mut self.object, interim, "True", reason, &message, &now);
        self.count_ended_pods();
        let is_ending = |pod: &Value| is_terminating(pod) && !super::pods::is_finished(pod);
        if self.pods.iter().any(is_ending) {
            return;
        }
        status::set_condition(&mut self.object, last, "True", reason, &message, &now);
        if last == "Complete" {
            self.object["status"]["completionTime"] = now.into();
            self.record_event(false, "Completed", "Job completed");
        } else {
            self.record_event(true, reason, &message);
        }
    }

    /// Writes the status of `object`, with the current counts of pods, to the stored job.
    fn write_status(&mut self) {
        let pods = owned_objects::controlled_objects(self.state, &self.object, PODS);
        let active = pods.iter().filter(|pod| is_active(pod)).count();
        let ready = pods.iter().filter(|pod| is_active(pod) && is_ready(pod)).count();
        let terminating =
            pods.iter().filter(|pod| is_terminating(pod) && !super::pods::is_finished(pod)).count();
        let mut status = self.object["status"].clone();
        for (field, count) in [("active", active), ("ready", ready), ("terminating", terminating)] {
            status[field] = count.into();
        }
        status["uncountedTerminatedPods"] = json!({});
        if self.is_indexed() {
            status["completedIndexes"] = self.succeeded.to_string().into();
        }
        if self.has_backoff_limit_per_index() {
            status["failedIndexes"] = self.failed.to_string().into();
        }
        // An error needs no handling: the reconcile after the next change of a pod writes the status again.
        let _ = writes::modify(self.state, &self.key.object, Part::Status, CONTROLLER_MANAGER, |stored| {
            stored["status"] = status;
        });
    }

    /// If the time `ttlSecondsAfterFinished` has passed, deletes the pods of the finished job, then the job. Otherwise
    /// requeues the job for the end of this time.
    fn delete_after_ttl(&mut self) {
        if is_terminating(&self.object) || !self.spec()["ttlSecondsAfterFinished"].is_number() {
            return;
        }
        let end = ["Complete", "Failed"].iter().find_map(|kind| {
            condition(&self.object, kind).and_then(|condition| time(&condition["lastTransitionTime"]))
        });
        let ttl = seconds(&self.spec()["ttlSecondsAfterFinished"]);
        let Some(rest) = end.map(|end| remaining_time(&self.state.clock, end, ttl)) else { return };
        if !rest.is_zero() {
            return requeue(self.state, self.key, rest);
        }
        if let Some(resource) = self.state.registry.find_by_storage(JOBS) {
            deletion::delete(self.state, &resource, &self.key.object, Propagation::Foreground, None);
        }
    }

    fn record_event(&mut self, is_warning: bool, reason: &str, message: &str) {
        let involved = KIND.involved_object(&self.object);
        let record = if is_warning { events::record_warning } else { events::record_normal };
        record(self.state, COMPONENT, &involved, reason, message);
    }
}

/// Removes the finalizer [`TRACKING_FINALIZER`] from a pod. If the pod is terminating and remains only because of this
/// finalizer, removes the pod too.
fn stop_tracking(state: &mut State, pod: &Value) {
    let storage_key = storage_key_in(PODS, pod);
    if is_terminating(pod) {
        return deletion::remove_finalizer(state, &storage_key, TRACKING_FINALIZER);
    }
    // The pod gets smaller, so the commit cannot exceed the space quota.
    let _ = writes::modify(state, &storage_key, Part::Object, CONTROLLER_MANAGER, |pod| {
        let mut finalizers = object_meta::finalizers(pod);
        finalizers.retain(|finalizer| finalizer != TRACKING_FINALIZER);
        object_meta::set_finalizers(pod, &finalizers);
    });
}

/// The index of a pod of an indexed job.
fn index_of(pod: &Value) -> Option<u32> {
    super::objects::annotation(pod, INDEX_KEY)?.parse().ok()
}

/// The prefix of the names of a job's pods.
fn name_prefix(job: &Value, index: Option<u32>) -> String {
    match index {
        Some(index) => format!("{}-{index}-", name(job)),
        None => format!("{}-", name(job)),
    }
}
