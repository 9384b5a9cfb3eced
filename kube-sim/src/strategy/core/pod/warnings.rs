//! The texts of the `Warning` headers for pods and pod templates. The warnings are about deprecated fields and
//! annotations, and about valid values that do not have the effect that their author expects.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;

use super::profile_annotations;
use crate::names;
use crate::schema::{self, NANOS_PER_MILLI, divide_rounding_up, quote};
use crate::strategy::validation::{items, join, string_in};
use crate::warnings::MAX_WARNINGS;

/// Annotations without effect, each with the text of its warning.
const INEFFECTIVE_ANNOTATIONS: [(&str, &str); 3] = [
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

/// Deprecated labels of nodes, each with the text of its warning.
const DEPRECATED_NODE_LABELS: [(&str, &str); 8] = [
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

/// Deprecated types of volumes: the field, its name in the warning, and the text of the warning.
const DEPRECATED_VOLUMES: [(&str, &str, &str); 9] = [
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

/// Adds the warnings about a new pod.
pub(super) fn warn_of_pod(pod: &Value, out: &mut Vec<String>) {
    warn_unless_dns_label("the Pod's hostname", pod, out);
    warn_of_pod_or_template("", pod, out);
}

/// Warns of the name of a new object if the name is not a DNS label. The names of the pods that a controller creates for
/// the object begin with this name.
pub(in crate::strategy) fn warn_of_name(old: Option<&Value>, new: &Value, out: &mut Vec<String>) {
    if old.is_none() {
        warn_unless_dns_label("Pod names and hostnames", new, out);
    }
}

/// Warns of a name that is a DNS subdomain, but not a DNS label.
fn warn_unless_dns_label(usage: &str, object: &Value, out: &mut Vec<String>) {
    let name = string_in(&object["metadata"], "name");
    let is_long = name.len() > names::MAX_LABEL_BYTES;
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

/// Adds the warnings about the pod template at `path`, if the object is new or an update has incremented its
/// generation.
pub(in crate::strategy) fn warn_of_template(
    path: &str,
    old: Option<&Value>,
    new: &Value,
    out: &mut Vec<String>,
) {
    if old.is_none_or(|old| increments_generation(old, new)) {
        warn_of_pod_or_template(path, path.split('.').fold(new, |value, field| &value[field]), out);
    }
}

/// Whether an update has incremented the generation of the object.
pub(in crate::strategy) fn increments_generation(old: &Value, new: &Value) -> bool {
    let generation = |object: &Value| object["metadata"]["generation"].as_i64();
    generation(old) != generation(new)
}

/// Adds the warnings about a pod or a pod template in the order of the API server. `path` is the path of the pod
/// template, and is empty for a pod.
fn warn_of_pod_or_template(path: &str, template: &Value, out: &mut Vec<String>) {
    let spec_path = join(path, "spec");
    let spec = &template["spec"];
    warn_of_scheduling_fields(&spec_path, spec, out);
    for (key, why) in INEFFECTIVE_ANNOTATIONS {
        if !template["metadata"]["annotations"][key].is_null() {
            out.push(format!("{}[{key}]: {why}", join(path, "metadata.annotations")));
        }
    }
    warn_of_volumes(&spec_path, spec, out);
    warn_of_duplicates(&spec_path, spec, out);
    for resource in ["memory", "ephemeral-storage"] {
        warn_of_fraction(&join(&spec_path, "overhead"), &spec["overhead"], resource, out);
    }
    profile_annotations::warn_of_pod_annotation(path, template, out);
    for (container_path, container) in containers(&spec_path, spec) {
        profile_annotations::warn_of_container_annotations(path, template, container, out);
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

fn node_label_deprecation(key: &str) -> Option<&'static str> {
    DEPRECATED_NODE_LABELS.iter().find(|(label, _)| *label == key).map(|(_, why)| *why)
}

/// Warns of deprecated node labels, of invalid values in the preferred terms of the node affinity, and of topology spread
/// constraints without a selector.
fn warn_of_scheduling_fields(path: &str, spec: &Value, out: &mut Vec<String>) {
    for (key, _) in spec["nodeSelector"].as_object().into_iter().flatten() {
        if let Some(why) = node_label_deprecation(key) {
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
            // Validation refuses invalid values in required terms, but not in preferred terms.
            for (path, value) in items(&path, expression, "values") {
                let value = value.as_str().unwrap_or_default();
                let is_long = value.len() > names::MAX_LABEL_BYTES;
                let problems = [
                    is_long.then_some("must be no more than 63 bytes"),
                    (!names::has_label_value_form(value)).then_some(names::INVALID_LABEL_VALUE),
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
    if let Some(why) = node_label_deprecation(key) {
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
        for (field, name, why) in DEPRECATED_VOLUMES {
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

/// Warns of each amount of storage that is not an integer number of bytes. `path` is the path of the spec of a claim.
pub(in crate::strategy) fn warn_of_claim(path: &str, spec: &Value, out: &mut Vec<String>) {
    for kind in ["requests", "limits"] {
        let path = join(path, &format!("resources.{kind}"));
        warn_of_fraction(&path, &spec["resources"][kind], "storage", out);
    }
}

/// Warns of host aliases with the same address, and of image pull secrets with the same name or without a name.
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
    if divide_rounding_up(nanos, NANOS_PER_MILLI) % 1000 != 0 {
        out.push(format!(
            "{path}[{resource}]: fractional byte value {} is invalid, must be an integer",
            quote(amount)
        ));
    }
}

/// Warns of an environment variable that replaces an earlier variable with the same name. Skips a variable whose value
/// extends the earlier value, such as the value `$(NAME)2` of the variable `NAME`.
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

/// Warns of an IP address that is not in canonical form.
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
            // An IPv4 address with leading zeros. Validation refuses all other texts that do not parse.
            let parts: Vec<_> = address.split('.').map(str::parse::<u8>).collect();
            let [Ok(a), Ok(b), Ok(c), Ok(d)] = parts[..] else { return };
            Ipv4Addr::new(a, b, c, d).to_string()
        }
    };
    let (found, canonical) = (quote(address), quote(&canonical));
    out.push(format!("{path}: non-standard IP address {found} is invalid: use {canonical}"));
}

/// Adds an index if the list has fewer than [`MAX_WARNINGS`] indices.
fn push_bounded(indices: &mut Vec<usize>, index: usize) {
    if indices.len() < MAX_WARNINGS {
        indices.push(index);
    }
}

mod ports;
#[cfg(test)]
mod tests;
mod volume_files;
