//! Counts, creates and deletes the pods of a job, and applies the pod failure policy of the job.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{COMPONENT, INDEX_KEY, Job, KIND, TRACKING_FINALIZER, index_of, name_prefix, stop_tracking};
use crate::controllers::objects::{
    PODS, annotation, is_terminating, name, namespace, number, remaining_time, storage_key_in, time, uid,
};
use crate::controllers::pods::{is_active, is_finished, phase, sort_for_deletion};
use crate::controllers::{owned_objects, requeue};
use crate::handler::object_meta;

/// The time before the first replacement of a failed pod. The time doubles with each failure, up to [`MAX_BACK_OFF`].
const FIRST_BACK_OFF: Duration = Duration::from_secs(10);
const MAX_BACK_OFF: Duration = Duration::from_secs(600);

/// The maximum number of pods that one call of `manage_pods` creates or deletes.
const BURST: usize = 500;

/// The annotation that contains the number of earlier failures of a pod's index. These failures count toward
/// `backoffLimitPerIndex`.
const INDEX_FAILURES_ANNOTATION: &str = "batch.kubernetes.io/job-index-failure-count";

/// The annotation that contains the number of ignored earlier failures of a pod's index. The pod failure
/// policy has the action `Ignore` for each of these failures.
const IGNORED_INDEX_FAILURES_ANNOTATION: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

impl Job<'_> {
    /// Counts the pods that succeeded, and the pods that count as failed ([`Self::counts_as_failed`]), if they still have
    /// [`TRACKING_FINALIZER`]. Removes this finalizer. Skips the [`Self::pods_to_replace`].
    pub(super) fn count_ended_pods(&mut self) {
        let to_replace = self.pods_to_replace();
        let is_kept = |pod: &Value| to_replace.values().any(|kept| uid(kept) == uid(pod));
        for pod in std::mem::take(&mut self.pods) {
            let succeeded = phase(&pod) == "Succeeded";
            let failed = self.counts_as_failed(&pod);
            if is_tracked(&pod) && (succeeded || failed) && !is_kept(&pod) {
                self.count_pod(&pod, succeeded);
                stop_tracking(self.state, &pod);
            }
            let storage_key = storage_key_in(PODS, &pod);
            if let Some(current) = self.state.object_at(&storage_key) {
                self.pods.push(current.value());
            }
        }
        if self.is_indexed() {
            self.object["status"]["succeeded"] = self.succeeded.len().into();
        }
    }

    /// Whether the pod counts as failed: its phase is `Failed`, or it is terminating and has not succeeded. With the
    /// `podReplacementPolicy` `Failed`, only the phase matters.
    fn counts_as_failed(&self, pod: &Value) -> bool {
        let counts_terminating = self.spec()["podReplacementPolicy"] != "Failed";
        phase(pod) == "Failed" || (counts_terminating && is_terminating(pod) && phase(pod) != "Succeeded")
    }

    /// The last failed pod of each index that needs a new pod: the index has no active pod, and has neither
    /// succeeded nor failed. Empty if the job has no `backoffLimitPerIndex`, or if the job is ending or
    /// terminating. Each of these failed pods keeps its finalizer until its replacement exists, because the
    /// replacement takes the number of earlier failures from the failed pod.
    pub(super) fn pods_to_replace(&self) -> BTreeMap<u32, Value> {
        let mut last: BTreeMap<u32, Value> = BTreeMap::new();
        if !self.has_backoff_limit_per_index() || self.is_ending() || is_terminating(&self.object) {
            return last;
        }
        let active_or_succeeded = self.pods.iter().filter(|pod| is_active(pod) || phase(pod) == "Succeeded");
        let active_or_succeeded: BTreeSet<u32> = active_or_succeeded.filter_map(index_of).collect();
        let failures = |pod: &Value| {
            annotation_number(pod, INDEX_FAILURES_ANNOTATION)
                .saturating_add(annotation_number(pod, IGNORED_INDEX_FAILURES_ANNOTATION))
        };
        for pod in self.pods.iter().filter(|pod| is_tracked(pod) && self.counts_as_failed(pod)) {
            let Some(index) = index_of(pod) else { continue };
            if self.completions().is_some_and(|completions| i64::from(index) >= completions) {
                continue;
            }
            let is_ended = self.succeeded.contains(index) || self.failed.contains(index);
            if is_ended || self.fails_index(pod) || active_or_succeeded.contains(&index) {
                continue;
            }
            if last.get(&index).is_none_or(|other| failures(other) <= failures(pod)) {
                last.insert(index, pod.clone());
            }
        }
        last
    }

    /// The number of failures that `status.failed` does not include yet: those of [`Self::pods_to_replace`].
    /// Excludes the failures that the pod failure policy ignores.
    pub(super) fn uncounted_failures(&self) -> i64 {
        let to_replace = self.pods_to_replace();
        let counted = to_replace.values().filter(|pod| self.policy_action(pod) != Some("Ignore"));
        i64::try_from(counted.count()).unwrap_or(i64::MAX)
    }

    /// Whether the failure of the pod fails its index.
    fn fails_index(&self, pod: &Value) -> bool {
        match self.policy_action(pod) {
            Some("FailIndex") => true,
            Some("Ignore") => false,
            _ => {
                let limit = number(&self.spec()["backoffLimitPerIndex"]);
                i64::from(annotation_number(pod, INDEX_FAILURES_ANNOTATION)) >= limit
            }
        }
    }

    fn count_pod(&mut self, pod: &Value, succeeded: bool) {
        if succeeded {
            match index_of(pod).filter(|_| self.is_indexed()) {
                Some(index) => self.succeeded.insert(index),
                None => self.increment_status_count("succeeded"),
            }
            return;
        }
        if self.policy_action(pod) == Some("Ignore") {
            return;
        }
        self.increment_status_count("failed");
        if let Some(index) = index_of(pod).filter(|_| self.has_backoff_limit_per_index())
            && self.fails_index(pod)
        {
            self.failed.insert(index);
        }
    }

    fn increment_status_count(&mut self, field: &str) {
        let count = &mut self.object["status"][field];
        *count = (number(count) + 1).into();
    }

    /// The action that the pod failure policy has for a failed pod: the action of the first rule that matches the pod.
    fn policy_action(&self, pod: &Value) -> Option<&'static str> {
        let rules = self.spec()["podFailurePolicy"]["rules"].as_array()?;
        let rule = rules
            .iter()
            .find(|rule| matching_container(rule, pod).is_some() || has_matching_condition(rule, pod))?;
        match rule["action"].as_str()? {
            "Ignore" => Some("Ignore"),
            "FailIndex" => Some("FailIndex"),
            "FailJob" => Some("FailJob"),
            _ => Some("Count"),
        }
    }

    /// The message about the first failed pod for which the pod failure policy has the action `FailJob`.
    pub(super) fn fail_job_message(&self) -> Option<String> {
        let mut failed = self.pods.iter().filter(|pod| phase(pod) == "Failed");
        let pod = failed.find(|pod| self.policy_action(pod) == Some("FailJob"))?;
        let mut rules = self.spec()["podFailurePolicy"]["rules"].as_array()?.iter().enumerate();
        let exit = rules.find_map(|(at, rule)| Some((at, matching_container(rule, pod)?)));
        let pod_name = format!("{}/{}", namespace(pod), name(pod));
        Some(match exit {
            Some((at, (container, code))) => format!(
                "Container {container} for pod {pod_name} failed with exit code {code} matching FailJob rule at index {at}"
            ),
            None => format!("Pod {pod_name} has condition matching a FailJob rule"),
        })
    }

    /// Creates the missing pods or deletes the excess ones, like `manageJob` in Kubernetes. Requeues the job if it is too
    /// early to replace failed pods, or if a pod could not be created.
    pub(super) fn manage_pods(&mut self) {
        let mut active: Vec<Value> = self.pods.iter().filter(|pod| is_active(pod)).cloned().collect();
        let wanted = self.wanted_pod_count(active.len());
        if active.len() > wanted {
            sort_for_deletion(&mut active);
            let excess = active.len() - wanted;
            for pod in active.iter().take(excess.min(BURST)) {
                self.delete_pod(pod);
            }
            return;
        }
        let blocking: Vec<Value> =
            self.pods.iter().filter(|pod| self.delays_replacement(pod)).cloned().collect();
        let missing = wanted.saturating_sub(active.len() + blocking.len()).min(BURST);
        if missing == 0 {
            return;
        }
        let rest = self.remaining_back_off();
        if !rest.is_zero() {
            return requeue(self.state, self.key, rest);
        }
        active.extend(blocking);
        let indexes = self.pending_indexes(&active, missing);
        let replaced = self.pods_to_replace();
        for at in 0..missing {
            let index = if self.is_indexed() {
                match indexes.get(at) {
                    Some(index) => Some(*index),
                    None => break,
                }
            } else {
                None
            };
            let pod = self.new_pod(index, index.and_then(|index| replaced.get(&index)));
            if owned_objects::create_pod(self.state, KIND, &self.object, &pod, COMPONENT).is_err() {
                return requeue(self.state, self.key, crate::controllers::RETRY_DELAY);
            }
        }
    }

    /// Whether a replacement of the pod must wait until the pod has ended: the pod is terminating, and the
    /// `podReplacementPolicy` is `Failed`.
    fn delays_replacement(&self, pod: &Value) -> bool {
        self.spec()["podReplacementPolicy"] == "Failed" && is_terminating(pod) && !is_finished(pod)
    }

    /// The number of pods that should run. `active` is the number of pods that run now.
    fn wanted_pod_count(&self, active: usize) -> usize {
        if self.is_suspended() {
            return 0;
        }
        let size = |value: i64| usize::try_from(value).unwrap_or(0);
        let parallelism = size(number(&self.spec()["parallelism"]));
        let succeeded = number(&self.object["status"]["succeeded"]);
        match self.completions() {
            Some(completions) => {
                let failed = i64::try_from(self.failed.len()).unwrap_or(i64::MAX);
                size(completions - succeeded - failed).min(parallelism)
            }
            None if succeeded > 0 => active,
            None => parallelism,
        }
    }

    /// The time until a failed pod may be replaced. The delay grows with the failures since the last success.
    fn remaining_back_off(&self) -> Duration {
        let ended = |wanted: &str| -> Vec<Timestamp> {
            self.pods.iter().filter(|pod| phase(pod) == wanted).filter_map(end_time_of).collect()
        };
        let success = ended("Succeeded").into_iter().max();
        let failures: Vec<Timestamp> =
            ended("Failed").into_iter().filter(|at| success.is_none_or(|success| *at > success)).collect();
        let Some(last) = failures.iter().max() else { return Duration::ZERO };
        let doublings = u32::try_from(failures.len() - 1).unwrap_or(u32::MAX).min(10);
        remaining_time(&self.state.clock, *last, (FIRST_BACK_OFF * 2_u32.pow(doublings)).min(MAX_BACK_OFF))
    }

    /// The first `count` completion indexes that are pending. An index is pending if it has neither succeeded
    /// nor failed, and if no pod in `current` has it. Returns no indexes if the job is not indexed.
    fn pending_indexes(&self, current: &[Value], count: usize) -> Vec<u32> {
        if !self.is_indexed() {
            return Vec::new();
        }
        let running: Vec<u32> = current.iter().filter_map(index_of).collect();
        let completions = u32::try_from(self.completions().unwrap_or(0)).unwrap_or(0);
        let is_pending = |index: &u32| {
            !self.succeeded.contains(*index) && !self.failed.contains(*index) && !running.contains(index)
        };
        (0..completions).filter(is_pending).take(count).collect()
    }

    /// The pod to create. `index` is its completion index, or `None` if the job is not indexed. `replaced` is the failed pod
    /// that it replaces ([`Self::pods_to_replace`]).
    fn new_pod(&self, index: Option<u32>, replaced: Option<&Value>) -> Value {
        let mut pod = owned_objects::pod_from_template(KIND, &self.object, &self.spec()["template"]);
        pod["metadata"]["generateName"] = name_prefix(&self.object, index).into();
        let mut finalizers = object_meta::finalizers(&pod);
        finalizers.push(TRACKING_FINALIZER.to_owned());
        object_meta::set_finalizers(&mut pod, &finalizers);
        let Some(index) = index else { return pod };
        for field in ["labels", "annotations"] {
            pod["metadata"][field][INDEX_KEY] = index.to_string().into();
        }
        if self.has_backoff_limit_per_index() {
            let previous = |name: &str| replaced.map_or(0, |replaced| annotation_number(replaced, name));
            let (mut failures, mut ignored) =
                (previous(INDEX_FAILURES_ANNOTATION), previous(IGNORED_INDEX_FAILURES_ANNOTATION));
            match replaced.map(|replaced| self.policy_action(replaced)) {
                Some(Some("Ignore")) => ignored = ignored.saturating_add(1),
                Some(_) => failures = failures.saturating_add(1),
                None => {}
            }
            let annotations = &mut pod["metadata"]["annotations"];
            annotations[INDEX_FAILURES_ANNOTATION] = failures.to_string().into();
            if ignored > 0 {
                annotations[IGNORED_INDEX_FAILURES_ANNOTATION] = ignored.to_string().into();
            }
        }
        pod["spec"]["hostname"] = format!("{}-{index}", name(&self.object)).into();
        let variable = json!({
            "name": "JOB_COMPLETION_INDEX",
            "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": format!("metadata.labels['{INDEX_KEY}']")}},
        });
        for list in ["containers", "initContainers"] {
            for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
                if !container["env"].is_array() {
                    container["env"] = json!([]);
                }
                if let Some(env) = container["env"].as_array_mut() {
                    env.push(variable.clone());
                }
            }
        }
        pod
    }

    /// Deletes an active pod. Removes its finalizer first, so that the pod does not count as failed.
    pub(super) fn delete_pod(&mut self, pod: &Value) {
        stop_tracking(self.state, pod);
        owned_objects::delete_pod(self.state, KIND, &self.object, pod, COMPONENT);
        self.pods =
            owned_objects::controlled_objects(self.state, &self.object, crate::controllers::objects::PODS);
    }
}

/// Whether the pod has [`TRACKING_FINALIZER`]. The controller counts only pods with this finalizer, and
/// removes the finalizer from each pod that it has counted.
fn is_tracked(pod: &Value) -> bool {
    object_meta::finalizers(pod).iter().any(|finalizer| finalizer == TRACKING_FINALIZER)
}

/// The number in an annotation of a pod; 0 if the pod has no such number.
fn annotation_number(pod: &Value, name: &str) -> u32 {
    annotation(pod, name).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The latest time at which a container of the pod ended. If no container reports an end, the creation time of the pod.
fn end_time_of(pod: &Value) -> Option<Timestamp> {
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let ends = statuses.filter_map(|status| time(&status["state"]["terminated"]["finishedAt"]));
    ends.max().or_else(|| time(&pod["metadata"]["creationTimestamp"]))
}

/// The name and the exit code of a container whose exit code the rule matches.
fn matching_container<'a>(rule: &Value, pod: &'a Value) -> Option<(&'a str, i64)> {
    let wanted = &rule["onExitCodes"];
    let values = wanted["values"].as_array()?;
    let mut statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    statuses.find_map(|status| {
        let code = status["state"]["terminated"]["exitCode"].as_i64().filter(|code| *code != 0)?;
        let container = status["name"].as_str()?;
        let is_named = wanted["containerName"].as_str().is_none_or(|name| name == container);
        let is_listed = values.iter().any(|value| value.as_i64() == Some(code));
        (is_named && is_listed == (wanted["operator"] == "In")).then_some((container, code))
    })
}

/// Whether the pod has a condition that the rule matches.
fn has_matching_condition(rule: &Value, pod: &Value) -> bool {
    let patterns = rule["onPodConditions"].as_array().into_iter().flatten();
    let conditions = || pod["status"]["conditions"].as_array().into_iter().flatten();
    patterns.into_iter().any(|pattern| {
        let status = pattern["status"].as_str().unwrap_or("True");
        conditions().any(|condition| condition["type"] == pattern["type"] && condition["status"] == status)
    })
}
