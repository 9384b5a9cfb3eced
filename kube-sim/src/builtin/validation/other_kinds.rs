//! Validation of services, configuration, storage, autoscaling, leases, ingresses, disruption budgets and roles.

use serde_json::Value;

use super::{Errors, items, string_in};
use crate::names;
use crate::schema::FieldError;

/// The error text for a port number out of range.
const INVALID_PORT: &str = "must be between 1 and 65535, inclusive";
/// The error text for an update of an immutable config map or secret.
const IMMUTABLE_DATA_ERROR: &str = "field is immutable when `immutable` is set";

pub(super) fn check_service(old: Option<&Value>, new: &Value, out: &mut Errors) {
    let spec = &new["spec"];
    let kind = string_in(spec, "type");
    let is_headless = string_in(spec, "clusterIP") == "None";
    let ports = spec["ports"].as_array().map_or(0, Vec::len);
    if ports == 0 && !is_headless && kind != "ExternalName" {
        out.push(FieldError::required("spec.ports", ""));
    }
    for (path, port) in items("spec", spec, "ports") {
        if ports > 1 {
            out.require_string(&path, port, "name");
        }
        for field in ["port", "targetPort"] {
            let number = port[field].as_i64();
            if let Some(number) = number.filter(|number| !(1..=65535).contains(number)) {
                out.push(FieldError::invalid(format!("{path}.{field}"), number, INVALID_PORT));
            }
        }
    }
    if kind == "ExternalName" && string_in(spec, "externalName").is_empty() {
        out.push(FieldError::required("spec.externalName", ""));
    }
    let (address, addresses) = (string_in(spec, "clusterIP"), &spec["clusterIPs"]);
    if addresses.get(0).is_some_and(|first| first != address) {
        let why = "first value must match `clusterIP`";
        out.push(FieldError::invalid("spec.clusterIPs", addresses.clone(), why));
    }
    let Some(old) = old.map(|old| &old["spec"]) else { return };
    let keeps_cluster_ip = string_in(old, "type") != "ExternalName" && kind != "ExternalName";
    let before = string_in(old, "clusterIP");
    if keeps_cluster_ip && !before.is_empty() && address != before {
        out.push(FieldError::invalid("spec.clusterIPs[0]", addresses.clone(), "may not change once set"));
    }
}

pub(super) fn check_config_map(old: Option<&Value>, new: &Value, out: &mut Errors) {
    check_data_keys("data", &new["data"], out);
    check_data_keys("binaryData", &new["binaryData"], out);
    for key in new["binaryData"].as_object().into_iter().flat_map(|map| map.keys()) {
        if new["data"].get(key).is_some() {
            let why = "duplicate of key present in data";
            out.push(FieldError::invalid(format!("data[{key}]"), key.as_str(), why));
        }
    }
    let texts = total_size(&new["data"], str::len);
    // The API server prints the path `[]` for an error about the whole object.
    out.limit_size("[]", texts + total_size(&new["binaryData"], decoded_len));
    reject_immutable_data_changes(old, new, &["data", "binaryData"], out);
}

/// The sum of the sizes in bytes of the strings in a map; `of` returns the size of one string.
fn total_size(data: &Value, of: impl Fn(&str) -> usize) -> usize {
    data.as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str()).map(of).sum()
}

/// The number of bytes that a base64 string encodes.
fn decoded_len(text: &str) -> usize {
    text.trim_end_matches('=').len() * 3 / 4
}

pub(super) fn check_secret(old: Option<&Value>, new: &Value, out: &mut Errors) {
    check_data_keys("data", &new["data"], out);
    out.limit_size("data", total_size(&new["data"], decoded_len));
    let needed: &[&str] = match string_in(new, "type") {
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        _ => &[],
    };
    for key in needed.iter().filter(|key| new["data"].get(**key).is_none()) {
        out.push(FieldError::required(format!("data[{key}]"), ""));
    }
    out.reject_change("type", old, new);
    reject_immutable_data_changes(old, new, &["data"], out);
}

/// Rejects an update of `immutable` or of `fields` if `immutable` is true in the stored object.
fn reject_immutable_data_changes(old: Option<&Value>, new: &Value, fields: &[&str], out: &mut Errors) {
    let Some(old) = old.filter(|old| old["immutable"] == true) else { return };
    if new["immutable"] != true {
        out.push(FieldError::forbidden("immutable", IMMUTABLE_DATA_ERROR));
    }
    for field in fields.iter().filter(|field| old[**field] != new[**field]) {
        out.push(FieldError::forbidden(*field, IMMUTABLE_DATA_ERROR));
    }
}

/// Validates the keys of the data of a config map or secret.
fn check_data_keys(field: &str, data: &Value, out: &mut Errors) {
    for key in data.as_object().into_iter().flat_map(|map| map.keys()) {
        if let Some(why) = names::config_key_problem(key) {
            out.push(FieldError::invalid(format!("{field}[{key}]"), key.as_str(), why));
        }
    }
}

pub(super) fn check_persistent_volume_claim(old: Option<&Value>, new: &Value, out: &mut Errors) {
    let spec = &new["spec"];
    if spec["accessModes"].as_array().is_none_or(Vec::is_empty) {
        out.push(FieldError::required("spec.accessModes", "at least 1 access mode is required"));
    }
    if spec["resources"]["requests"].get("storage").is_none() {
        out.push(FieldError::required("spec.resources[storage]", ""));
    }
    let fixed = |spec: &Value| {
        let mut spec = spec.clone();
        if let Some(map) = spec.as_object_mut() {
            for field in ["resources", "volumeAttributesClassName", "volumeName"] {
                map.remove(field);
            }
        }
        spec
    };
    if old.is_some_and(|old| fixed(&old["spec"]) != fixed(spec)) {
        let why = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        out.push(FieldError::forbidden("spec", why));
    }
}

pub(super) fn check_storage_class(old: Option<&Value>, new: &Value, out: &mut Errors) {
    out.require_string("", new, "provisioner");
    let Some(old) = old else { return };
    for field in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
        if old[field] != new[field] {
            let why = match field {
                "reclaimPolicy" | "volumeBindingMode" => {
                    out.reject_change(field, Some(old), new);
                    continue;
                }
                field => format!("updates to {field} are forbidden."),
            };
            out.push(FieldError::forbidden(field, why));
        }
    }
}

pub(super) fn check_priority_class(old: Option<&Value>, new: &Value, out: &mut Errors) {
    let Some(old) = old else { return };
    for field in ["value", "preemptionPolicy"] {
        if old[field] != new[field] {
            out.push(FieldError::forbidden(field, "may not be changed in an update."));
        }
    }
}

pub(super) fn check_autoscaler(new: &Value, out: &mut Errors) {
    let spec = &new["spec"];
    let (least, most) =
        (spec["minReplicas"].as_i64().unwrap_or(1), spec["maxReplicas"].as_i64().unwrap_or(0));
    if least < 1 {
        out.push(FieldError::invalid("spec.minReplicas", least, "must be greater than or equal to 1"));
    }
    if most < 1 {
        out.push(FieldError::invalid("spec.maxReplicas", most, "must be greater than 0"));
    }
    if most < least {
        let why = "must be greater than or equal to `minReplicas`";
        out.push(FieldError::invalid("spec.maxReplicas", most, why));
    }
    for field in ["kind", "name"] {
        out.require_string("spec.scaleTargetRef", &spec["scaleTargetRef"], field);
    }
}

pub(super) fn check_lease(new: &Value, out: &mut Errors) {
    let spec = &new["spec"];
    out.require_at_least("spec", spec, "leaseDurationSeconds", 1);
    out.require_at_least("spec", spec, "leaseTransitions", 0);
    if spec["holderIdentity"] == "" {
        out.push(FieldError::invalid("spec.holderIdentity", "", "must not be empty"));
    }
}

pub(super) fn check_ingress(new: &Value, out: &mut Errors) {
    let spec = &new["spec"];
    if spec["rules"].as_array().is_none_or(Vec::is_empty) && spec["defaultBackend"].is_null() {
        out.push(FieldError::invalid(
            "spec",
            spec.clone(),
            "either `defaultBackend` or `rules` must be specified",
        ));
    }
    for (path, rule) in items("spec", spec, "rules") {
        for (path, entry) in items(&format!("{path}.http"), &rule["http"], "paths") {
            let field = format!("{path}.pathType");
            match string_in(entry, "pathType") {
                "" => out.push(FieldError::required(field, "pathType must be specified")),
                "Exact" | "Prefix" if !string_in(entry, "path").starts_with('/') => {
                    out.push(FieldError::invalid(
                        format!("{path}.path"),
                        string_in(entry, "path"),
                        "must be an absolute path",
                    ));
                }
                _ => {}
            }
        }
    }
}

pub(super) fn check_disruption_budget(new: &Value, out: &mut Errors) {
    let spec = &new["spec"];
    if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
        let why = "minAvailable and maxUnavailable cannot be both set";
        out.push(FieldError::invalid("spec", spec.clone(), why));
    }
    for field in ["minAvailable", "maxUnavailable"] {
        out.require_at_least("spec", spec, field, 0);
    }
}

pub(super) fn check_role(new: &Value, out: &mut Errors) {
    for (path, rule) in items("", new, "rules") {
        if rule["verbs"].as_array().is_none_or(Vec::is_empty) {
            out.push(FieldError::required(format!("{path}.verbs"), ""));
        }
        let is_for_urls = rule["nonResourceURLs"].as_array().is_some_and(|urls| !urls.is_empty());
        for (field, why) in [
            ("apiGroups", "resource rules must supply at least one api group"),
            ("resources", "resource rules must supply at least one resource"),
        ] {
            if !is_for_urls && rule[field].as_array().is_none_or(Vec::is_empty) {
                out.push(FieldError::required(format!("{path}.{field}"), why));
            }
        }
    }
}

pub(super) fn check_role_binding(old: Option<&Value>, new: &Value, out: &mut Errors) {
    for (path, subject) in items("", new, "subjects") {
        out.require_string(&path, subject, "name");
        match string_in(subject, "kind") {
            "User" | "Group" => {}
            "ServiceAccount" => out.require_string(&path, subject, "namespace"),
            other => {
                let known = ["ServiceAccount", "User", "Group"];
                out.push(FieldError::not_supported(format!("{path}.kind"), other, &known));
            }
        }
    }
    out.require_string("roleRef", &new["roleRef"], "name");
    out.reject_change("roleRef", old, new);
}
