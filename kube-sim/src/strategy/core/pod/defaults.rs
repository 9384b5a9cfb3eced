//! Defaults of pods and of pod templates.

use serde_json::{Map, Value};

use crate::strategy::defaulting::{
    object_in, object_items, object_or_insert, set_default, set_default_string,
};

/// Boolean fields of a pod spec that Go omits if they are false.
const FIELDS_OMITTED_IF_FALSE: [&str; 3] = ["hostNetwork", "hostPID", "hostIPC"];

pub(super) fn set_pod_defaults(pod: &mut Value) {
    let Some(spec) = object_in(pod, "spec") else { return };
    set_pod_spec_defaults(spec);
    set_default(spec, "enableServiceLinks", true);
    for list in ["initContainers", "containers"] {
        object_items(spec, list).for_each(set_request_defaults);
    }
}

/// Copies the service account of the stored pod to an update that omits the service account.
pub(super) fn keep_service_account(old: &Value, pod: &mut Value) {
    let Some(spec) = object_in(pod, "spec") else { return };
    if let Some(name) = old["spec"]["serviceAccountName"].as_str() {
        set_default_string(spec, "serviceAccountName", name);
        sync_service_account_fields(spec);
    }
}

/// Sets the defaults of the pod template in the field `template` of `holder`.
pub(in crate::strategy) fn set_template_defaults(holder: &mut Value) {
    if let Some(spec) = object_in(holder, "template").and_then(|template| object_in(template, "spec")) {
        set_pod_spec_defaults(spec);
    }
}

fn set_pod_spec_defaults(spec: &mut Value) {
    set_default_string(spec, "restartPolicy", "Always");
    set_default_string(spec, "dnsPolicy", "ClusterFirst");
    set_default(spec, "terminationGracePeriodSeconds", 30);
    if spec["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0) {
        spec["terminationGracePeriodSeconds"] = 1.into();
    }
    set_default(spec, "securityContext", Map::new());
    set_default_string(spec, "schedulerName", "default-scheduler");
    sync_service_account_fields(spec);
    object_items(spec, "volumes").for_each(set_volume_defaults);
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for item in object_items(spec, list) {
            set_container_defaults(item);
            if host_network {
                object_items(item, "ports").for_each(set_host_port_defaults);
            }
        }
    }
    if let Value::Object(map) = spec {
        map.retain(|field, value| !(FIELDS_OMITTED_IF_FALSE.contains(&field.as_str()) && *value == false));
    }
}

/// Sets `serviceAccountName` and the deprecated field `serviceAccount` to the same name. If both fields are present, the
/// value of `serviceAccountName` remains.
fn sync_service_account_fields(spec: &mut Value) {
    let name = |field: &str| {
        spec.get(field).and_then(Value::as_str).filter(|name| !name.is_empty()).map(str::to_owned)
    };
    if let Some(name) = name("serviceAccountName").or_else(|| name("serviceAccount")) {
        spec["serviceAccountName"] = Value::from(name.as_str());
        spec["serviceAccount"] = Value::from(name);
    }
}

fn set_container_defaults(container: &mut Value) {
    set_default_string(container, "terminationMessagePath", "/dev/termination-log");
    set_default_string(container, "terminationMessagePolicy", "File");
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let policy = if has_latest_tag(image) { "Always" } else { "IfNotPresent" };
    set_default_string(container, "imagePullPolicy", policy);
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = object_in(container, probe) else { continue };
        for (field, value) in
            [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
        {
            if probe.get(field) == Some(&Value::from(0)) {
                probe[field] = Value::from(value);
            }
            set_default(probe, field, value);
        }
        set_http_get_defaults(probe);
    }
    if let Some(lifecycle) = object_in(container, "lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(hook) = object_in(lifecycle, hook) {
                set_http_get_defaults(hook);
            }
        }
    }
    for variable in object_items(container, "env") {
        if let Some(source) = object_in(variable, "valueFrom") {
            set_field_ref_defaults(source);
        }
    }
}

fn set_http_get_defaults(handler: &mut Value) {
    if let Some(get) = object_in(handler, "httpGet") {
        set_default_string(get, "path", "/");
        set_default_string(get, "scheme", "HTTP");
    }
}

fn set_field_ref_defaults(source: &mut Value) {
    if let Some(reference) = object_in(source, "fieldRef") {
        set_default_string(reference, "apiVersion", "v1");
    }
}

fn set_host_port_defaults(port: &mut Value) {
    let number = port.get("containerPort").cloned().unwrap_or_default();
    if port.get("hostPort").is_none_or(|port| *port == 0) {
        port["hostPort"] = number;
    }
}

/// Whether the image has the tag `latest`, explicitly or by default. An image with a digest has no default tag.
fn has_latest_tag(image: &str) -> bool {
    let (name, digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    let last = name.rsplit('/').next().unwrap_or_default();
    match last.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => !digest,
    }
}

fn set_volume_defaults(volume: &mut Value) {
    let has_source = volume.as_object().is_some_and(|map| map.keys().any(|field| field != "name"));
    if !has_source {
        set_default(volume, "emptyDir", Map::new());
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = object_in(volume, source) {
            set_default(source, "defaultMode", 420);
        }
    }
    if let Some(source) = object_in(volume, "downwardAPI") {
        object_items(source, "items").for_each(set_field_ref_defaults);
    }
    if let Some(path) = object_in(volume, "hostPath") {
        set_default(path, "type", "");
    }
    let projected =
        object_in(volume, "projected").into_iter().flat_map(|projected| object_items(projected, "sources"));
    for source in projected {
        if let Some(token) = object_in(source, "serviceAccountToken") {
            set_default(token, "expirationSeconds", 3600);
        }
        if let Some(downward) = object_in(source, "downwardAPI") {
            object_items(downward, "items").for_each(set_field_ref_defaults);
        }
    }
    let claim =
        object_in(volume, "ephemeral").and_then(|ephemeral| object_in(ephemeral, "volumeClaimTemplate"));
    if let Some(spec) = claim.and_then(|claim| object_in(claim, "spec")) {
        set_default_string(spec, "volumeMode", "Filesystem");
    }
}

/// For each resource with a limit but no request, sets the request to the limit.
fn set_request_defaults(container: &mut Value) {
    let Some(resources) = object_in(container, "resources") else { return };
    let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else { return };
    let Some(requests) = object_or_insert(resources, "requests") else { return };
    for (name, limit) in limits {
        set_default(requests, &name, limit);
    }
}
