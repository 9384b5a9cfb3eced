//! The texts of the `Warning` headers for pods and pod templates: deprecated fields and annotations, and values that are
//! valid but have no or another effect than their author expects.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;

use super::profile_annotations;
use crate::names;
use crate::schema::{self, NANOS_PER_MILLI, quote, round_up};
use crate::strategy::validation::{items, join, string_in};

/// Annotations without effect.
const ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    (
        "security.alpha.kubernetes.io/unsafe-sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
];

/// Deprecated labels of nodes.
const NODE_LABELS: [(&str, &str); 8] = [
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    (
        "beta.kubernetes.io/instance-type",
        "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
    ),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
    ),
    ("node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"),
    (
        "scheduler.alpha.kubernetes.io/preferAvoidPods",
        "deprecated since v1.22; use Taints and Tolerations instead",
    ),
];

/// Deprecated types of volumes: the field, its name in the text, and the text.
const VOLUMES: [(&str, &str, &str); 9] = [
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// Warns of a new pod.
pub(super) fn warn_of_pod(pod: &Value, out: &mut Vec<String>) {
    warn_of_label("the Pod's hostname", pod, out);
    warn("", pod, out);
}

/// Warns of the name of a new object that creates pods, if it is not a DNS label.
pub(in crate::strategy) fn warn_of_name(old: Option<&Value>, new: &Value, out: &mut Vec<String>) {
    if old.is_none() {
        warn_of_label("Pod names and hostnames", new, out);
    }
}

/// Warns of a name, which is a DNS subdomain, if it is not a DNS label.
fn warn_of_label(usage: &str, object: &Value, out: &mut Vec<String>) {
    let name = string_in(&object["metadata"], "name");
    let is_long = name.len() > names::MAX_LABEL;
    let problems = [
        is_long.then_some("must be no more than 63 characters"),
        name.contains('.').then_some("must not contain dots"),
    ];
    let problems: Vec<_> = problems.into_iter().flatten().collect();
    if !problems.is_empty() {
        out.push(format!(
            "metadata.name: this is used in {usage}, which can result in surprising behavior; a DNS label is recommended: [{}]",
            problems.join(" ")
        ));
    }
}

/// Warns of the pod template at `path` in a new object, or in one whose generation an update has incremented.
pub(in crate::strategy) fn warn_of_template(
    path: &str,
    old: Option<&Value>,
    new: &Value,
    out: &mut Vec<String>,
) {
    if old.is_none_or(|old| increments_generation(old, new)) {
        warn(path, path.split('.').fold(new, |value, field| &value[field]), out);
    }
}

/// Whether an update has incremented the generation of the object.
pub(in crate::strategy) fn increments_generation(old: &Value, new: &Value) -> bool {
    let generation = |object: &Value| object["metadata"]["generation"].as_i64();
    generation(old) != generation(new)
}

/// Warns of a pod, whose `path` is empty, or of a pod template, in the order of the API server.
fn warn(path: &str, template: &Value, out: &mut Vec<String>) {
    let spec_path = join(path, "spec");
    let spec = &template["spec"];
    warn_of_node_labels(&spec_path, spec, out);
    for (key, why) in ANNOTATIONS {
        if !template["metadata"]["annotations"][key].is_null() {
            out.push(format!("{}[{key}]: {why}", join(path, "metadata.annotations")));
        }
    }
    warn_of_volumes(&spec_path, spec, out);
    warn_of_duplicates(&spec_path, spec, out);
    for resource in ["memory", "ephemeral-storage"] {
        warn_of_fraction(&join(&spec_path, "overhead"), &spec["overhead"], resource, out);
    }
    profile_annotations::warn_of_pod(path, template, out);
    for (container_path, container) in containers(&spec_path, spec) {
        profile_annotations::warn_of_container(path, template, container, out);
        for resource in ["memory", "ephemeral-storage"] {
            for amounts in ["limits", "requests"] {
                let path = join(&container_path, &format!("resources.{amounts}"));
                warn_of_fraction(&path, &container["resources"][amounts], resource, out);
            }
        }
        warn_of_variables(&container_path, container, out);
    }
    ports::warn_of_ports(&spec_path, spec, out);
    if spec["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0) {
        let path = join(&spec_path, "terminationGracePeriodSeconds");
        out.push(format!("{path}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    for affinity in ["podAffinity", "podAntiAffinity"] {
        let (path, affinity) = (format!("{spec_path}.affinity.{affinity}"), &spec["affinity"][affinity]);
        for (path, term) in items(&path, affinity, "requiredDuringSchedulingIgnoredDuringExecution") {
            warn_of_null_selector(&path, term, out);
        }
        for (path, term) in items(&path, affinity, "preferredDuringSchedulingIgnoredDuringExecution") {
            warn_of_null_selector(&join(&path, "podAffinityTerm"), &term["podAffinityTerm"], out);
        }
    }
    for (path, server) in items(&join(&spec_path, "dnsConfig"), &spec["dnsConfig"], "nameservers") {
        warn_of_address(&path, server.as_str().unwrap_or_default(), out);
    }
    for (path, alias) in items(&spec_path, spec, "hostAliases") {
        warn_of_address(&join(&path, "ip"), string_in(alias, "ip"), out);
    }
}

/// The containers of a pod spec with their paths.
fn containers<'a>(path: &str, spec: &'a Value) -> impl Iterator<Item = (String, &'a Value)> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(move |list| items(path, spec, list))
}

fn node_label(key: &str) -> Option<&'static str> {
    NODE_LABELS.iter().find(|(label, _)| *label == key).map(|(_, why)| *why)
}

/// Warns of deprecated labels of nodes, and of constraints without a selector.
fn warn_of_node_labels(path: &str, spec: &Value, out: &mut Vec<String>) {
    for (key, _) in spec["nodeSelector"].as_object().into_iter().flatten() {
        if let Some(why) = node_label(key) {
            out.push(format!("{path}.nodeSelector[{key}]: {why}"));
        }
    }
    let affinity = &spec["affinity"]["nodeAffinity"];
    let affinity_path = format!("{path}.affinity.nodeAffinity");
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    for (path, term) in items(&join(&affinity_path, required), &affinity[required], "nodeSelectorTerms") {
        for (path, expression) in items(&path, term, "matchExpressions") {
            warn_of_node_label(&join(&path, "key"), string_in(expression, "key"), out);
        }
    }
    for (path, term) in items(&affinity_path, affinity, "preferredDuringSchedulingIgnoredDuringExecution") {
        for (path, expression) in items(&join(&path, "preference"), &term["preference"], "matchExpressions") {
            warn_of_node_label(&join(&path, "key"), string_in(expression, "key"), out);
            // Validation refuses such values in required terms only.
            for (path, value) in items(&path, expression, "values") {
                let value = value.as_str().unwrap_or_default();
                let is_long = value.len() > names::MAX_LABEL;
                let problems = [
                    is_long.then_some("must be no more than 63 bytes"),
                    (!names::has_label_characters(value)).then_some(names::INVALID_LABEL_VALUE),
                ];
                for why in problems.into_iter().flatten() {
                    out.push(format!("{path}: {value} is invalid, {why}"));
                }
            }
        }
    }
    for (path, constraint) in items(path, spec, "topologySpreadConstraints") {
        warn_of_node_label(&join(&path, "topologyKey"), string_in(constraint, "topologyKey"), out);
        warn_of_null_selector(&path, constraint, out);
    }
}

fn warn_of_node_label(path: &str, key: &str, out: &mut Vec<String>) {
    if let Some(why) = node_label(key) {
        out.push(format!("{path}: {key} is {why}"));
    }
}

fn warn_of_null_selector(path: &str, term: &Value, out: &mut Vec<String>) {
    if term["labelSelector"].is_null() {
        out.push(format!("{path}.labelSelector: a null labelSelector results in matching no pod"));
    }
}

fn warn_of_volumes(path: &str, spec: &Value, out: &mut Vec<String>) {
    for (path, volume) in items(path, spec, "volumes") {
        for (field, name, why) in VOLUMES {
            if !volume[field].is_null() {
                out.push(format!("{path}.{name}: {why}"));
            }
        }
        let claim = &volume["ephemeral"]["volumeClaimTemplate"]["spec"];
        warn_of_claim(&join(&path, "ephemeral.volumeClaimTemplate.spec"), claim, out);
    }
    for (_, volume) in items(path, spec, "volumes") {
        volume_files::warn_of_overlaps(volume, out);
    }
}

/// Warns of the spec of a volume claim at `path`: of an amount of bytes that is not an integer.
pub(in crate::strategy) fn warn_of_claim(path: &str, spec: &Value, out: &mut Vec<String>) {
    for kind in ["requests", "limits"] {
        let path = join(path, &format!("resources.{kind}"));
        warn_of_fraction(&path, &spec["resources"][kind], "storage", out);
    }
}

/// Warns of host aliases with the same address, and of image pull secrets with the same name or without one.
fn warn_of_duplicates(path: &str, spec: &Value, out: &mut Vec<String>) {
    for (list, field) in [("hostAliases", "ip"), ("imagePullSecrets", "name")] {
        let mut seen = HashSet::new();
        for (path, item) in items(path, spec, list) {
            let value = string_in(item, field);
            if !seen.insert(value) {
                out.push(format!("{path}.{field}: duplicate {field} {}", quote(value)));
            }
        }
    }
    for (path, secret) in items(path, spec, "imagePullSecrets") {
        if string_in(secret, "name").is_empty() {
            out.push(format!("{path}.name: invalid empty name \"\""));
        }
    }
}

/// Warns of an amount of bytes that is not an integer.
fn warn_of_fraction(path: &str, amounts: &Value, resource: &str, out: &mut Vec<String>) {
    let Some(amount) = amounts[resource].as_str() else { return };
    let Ok(nanos) = schema::parse_quantity(amount) else { return };
    if round_up(nanos, NANOS_PER_MILLI) % 1000 != 0 {
        out.push(format!(
            "{path}[{resource}]: fractional byte value {} is invalid, must be an integer",
            quote(amount)
        ));
    }
}

/// Warns of environment variables that replace an earlier one without a reference to it.
fn warn_of_variables(path: &str, container: &Value, out: &mut Vec<String>) {
    let mut seen = HashSet::new();
    for (path, variable) in items(path, container, "env") {
        let name = string_in(variable, "name");
        if seen.insert(name) {
            continue;
        }
        let (reference, value) = (format!("$({name})"), string_in(variable, "value"));
        if !variable["valueFrom"].is_null() || value == reference || !value.contains(&reference) {
            out.push(format!(
                "{path}: hides previous definition of {}, which may be dropped when using apply",
                quote(name)
            ));
        }
    }
}

/// Warns of an IP address that is not in its canonical form.
fn warn_of_address(path: &str, address: &str, out: &mut Vec<String>) {
    let canonical = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => return,
        Ok(IpAddr::V6(parsed)) => match parsed.to_ipv4_mapped() {
            None if parsed.to_string() == address => return,
            None => {
                let (found, canonical) = (quote(address), quote(&parsed.to_string()));
                return out.push(format!(
                    "{path}: IPv6 address {found} should be in RFC 5952 canonical format ({canonical})"
                ));
            }
            Some(mapped) => mapped.to_string(),
        },
        Err(_) => {
            // Leading zeros; validation refuses other texts.
            let parts: Vec<_> = address.split('.').map(str::parse::<u8>).collect();
            let [Ok(a), Ok(b), Ok(c), Ok(d)] = parts[..] else { return };
            Ipv4Addr::new(a, b, c, d).to_string()
        }
    };
    let (found, canonical) = (quote(address), quote(&canonical));
    out.push(format!("{path}: non-standard IP address {found} is invalid: use {canonical}"));
}

mod ports;
#[cfg(test)]
mod tests;
mod volume_files;
