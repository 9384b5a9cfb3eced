//! The cron job controller: creates jobs at the times of a schedule.

mod schedule;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use self::schedule::Schedule;
use super::job::JOBS;
use super::objects::{
    is_condition_true, is_terminating, name, namespace, seconds, storage_key_in, time, uid,
};
use super::owned_objects::{OwnerKind, controlled_objects};
use super::writes::{self, CONTROLLER_MANAGER, Part};
use super::{Keys, events, is_deletion, object_of, own_key, requeue};
use crate::store::State;
use crate::store::queue::Key;
use crate::store::table::Event;

const CRON_JOBS: &str = "batch/cronjobs";
const COMPONENT: &str = "cronjob-controller";
const KIND: OwnerKind = OwnerKind { storage: CRON_JOBS, api_version: "batch/v1", kind: "CronJob" };

/// If a cron job has missed more scheduled times than this number, the controller creates an Event.
const MAX_MISSED_TIMES: usize = 100;

/// The keys of a changed cron job, and of the cron jobs that own a changed job.
pub(super) fn keys_to_reconcile(state: &State, storage: &Arc<str>, event: &Event) -> Keys {
    match &**storage {
        CRON_JOBS if !is_deletion(event) => own_key(storage, event),
        JOBS if !event.object.owners.is_empty() => KIND.keys_of_owners(state, event),
        _ => Keys::new(),
    }
}

/// Creates the job for the latest scheduled time that has passed, deletes old jobs, and writes the status.
pub(super) fn reconcile(state: &mut State, key: &Key) {
    let Some(stored) = object_of(state, key) else { return };
    let mut cron_job = stored.value();
    let jobs = controlled_objects(state, &cron_job, JOBS);
    let before = cron_job["status"].clone();
    update_active_jobs(state, &mut cron_job, &jobs);
    delete_old_jobs(state, &cron_job, &jobs);
    if !is_terminating(&cron_job) && cron_job["spec"]["suspend"] != true {
        run_schedule(state, key, &mut cron_job, &jobs);
    }
    if cron_job["status"] != before {
        let status = cron_job["status"].take();
        // An error needs no handling: the next reconcile of the cron job writes the status.
        let _ = writes::modify(state, &key.object, Part::Status, CONTROLLER_MANAGER, |stored| {
            stored["status"] = status;
        });
    }
}

fn is_finished(job: &Value) -> bool {
    is_condition_true(job, "Complete") || is_condition_true(job, "Failed")
}

/// Removes from `status.active` the jobs that are finished or no longer exist, and creates an Event for each removed
/// job. Updates `lastSuccessfulTime`.
fn update_active_jobs(state: &mut State, cron_job: &mut Value, jobs: &[Value]) {
    let active = cron_job["status"]["active"].as_array().cloned().unwrap_or_default();
    let mut kept = Vec::new();
    for reference in active {
        let job = jobs.iter().find(|job| uid(job) == reference["uid"].as_str().unwrap_or_default());
        match job {
            Some(job) if !is_finished(job) => kept.push(reference),
            Some(job) => {
                let state_of = if is_condition_true(job, "Complete") { "Complete" } else { "Failed" };
                let message = format!("Saw completed job: {}, condition: {state_of}", name(job));
                events::record_normal(
                    state,
                    COMPONENT,
                    &KIND.involved_object(cron_job),
                    "SawCompletedJob",
                    &message,
                );
                let end = &job["status"]["completionTime"];
                let last = &cron_job["status"]["lastSuccessfulTime"];
                if state_of == "Complete" && time(end) > time(last) {
                    cron_job["status"]["lastSuccessfulTime"] = end.clone();
                }
            }
            None => {
                let job_name = reference["name"].as_str().unwrap_or_default();
                let message = format!("Active job went missing: {job_name}");
                events::record_normal(
                    state,
                    COMPONENT,
                    &KIND.involved_object(cron_job),
                    "MissingJob",
                    &message,
                );
            }
        }
    }
    set_active_jobs(cron_job, kept);
}

fn set_active_jobs(cron_job: &mut Value, active: Vec<Value>) {
    if !active.is_empty() {
        cron_job["status"]["active"] = active.into();
    } else if let Some(status) = cron_job["status"].as_object_mut() {
        status.remove("active");
    }
}

/// Deletes the oldest finished jobs beyond the history limits.
fn delete_old_jobs(state: &mut State, cron_job: &Value, jobs: &[Value]) {
    for (kind, limit) in [("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")] {
        let Some(limit) = cron_job["spec"][limit].as_u64() else { continue };
        let mut finished: Vec<&Value> =
            jobs.iter().filter(|job| is_condition_true(job, kind) && !is_terminating(job)).collect();
        finished.sort_by_key(|job| (time(&job["status"]["startTime"]), name(job).to_owned()));
        let excess = finished.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
        for job in finished.into_iter().take(excess) {
            writes::delete(state, &storage_key_in(JOBS, job));
            let message = format!("Deleted job {}", name(job));
            events::record_normal(
                state,
                COMPONENT,
                &KIND.involved_object(cron_job),
                "SuccessfulDelete",
                &message,
            );
        }
    }
}

/// Creates the job for the latest scheduled time that has passed, and requeues the key for the next scheduled time.
fn run_schedule(state: &mut State, key: &Key, cron_job: &mut Value, jobs: &[Value]) {
    let spec = &cron_job["spec"];
    let text = |field: &str| spec[field].as_str().unwrap_or_default().to_owned();
    let zone = spec["timeZone"].as_str().unwrap_or("UTC");
    let Some(schedule) = Schedule::parse(&text("schedule"), zone) else {
        let message = format!("unparseable schedule: {:?}", text("schedule"));
        return events::record_warning(
            state,
            COMPONENT,
            &KIND.involved_object(cron_job),
            "UnparseableSchedule",
            &message,
        );
    };
    let now = state.clock.now();
    let created = time(&cron_job["metadata"]["creationTimestamp"]).unwrap_or(now);
    let earliest = time(&cron_job["status"]["lastScheduleTime"]).unwrap_or(created);
    let deadline =
        spec["startingDeadlineSeconds"].is_number().then(|| seconds(&spec["startingDeadlineSeconds"]));
    // Times that passed more than `startingDeadlineSeconds` ago are skipped.
    let from =
        deadline.and_then(|deadline| now.checked_sub(deadline).ok()).map_or(earliest, |at| at.max(earliest));
    let mut latest = None;
    let mut count = 0;
    let mut next = schedule.next(from);
    while let Some(at) = next.filter(|at| *at <= now) {
        latest = Some(at);
        count += 1;
        // Only the latest time gets a job, so the times before the latest can be skipped.
        next = if count > MAX_MISSED_TIMES { schedule.skip_ahead(at, now) } else { schedule.next(at) };
    }
    if count > MAX_MISSED_TIMES {
        let message =
            "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
        events::record_warning(
            state,
            COMPONENT,
            &KIND.involved_object(cron_job),
            "TooManyMissedTimes",
            message,
        );
    }
    if let Some(at) = next {
        let delay = Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO);
        requeue(state, key, delay);
    }
    let Some(at) = latest else { return };
    start_job(state, cron_job, jobs, at);
}

/// Creates the job for a time of the schedule, if the concurrency policy allows it. With `Replace`, deletes the active
/// jobs first.
fn start_job(state: &mut State, cron_job: &mut Value, jobs: &[Value], at: Timestamp) {
    let job_name = format!("{}-{}", name(cron_job), at.as_second() / 60);
    if jobs.iter().any(|job| name(job) == job_name) {
        // If two scheduled times of an `@every` schedule are in the same minute, they share one job.
        cron_job["status"]["lastScheduleTime"] = super::objects::format_time(at);
        return;
    }
    let active = cron_job["status"]["active"].as_array().cloned().unwrap_or_default();
    match cron_job["spec"]["concurrencyPolicy"].as_str() {
        Some("Forbid") if !active.is_empty() => {
            let message =
                "Not starting job because prior execution is running and concurrency policy is Forbid";
            return events::record_normal(
                state,
                COMPONENT,
                &KIND.involved_object(cron_job),
                "JobAlreadyActive",
                message,
            );
        }
        Some("Replace") => {
            for reference in &active {
                let storage_key = storage_key_in(JOBS, &json!({"metadata": reference}));
                writes::delete(state, &storage_key);
                let job_name = reference["name"].as_str().unwrap_or_default();
                let message = format!("Deleted job {job_name}");
                events::record_normal(
                    state,
                    COMPONENT,
                    &KIND.involved_object(cron_job),
                    "SuccessfulDelete",
                    &message,
                );
            }
            set_active_jobs(cron_job, Vec::new());
        }
        _ => {}
    }
    let template = &cron_job["spec"]["jobTemplate"];
    let mut job = json!({
        "metadata": {
            "name": job_name, "namespace": namespace(cron_job), "ownerReferences": [KIND.owner_reference(cron_job)],
            "annotations": template["metadata"]["annotations"].as_object().cloned().unwrap_or_default(),
        },
        "spec": template["spec"],
    });
    if template["metadata"]["labels"].is_object() {
        job["metadata"]["labels"] = template["metadata"]["labels"].clone();
    }
    job["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"] =
        schedule::scheduled_stamp(at, cron_job["spec"]["timeZone"].as_str()).into();
    match writes::create(state, JOBS, &job, CONTROLLER_MANAGER) {
        Ok(created) => {
            let message = format!("Created job {job_name}");
            events::record_normal(
                state,
                COMPONENT,
                &KIND.involved_object(cron_job),
                "SuccessfulCreate",
                &message,
            );
            let mut active = cron_job["status"]["active"].as_array().cloned().unwrap_or_default();
            active.push(json!({
                "apiVersion": "batch/v1", "kind": "Job", "name": job_name, "namespace": namespace(cron_job),
                "uid": uid(&created), "resourceVersion": created["metadata"]["resourceVersion"],
            }));
            set_active_jobs(cron_job, active);
            cron_job["status"]["lastScheduleTime"] = super::objects::format_time(at);
        }
        Err(error) => {
            let message = format!("Error creating job: {error}");
            events::record_warning(
                state,
                COMPONENT,
                &KIND.involved_object(cron_job),
                "FailedCreate",
                &message,
            );
        }
    }
}
