//! Defaults of workload resources (`Deployment`, `Job` and others).

use serde_json::{Map, Value, json};

use super::{has_string, object_in, object_items, object_or_insert, pods, set_default, set_default_string};

/// The annotation of a daemon set that counts the changes of its pod template.
const TEMPLATE_GENERATION_ANNOTATION: &str = "deprecated.daemonset.template.generation";

pub(super) fn set_deployment_defaults(object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default(spec, "replicas", 1);
    set_default(spec, "revisionHistoryLimit", 10);
    set_default(spec, "progressDeadlineSeconds", 600);
    set_rolling_update_defaults(
        spec,
        "strategy",
        &[("maxUnavailable", json!("25%")), ("maxSurge", json!("25%"))],
    );
    pods::set_template_defaults(spec);
}

pub(super) fn set_replica_set_defaults(object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default(spec, "replicas", 1);
    pods::set_template_defaults(spec);
}

pub(super) fn set_stateful_set_defaults(object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default(spec, "replicas", 1);
    set_default(spec, "revisionHistoryLimit", 10);
    set_default_string(spec, "podManagementPolicy", "OrderedReady");
    set_rolling_update_defaults(
        spec,
        "updateStrategy",
        &[("partition", json!(0)), ("maxUnavailable", json!(1))],
    );
    if let Some(policy) = object_or_insert(spec, "persistentVolumeClaimRetentionPolicy") {
        set_default_string(policy, "whenDeleted", "Retain");
        set_default_string(policy, "whenScaled", "Retain");
    }
    for claim in object_items(spec, "volumeClaimTemplates") {
        set_default_string(claim, "apiVersion", "v1");
        set_default_string(claim, "kind", "PersistentVolumeClaim");
        if let Some(spec) = object_in(claim, "spec") {
            set_default_string(spec, "volumeMode", "Filesystem");
        }
        if let Some(status) = object_or_insert(claim, "status") {
            set_default_string(status, "phase", "Pending");
        }
    }
    pods::set_template_defaults(spec);
}

/// Sets the defaults of a daemon set, and increments the template generation if the pod template has changed.
pub(super) fn set_daemon_set_defaults(old: Option<&Value>, object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default(spec, "revisionHistoryLimit", 10);
    set_rolling_update_defaults(
        spec,
        "updateStrategy",
        &[("maxUnavailable", json!(1)), ("maxSurge", json!(0))],
    );
    pods::set_template_defaults(spec);
    let template = |object: &Value| object.get("spec").and_then(|spec| spec.get("template")).cloned();
    let count = |object: &Value| {
        let text =
            object.get("metadata")?.get("annotations")?.get(TEMPLATE_GENERATION_ANNOTATION)?.as_str()?;
        text.parse::<u64>().ok()
    };
    let generation = match old {
        None => 1,
        Some(old) => count(old).unwrap_or(1) + u64::from(template(old) != template(object)),
    };
    if let Some(annotations) =
        object_in(object, "metadata").and_then(|metadata| object_or_insert(metadata, "annotations"))
    {
        annotations[TEMPLATE_GENERATION_ANNOTATION] = Value::from(generation.to_string());
    }
}

pub(super) fn set_replication_controller_defaults(object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default(spec, "replicas", 1);
    pods::set_template_defaults(spec);
    let Some(labels) = spec.pointer("/template/metadata/labels").filter(|labels| labels.is_object()).cloned()
    else {
        return;
    };
    set_default(spec, "selector", labels.clone());
    if let Some(metadata) = object_in(object, "metadata") {
        set_default(metadata, "labels", labels);
    }
}

/// Sets the defaults of a job. Unless `manualSelector` is true, a new job selects the pods with its UID in a label.
pub(super) fn set_job_defaults(object: &mut Value, is_new: bool) {
    let metadata = |field: &str| {
        object
            .get("metadata")
            .and_then(|metadata| metadata.get(field))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let (uid, name) = (metadata("uid"), metadata("name"));
    let Some(spec) = object_in(object, "spec") else { return };
    set_job_spec_defaults(spec);
    let (Some(uid), Some(name), true) = (uid, name, is_new) else { return };
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

pub(super) fn set_cron_job_defaults(object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default_string(spec, "concurrencyPolicy", "Allow");
    set_default(spec, "suspend", false);
    set_default(spec, "successfulJobsHistoryLimit", 3);
    set_default(spec, "failedJobsHistoryLimit", 1);
    if let Some(job) = object_in(spec, "jobTemplate").and_then(|template| object_in(template, "spec")) {
        pods::set_template_defaults(job);
    }
}

fn set_job_spec_defaults(spec: &mut Value) {
    if spec.get("parallelism").is_none() && spec.get("completions").is_none() {
        set_default(spec, "completions", 1);
    }
    set_default(spec, "parallelism", 1);
    set_default(spec, "backoffLimit", 6);
    set_default_string(spec, "completionMode", "NonIndexed");
    set_default(spec, "suspend", false);
    let fails = spec.get("podFailurePolicy").is_some_and(|policy| !policy.is_null());
    set_default_string(spec, "podReplacementPolicy", if fails { "Failed" } else { "TerminatingOrFailed" });
    pods::set_template_defaults(spec);
}

/// Sets the defaults of the update strategy in `field`: the type `RollingUpdate` and its parameters `limits`.
fn set_rolling_update_defaults(spec: &mut Value, field: &str, limits: &[(&str, Value)]) {
    let Some(strategy) = object_or_insert(spec, field) else { return };
    set_default_string(strategy, "type", "RollingUpdate");
    if !has_string(strategy, "type", "RollingUpdate") {
        return;
    }
    if let Some(rolling_update) = object_or_insert(strategy, "rollingUpdate") {
        for (limit, value) in limits {
            set_default(rolling_update, limit, value.clone());
        }
    }
}
