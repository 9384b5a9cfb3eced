//! Defaults of pods and of pod templates.

use serde_json::{Map, Value, json};

use super::{ensured, has_text, items, object_in, set_default, set_default_string};

/// Boolean fields that Go omits if they are false.
const FLAGS: [&str; 3] = ["hostNetwork", "hostPID", "hostIPC"];

/// Sets the defaults of a pod, and the values that admission plugins set without reading other objects. Some of them
/// apply only to a new pod.
pub(super) fn complete_pod(pod: &mut Value, is_new: bool) {
    let Some(spec) = object_in(pod, "spec") else { return };
    complete_pod_spec(spec);
    set_default(spec, "enableServiceLinks", true);
    for list in ["initContainers", "containers"] {
        items(spec, list).for_each(requests_from_limits);
    }
    if is_new {
        admission_defaults(spec);
    }
    default_tolerations(spec);
}

/// Sets the defaults of the pod template in the field `template` of `holder`.
pub(super) fn complete_template(holder: &mut Value) {
    if let Some(spec) = object_in(holder, "template").and_then(|template| object_in(template, "spec")) {
        complete_pod_spec(spec);
    }
}

fn complete_pod_spec(spec: &mut Value) {
    set_default_string(spec, "restartPolicy", "Always");
    set_default_string(spec, "dnsPolicy", "ClusterFirst");
    set_default(spec, "terminationGracePeriodSeconds", 30);
    if spec["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0) {
        spec["terminationGracePeriodSeconds"] = 1.into();
    }
    set_default(spec, "securityContext", Map::new());
    set_default_string(spec, "schedulerName", "default-scheduler");
    complete_service_account(spec);
    items(spec, "volumes").for_each(complete_volume);
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for item in items(spec, list) {
            complete_container(item);
            if host_network {
                items(item, "ports").for_each(complete_host_port);
            }
        }
    }
    if let Value::Object(map) = spec {
        map.retain(|field, value| !(FLAGS.contains(&field.as_str()) && *value == false));
    }
}

/// Makes the deprecated field `serviceAccount` equal to `serviceAccountName`.
fn complete_service_account(spec: &mut Value) {
    let name = |field: &str| {
        spec.get(field).and_then(Value::as_str).filter(|name| !name.is_empty()).map(str::to_owned)
    };
    if let Some(name) = name("serviceAccountName").or_else(|| name("serviceAccount")) {
        spec["serviceAccountName"] = Value::from(name.as_str());
        spec["serviceAccount"] = Value::from(name);
    }
}

fn complete_container(container: &mut Value) {
    set_default_string(container, "terminationMessagePath", "/dev/termination-log");
    set_default_string(container, "terminationMessagePolicy", "File");
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let policy = if is_latest(image) { "Always" } else { "IfNotPresent" };
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
        complete_http_get(probe);
    }
    if let Some(lifecycle) = object_in(container, "lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(hook) = object_in(lifecycle, hook) {
                complete_http_get(hook);
            }
        }
    }
    for variable in items(container, "env") {
        if let Some(source) = object_in(variable, "valueFrom") {
            complete_field_ref(source);
        }
    }
}

fn complete_http_get(handler: &mut Value) {
    if let Some(get) = object_in(handler, "httpGet") {
        set_default_string(get, "path", "/");
        set_default_string(get, "scheme", "HTTP");
    }
}

fn complete_field_ref(source: &mut Value) {
    if let Some(reference) = object_in(source, "fieldRef") {
        set_default_string(reference, "apiVersion", "v1");
    }
}

fn complete_host_port(port: &mut Value) {
    let number = port.get("containerPort").cloned().unwrap_or_default();
    if port.get("hostPort").is_none_or(|port| *port == 0) {
        port["hostPort"] = number;
    }
}

/// Whether the image has the tag `latest`, explicitly or by default; an image with a digest has no default tag.
fn is_latest(image: &str) -> bool {
    let (name, digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    let last = name.rsplit('/').next().unwrap_or_default();
    match last.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => !digest,
    }
}

fn complete_volume(volume: &mut Value) {
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
        items(source, "items").for_each(complete_field_ref);
    }
    if let Some(path) = object_in(volume, "hostPath") {
        set_default(path, "type", "");
    }
    let projected =
        object_in(volume, "projected").into_iter().flat_map(|projected| items(projected, "sources"));
    for source in projected {
        if let Some(token) = object_in(source, "serviceAccountToken") {
            set_default(token, "expirationSeconds", 3600);
        }
        if let Some(downward) = object_in(source, "downwardAPI") {
            items(downward, "items").for_each(complete_field_ref);
        }
    }
    let claim =
        object_in(volume, "ephemeral").and_then(|ephemeral| object_in(ephemeral, "volumeClaimTemplate"));
    if let Some(spec) = claim.and_then(|claim| object_in(claim, "spec")) {
        set_default_string(spec, "volumeMode", "Filesystem");
    }
}

/// For each resource with a limit but no request, sets the request to the limit.
fn requests_from_limits(container: &mut Value) {
    let Some(resources) = object_in(container, "resources") else { return };
    let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else { return };
    let Some(requests) = ensured(resources, "requests") else { return };
    for (name, limit) in limits {
        set_default(requests, &name, limit);
    }
}

/// Sets the service account and priority, as admission plugins do for a new pod.
fn admission_defaults(spec: &mut Value) {
    set_default_string(spec, "serviceAccountName", "default");
    complete_service_account(spec);
    set_default(spec, "priority", 0);
    set_default(spec, "preemptionPolicy", "PreemptLowerPriority");
}

/// Adds the tolerations of the admission plugin `DefaultTolerationSeconds`, which also runs on updates.
fn default_tolerations(spec: &mut Value) {
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        set_default(spec, "tolerations", Vec::<Value>::new());
        let Some(tolerations) = spec.get_mut("tolerations").and_then(Value::as_array_mut) else { return };
        let tolerated = |toleration: &Value| {
            let effect = toleration.get("effect").is_none() || has_text(toleration, "effect", "NoExecute");
            effect && (has_text(toleration, "key", key) || toleration.get("key").is_none())
        };
        if !tolerations.iter().any(tolerated) {
            tolerations.push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            }));
        }
    }
}
