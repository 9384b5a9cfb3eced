//! Defaults of pods and of the templates that make them.

use serde_json::{Map, Value, json};

use super::{ensured, inner, is, items, put, put_text};

/// Fields that Go leaves out when they are false.
const FLAGS: [&str; 3] = ["hostNetwork", "hostPID", "hostIPC"];

/// A pod; a new one gets what admission adds without looking at other objects, too.
pub(super) fn pod(pod: &mut Value, is_new: bool) {
    let Some(spec) = inner(pod, "spec") else { return };
    pod_spec(spec);
    put(spec, "enableServiceLinks", true);
    for list in ["initContainers", "containers"] {
        items(spec, list).for_each(requests_from_limits);
    }
    if is_new {
        admit(spec);
    }
    tolerate(spec);
}

/// `template` of any object that holds one in that field.
pub(super) fn template(holder: &mut Value) {
    if let Some(spec) = inner(holder, "template").and_then(|template| inner(template, "spec")) {
        pod_spec(spec);
    }
}

fn pod_spec(spec: &mut Value) {
    put_text(spec, "restartPolicy", "Always");
    put_text(spec, "dnsPolicy", "ClusterFirst");
    put(spec, "terminationGracePeriodSeconds", 30);
    if spec["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0) {
        spec["terminationGracePeriodSeconds"] = 1.into();
    }
    put(spec, "securityContext", Map::new());
    put_text(spec, "schedulerName", "default-scheduler");
    service_account(spec);
    items(spec, "volumes").for_each(volume);
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for item in items(spec, list) {
            container(item);
            if host_network {
                items(item, "ports").for_each(host_port);
            }
        }
    }
    if let Value::Object(map) = spec {
        map.retain(|field, value| !(FLAGS.contains(&field.as_str()) && *value == false));
    }
}

/// The field's old name stays in step with the new one.
fn service_account(spec: &mut Value) {
    let name = |field: &str| {
        spec.get(field).and_then(Value::as_str).filter(|name| !name.is_empty()).map(str::to_owned)
    };
    if let Some(name) = name("serviceAccountName").or_else(|| name("serviceAccount")) {
        spec["serviceAccountName"] = Value::from(name.as_str());
        spec["serviceAccount"] = Value::from(name);
    }
}

fn container(container: &mut Value) {
    put_text(container, "terminationMessagePath", "/dev/termination-log");
    put_text(container, "terminationMessagePolicy", "File");
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let policy = if is_latest(image) { "Always" } else { "IfNotPresent" };
    put_text(container, "imagePullPolicy", policy);
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = inner(container, probe) else { continue };
        for (field, value) in
            [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
        {
            if probe.get(field) == Some(&Value::from(0)) {
                probe[field] = Value::from(value);
            }
            put(probe, field, value);
        }
        http_get(probe);
    }
    if let Some(lifecycle) = inner(container, "lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(hook) = inner(lifecycle, hook) {
                http_get(hook);
            }
        }
    }
    for variable in items(container, "env") {
        if let Some(source) = inner(variable, "valueFrom") {
            field_ref(source);
        }
    }
}

fn http_get(handler: &mut Value) {
    if let Some(get) = inner(handler, "httpGet") {
        put_text(get, "path", "/");
        put_text(get, "scheme", "HTTP");
    }
}

fn field_ref(source: &mut Value) {
    if let Some(reference) = inner(source, "fieldRef") {
        put_text(reference, "apiVersion", "v1");
    }
}

fn host_port(port: &mut Value) {
    let number = port.get("containerPort").cloned().unwrap_or_default();
    if port.get("hostPort").is_none_or(|port| *port == 0) {
        port["hostPort"] = number;
    }
}

/// Whether an image has the tag `latest`, by name or for want of another; one with a digest has not.
fn is_latest(image: &str) -> bool {
    let (name, digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    let last = name.rsplit('/').next().unwrap_or_default();
    match last.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => !digest,
    }
}

fn volume(volume: &mut Value) {
    let has_source = volume.as_object().is_some_and(|map| map.keys().any(|field| field != "name"));
    if !has_source {
        put(volume, "emptyDir", Map::new());
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = inner(volume, source) {
            put(source, "defaultMode", 420);
        }
    }
    if let Some(source) = inner(volume, "downwardAPI") {
        items(source, "items").for_each(field_ref);
    }
    if let Some(path) = inner(volume, "hostPath") {
        put(path, "type", "");
    }
    let projected = inner(volume, "projected").into_iter().flat_map(|projected| items(projected, "sources"));
    for source in projected {
        if let Some(token) = inner(source, "serviceAccountToken") {
            put(token, "expirationSeconds", 3600);
        }
        if let Some(downward) = inner(source, "downwardAPI") {
            items(downward, "items").for_each(field_ref);
        }
    }
    let claim = inner(volume, "ephemeral").and_then(|ephemeral| inner(ephemeral, "volumeClaimTemplate"));
    if let Some(spec) = claim.and_then(|claim| inner(claim, "spec")) {
        put_text(spec, "volumeMode", "Filesystem");
    }
}

/// What is limited and not requested is requested to the limit.
fn requests_from_limits(container: &mut Value) {
    let Some(resources) = inner(container, "resources") else { return };
    let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else { return };
    let Some(requests) = ensured(resources, "requests") else { return };
    for (name, limit) in limits {
        put(requests, &name, limit);
    }
}

/// What admission gives a new pod: its account and priority.
fn admit(spec: &mut Value) {
    put_text(spec, "serviceAccountName", "default");
    service_account(spec);
    put(spec, "priority", 0);
    put(spec, "preemptionPolicy", "PreemptLowerPriority");
}

/// How long a pod stays on a broken node. Admission adds these tolerations in updates, too.
fn tolerate(spec: &mut Value) {
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        put(spec, "tolerations", Vec::<Value>::new());
        let Some(tolerations) = spec.get_mut("tolerations").and_then(Value::as_array_mut) else { return };
        let tolerated = |toleration: &Value| {
            let effect = toleration.get("effect").is_none() || is(toleration, "effect", "NoExecute");
            effect && (is(toleration, "key", key) || toleration.get("key").is_none())
        };
        if !tolerations.iter().any(tolerated) {
            tolerations.push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            }));
        }
    }
}
