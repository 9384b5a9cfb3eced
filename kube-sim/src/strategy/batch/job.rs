//! The strategy of jobs.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::BATCH_DEFAULT;
use crate::schema::FieldError;
use crate::strategy::apps::workload::{self, container_names_and_images, selector_cell};
use crate::strategy::core::pod;
use crate::strategy::defaulting::{object_in, object_or_insert, set_default};
use crate::strategy::fields::SelectableField;
use crate::strategy::printer::{Printer, age_cell, items, name_cell, number_or_zero, string_or_empty};
use crate::strategy::validation::{Errors, string_in};
use crate::strategy::{Strategy, human_age};

pub(super) const STRATEGY: Strategy = Strategy {
    kind: "Job",
    set_defaults: |_, job| {
        set_label_defaults(job);
        if let Some(spec) = object_in(job, "spec") {
            set_job_spec_defaults(spec);
            set_default(spec, "manualSelector", false);
        }
    },
    prepare_for_create: |job, _| generate_selector(job),
    validate: |job, out| {
        validate_spec("spec", &job["spec"], out);
        check_selector(&job["spec"], out);
    },
    validate_update: Some(validate_update),
    warn: |old, new, out| {
        pod::warn_of_name(old, new, out);
        warn_of_spec("spec", old, new, out);
    },
    selectable_fields: &[SelectableField {
        label: "status.successful",
        ..SelectableField::with_value_if_absent("status.succeeded", "0")
    }],
    printer: Printer::new(cells),
    ..BATCH_DEFAULT
};

/// Adds the warnings about the job spec at `path` if the object is new, or if the update increments the
/// generation of the object.
pub(super) fn warn_of_spec(path: &str, old: Option<&Value>, new: &Value, out: &mut Vec<String>) {
    if old.is_some_and(|old| !pod::increments_generation(old, new)) {
        return;
    }
    let spec = path.split('.').fold(new, |value, field| &value[field]);
    let exceeds = |field: &str, limit: i64| spec[field].as_i64().is_some_and(|number| number > limit);
    if spec["completionMode"] == "Indexed"
        && exceeds("completions", 100_000)
        && exceeds("parallelism", 10_000)
    {
        out.push(format!("{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail"));
    }
    pod::warn_of_template(&format!("{path}.template"), None, new, out);
}

/// Adds labels with the uid and the name of a new job to the job and to its pod template. Sets a selector for the label
/// with the uid if the job has no selector. Does nothing if `manualSelector` is true.
fn generate_selector(object: &mut Value) {
    let metadata = |field: &str| {
        object
            .get("metadata")
            .and_then(|metadata| metadata.get(field))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let (uid, name) = (metadata("uid"), metadata("name").unwrap_or_default());
    let Some(spec) = object_in(object, "spec") else { return };
    let Some(uid) = uid else { return };
    set_default(spec, "manualSelector", false);
    if spec["manualSelector"] == true {
        return;
    }
    let own = [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ];
    let labels: Map<String, Value> =
        own.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    set_default(spec, "selector", json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}));
    let template =
        object_or_insert(spec, "template").and_then(|template| object_or_insert(template, "metadata"));
    if let Some(present) = template.and_then(|metadata| object_or_insert(metadata, "labels")) {
        for (key, value) in &labels {
            present[key] = value.clone();
        }
    }
    if let Some(present) =
        object_in(object, "metadata").and_then(|metadata| object_or_insert(metadata, "labels"))
    {
        for (key, value) in labels {
            set_default(present, &key, value);
        }
    }
}

/// Copies the labels of the pod template to a job without labels.
fn set_label_defaults(job: &mut Value) {
    let labels = job["spec"]["template"]["metadata"]["labels"].clone();
    let has_labels = job["metadata"]["labels"].as_object().is_some_and(|labels| !labels.is_empty());
    if labels.is_object() && !has_labels {
        job["metadata"]["labels"] = labels;
    }
}

fn set_job_spec_defaults(spec: &mut Value) {
    if spec.get("parallelism").is_none() && spec.get("completions").is_none() {
        set_default(spec, "completions", 1);
    }
    set_default(spec, "parallelism", 1);
    let is_per_index = spec.get("backoffLimitPerIndex").is_some_and(|limit| !limit.is_null());
    set_default(spec, "backoffLimit", if is_per_index { i32::MAX } else { 6 });
    set_default(spec, "completionMode", "NonIndexed");
    set_default(spec, "suspend", false);
    let fails = spec.get("podFailurePolicy").is_some_and(|policy| !policy.is_null());
    set_default(spec, "podReplacementPolicy", if fails { "Failed" } else { "TerminatingOrFailed" });
    pod::set_template_defaults(spec);
}

/// Checks that the selector is present, and that it matches the labels of the pod template.
fn check_selector(spec: &Value, out: &mut Errors) {
    if spec["selector"].is_null() {
        out.push(FieldError::required("spec.selector", ""));
    }
    if !workload::selector_matches(&spec["selector"], &spec["template"]["metadata"]) {
        workload::push_selector_mismatch(&spec["template"], out);
    }
}

fn validate_update(old: &Value, new: &Value, out: &mut Errors) {
    validate_spec("spec", &new["spec"], out);
    check_selector(&new["spec"], out);
    check_completions(old, new, out);
    for field in [
        "selector",
        "completionMode",
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "managedBy",
        "successPolicy",
    ] {
        out.reject_change(&format!("spec.{field}"), old, new);
    }
    // If a job is suspended and has not started, some fields of its pod template are mutable (KEP-2926).
    let suspended = old["spec"]["suspend"] == true && old["status"]["startTime"].is_null();
    if !suspended {
        out.reject_change("spec.template", old, new);
    } else if without_mutable_fields(&old["spec"]["template"])
        != without_mutable_fields(&new["spec"]["template"])
    {
        let now = new["spec"]["template"]["spec"].clone();
        out.push(FieldError::invalid("spec.template.spec", now, "field is immutable"));
    }
}

/// Checks that an update does not change `completions`. If the job is indexed, `completions` may change to the value of
/// `parallelism` (KEP-3715).
fn check_completions(old: &Value, new: &Value, out: &mut Errors) {
    let spec = &new["spec"];
    if spec["completionMode"] != "Indexed" {
        out.reject_change("spec.completions", old, new);
    } else if old["spec"]["completions"] != spec["completions"] && spec["completions"] != spec["parallelism"]
    {
        let why = "can only be modified in tandem with spec.parallelism";
        out.push(FieldError::invalid("spec.completions", spec["completions"].clone(), why));
    }
}

/// A copy of `template`, a pod template, without the fields that are mutable before a suspended job starts: labels,
/// annotations, scheduling fields, and the resources of containers.
fn without_mutable_fields(template: &Value) -> Value {
    let mut fixed = template.clone();
    if let Some(meta) = fixed.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.remove("labels");
        meta.remove("annotations");
    }
    let Some(spec) = fixed.get_mut("spec").and_then(Value::as_object_mut) else { return fixed };
    if let Some(affinity) = spec.get_mut("affinity").and_then(Value::as_object_mut) {
        affinity.remove("nodeAffinity");
        if affinity.is_empty() {
            spec.remove("affinity");
        }
    }
    for field in ["nodeSelector", "tolerations", "schedulingGates"] {
        spec.remove(field);
    }
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            container.as_object_mut().map(|container| container.remove("resources"));
        }
    }
    fixed
}

/// Validates the spec of a job or of the job template of a cron job.
pub(super) fn validate_spec(path: &str, spec: &Value, out: &mut Errors) {
    for field in ["parallelism", "completions", "backoffLimit", "ttlSecondsAfterFinished"] {
        out.require_at_least(path, spec, field, 0);
    }
    out.require_at_least(path, spec, "activeDeadlineSeconds", 0);
    let template = format!("{path}.template.spec");
    pod::check_spec(&template, &spec["template"]["spec"], out);
    if matches!(string_in(&spec["template"]["spec"], "restartPolicy"), "Always" | "") {
        let why = "valid values: \"OnFailure\", \"Never\"";
        out.push(FieldError::required(format!("{template}.restartPolicy"), why));
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let has = |kind: &str| items(&status["conditions"]).any(|c| c["type"] == kind && c["status"] == "True");
    let is_deleted = object["metadata"]["deletionTimestamp"].is_string();
    let known_states = [
        (has("Complete"), "Complete"),
        (has("Failed"), "Failed"),
        (is_deleted, "Terminating"),
        (has("Suspended"), "Suspended"),
        (has("FailureTarget"), "FailureTarget"),
        (has("SuccessCriteriaMet"), "SuccessCriteriaMet"),
    ];
    let state = known_states.iter().find(|(holds, _)| *holds).map_or("Running", |(_, state)| *state);
    let spec = &object["spec"];
    let wanted = match (spec["completions"].as_i64(), number_or_zero(&spec["parallelism"])) {
        (Some(wanted), _) => wanted.to_string(),
        (None, parallel) if parallel > 1 => format!("1 of {parallel}"),
        (None, _) => "1".to_owned(),
    };
    let start = string_or_empty(&status["startTime"]);
    let end = status["completionTime"].as_str().and_then(|t| t.parse().ok()).unwrap_or(now);
    let [names, images] = container_names_and_images(&spec["template"]);
    vec![
        name_cell(object),
        state.into(),
        format!("{}/{wanted}", number_or_zero(&status["succeeded"])).into(),
        if start.is_empty() { Value::from("") } else { human_age(start, end).into() },
        age_cell(object, now),
        names,
        images,
        selector_cell(object),
    ]
}
