//! Defaults of workload resources (`Deployment`, `Job` and others).

use serde_json::{Map, Value, json};

use super::{ensured, has_text, items, object_in, pods, set_default, set_default_string};

const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

pub(super) fn complete_deployment(object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default(spec, "replicas", 1);
    set_default(spec, "revisionHistoryLimit", 10);
    set_default(spec, "progressDeadlineSeconds", 600);
    complete_rolling_update(
        spec,
        "strategy",
        &[("maxUnavailable", json!("25%")), ("maxSurge", json!("25%"))],
    );
    pods::complete_template(spec);
}

pub(super) fn complete_replica_set(object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default(spec, "replicas", 1);
    pods::complete_template(spec);
}

pub(super) fn complete_stateful_set(object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default(spec, "replicas", 1);
    set_default(spec, "revisionHistoryLimit", 10);
    set_default_string(spec, "podManagementPolicy", "OrderedReady");
    complete_rolling_update(spec, "updateStrategy", &[("partition", json!(0)), ("maxUnavailable", json!(1))]);
    if let Some(policy) = ensured(spec, "persistentVolumeClaimRetentionPolicy") {
        set_default_string(policy, "whenDeleted", "Retain");
        set_default_string(policy, "whenScaled", "Retain");
    }
    for claim in items(spec, "volumeClaimTemplates") {
        set_default_string(claim, "apiVersion", "v1");
        set_default_string(claim, "kind", "PersistentVolumeClaim");
        if let Some(spec) = object_in(claim, "spec") {
            set_default_string(spec, "volumeMode", "Filesystem");
        }
        if let Some(status) = ensured(claim, "status") {
            set_default_string(status, "phase", "Pending");
        }
    }
    pods::complete_template(spec);
}

/// Sets the defaults of a daemon set. The annotation `deprecated.daemonset.template.generation` counts the changes of
/// the pod template.
pub(super) fn complete_daemon_set(old: Option<&Value>, object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default(spec, "revisionHistoryLimit", 10);
    complete_rolling_update(spec, "updateStrategy", &[("maxUnavailable", json!(1)), ("maxSurge", json!(0))]);
    pods::complete_template(spec);
    let template = |object: &Value| object.get("spec").and_then(|spec| spec.get("template")).cloned();
    let count = |object: &Value| {
        let text = object.get("metadata")?.get("annotations")?.get(TEMPLATE_GENERATION)?.as_str()?;
        text.parse::<u64>().ok()
    };
    let generation = match old {
        None => 1,
        Some(old) => count(old).unwrap_or(1) + u64::from(template(old) != template(object)),
    };
    if let Some(annotations) =
        object_in(object, "metadata").and_then(|metadata| ensured(metadata, "annotations"))
    {
        annotations[TEMPLATE_GENERATION] = Value::from(generation.to_string());
    }
}

pub(super) fn complete_replication_controller(object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default(spec, "replicas", 1);
    pods::complete_template(spec);
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
pub(super) fn complete_job(object: &mut Value, is_new: bool) {
    let metadata = |field: &str| {
        object
            .get("metadata")
            .and_then(|metadata| metadata.get(field))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let (uid, name) = (metadata("uid"), metadata("name"));
    let Some(spec) = object_in(object, "spec") else { return };
    complete_job_spec(spec);
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
    let template = ensured(spec, "template").and_then(|template| ensured(template, "metadata"));
    if let Some(present) = template.and_then(|metadata| ensured(metadata, "labels")) {
        for (key, value) in &labels {
            present[key] = value.clone();
        }
    }
    if let Some(present) = object_in(object, "metadata").and_then(|metadata| ensured(metadata, "labels")) {
        for (key, value) in labels {
            set_default(present, &key, value);
        }
    }
}

pub(super) fn complete_cron_job(object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default_string(spec, "concurrencyPolicy", "Allow");
    set_default(spec, "suspend", false);
    set_default(spec, "successfulJobsHistoryLimit", 3);
    set_default(spec, "failedJobsHistoryLimit", 1);
    if let Some(job) = object_in(spec, "jobTemplate").and_then(|template| object_in(template, "spec")) {
        pods::complete_template(job);
    }
}

fn complete_job_spec(spec: &mut Value) {
    if spec.get("parallelism").is_none() && spec.get("completions").is_none() {
        set_default(spec, "completions", 1);
    }
    set_default(spec, "parallelism", 1);
    set_default(spec, "backoffLimit", 6);
    set_default_string(spec, "completionMode", "NonIndexed");
    set_default(spec, "suspend", false);
    let fails = spec.get("podFailurePolicy").is_some_and(|policy| !policy.is_null());
    set_default_string(spec, "podReplacementPolicy", if fails { "Failed" } else { "TerminatingOrFailed" });
    pods::complete_template(spec);
}

/// Sets the defaults of the update strategy in `field`: the type `RollingUpdate` and its parameters `limits`.
fn complete_rolling_update(spec: &mut Value, field: &str, limits: &[(&str, Value)]) {
    let Some(strategy) = ensured(spec, field) else { return };
    set_default_string(strategy, "type", "RollingUpdate");
    if !has_text(strategy, "type", "RollingUpdate") {
        return;
    }
    if let Some(rolling_update) = ensured(strategy, "rollingUpdate") {
        for (limit, value) in limits {
            set_default(rolling_update, limit, value.clone());
        }
    }
}
