//! The texts of the `Warning` headers for pods and pod templates: deprecated fields and annotations, and values that are
//! valid but have no or another effect than their author expects.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
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
    warn_of_ports(&spec_path, spec, out);
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
        warn_of_overlapping_paths(volume, out);
    }
}

/// Warns of the spec of a volume claim at `path`: of an amount of bytes that is not an integer.
pub(in crate::strategy) fn warn_of_claim(path: &str, spec: &Value, out: &mut Vec<String>) {
    for kind in ["requests", "limits"] {
        let path = join(path, &format!("resources.{kind}"));
        warn_of_fraction(&path, &spec["resources"][kind], "storage", out);
    }
}

/// A file of a volume: its path, and its source in a projected volume; the source is empty in other volumes.
#[derive(PartialEq, Eq)]
struct File<'a> {
    path: &'a str,
    source: String,
}

impl fmt::Display for File<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quote(self.path))?;
        if self.source.is_empty() { Ok(()) } else { write!(f, " ({})", self.source) }
    }
}

/// Warns of files of a volume with the same path, or with a path in another file.
fn warn_of_overlapping_paths(volume: &Value, out: &mut Vec<String>) {
    let name = quote(string_in(volume, "name"));
    for (field, label) in labels_of_sources(volume, "secretName") {
        let files = listed_files(&volume[field], "").into_iter();
        warn_of_overlap(&mut Vec::new(), files, &format!("volume {name} ({label})"), out);
    }
    let mut earlier = Vec::new();
    for (_, source) in items("", &volume["projected"], "sources") {
        if source.as_object().is_none_or(|source| source.values().all(Value::is_null)) {
            out.push(format!("volume {name} (Projected) has no sources provided"));
            continue;
        }
        let files = projected_files(source).into_iter();
        warn_of_overlap(&mut earlier, files, &format!("volume {name} (Projected)"), out);
    }
}

/// The fields of a volume or of a source of a projected volume that list files, each with its label in a warning.
/// `name_of_secret` is the field with the name of a secret.
fn labels_of_sources(holder: &Value, name_of_secret: &str) -> [(&'static str, String); 3] {
    let label =
        |kind: &str, field: &str, name: &str| format!("{kind} {}", quote(string_in(&holder[field], name)));
    [
        ("configMap", label("ConfigMap", "configMap", "name")),
        ("secret", label("Secret", "secret", name_of_secret)),
        ("downwardAPI", "DownwardAPI".to_owned()),
    ]
}

/// The files of the items of a config map, a secret or the downward API.
fn listed_files<'a>(holder: &'a Value, source: &str) -> Vec<File<'a>> {
    let items = holder["items"].as_array().into_iter().flatten();
    items.map(|item| File { path: string_in(item, "path"), source: source.to_owned() }).collect()
}

/// The files of a source of a projected volume.
fn projected_files(source: &Value) -> Vec<File<'_>> {
    for (field, label) in labels_of_sources(source, "name") {
        if source[field]["items"].is_array() {
            return listed_files(&source[field], &label);
        }
    }
    let (bundle, certificate) = (&source["clusterTrustBundle"], &source["podCertificate"]);
    if !source["serviceAccountToken"].is_null() {
        let path = string_in(&source["serviceAccountToken"], "path");
        return vec![File { path, source: "ServiceAccountToken".to_owned() }];
    }
    if !bundle.is_null() {
        let name = bundle["name"].as_str().unwrap_or(string_in(bundle, "signerName"));
        return vec![File {
            path: string_in(bundle, "path"),
            source: format!("ClusterTrustBundle {}", quote(name)),
        }];
    }
    let files = [
        ("certificateChainPath", "PodCertificate chain"),
        ("keyPath", "PodCertificate key"),
        ("credentialBundlePath", "PodCertificate credential bundle"),
    ];
    let files =
        files.map(|(field, source)| File { path: string_in(certificate, field), source: source.to_owned() });
    files.into_iter().filter(|file| !file.path.is_empty()).collect()
}

fn warn_of_overlap<'a>(
    earlier: &mut Vec<File<'a>>,
    files: impl Iterator<Item = File<'a>>,
    what: &str,
    out: &mut Vec<String>,
) {
    let is_in = |path: &str, folder: &str| {
        path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    for file in files {
        let file = File { path: file.path.trim_end_matches('/'), ..file };
        let others = earlier.iter().filter(|other| !file.path.is_empty() && !other.path.is_empty());
        for other in others.filter(|other| is_in(other.path, file.path) || is_in(file.path, other.path)) {
            out.push(format!("{what}: overlapping paths: {file} with {other}"));
        }
        earlier.push(file);
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

/// A port of a container with its path.
struct Port<'a> {
    path: String,
    name: &'a str,
    protocol: &'a str,
    number: i64,
    host_ip: &'a str,
    /// The host port; 0 if there is none.
    on_host: i64,
}

/// Warns of ports of any containers that are defined twice or have the same name, and of host IPs without a host port.
fn warn_of_ports(path: &str, spec: &Value, out: &mut Vec<String>) {
    let ports = containers(path, spec).flat_map(|(path, container)| items(&path, container, "ports"));
    let ports = ports.map(|(path, port)| Port {
        path,
        name: string_in(port, "name"),
        protocol: string_in(port, "protocol"),
        number: port["containerPort"].as_i64().unwrap_or(0),
        host_ip: string_in(port, "hostIP"),
        on_host: port["hostPort"].as_i64().unwrap_or(0),
    });
    let mut by_number: BTreeMap<_, Vec<Port<'_>>> = BTreeMap::new();
    let mut by_name: BTreeMap<&str, String> = BTreeMap::new();
    let mut same_names = Vec::new();
    for port in ports {
        let Port { path, name, protocol, number, host_ip, on_host } = &port;
        if !host_ip.is_empty() && *on_host == 0 {
            out.push(format!(
                "{path}: hostIP set without hostPort: {{Name:{name} HostPort:0 ContainerPort:{number} Protocol:{protocol} HostIP:{host_ip}}}"
            ));
        }
        match by_name.get(name) {
            Some(other) => same_names.push(format!(
                "{path}: duplicate port name {} with {other}, services and probes that select ports by name will use {other}",
                quote(name)
            )),
            None if name.is_empty() => {}
            None => {
                by_name.insert(name, path.clone());
            }
        }
        let others = by_number.entry((*number, *protocol)).or_default();
        for other in &*others {
            let is_same_port = *on_host == other.on_host;
            let problem = if *host_ip == other.host_ip && is_same_port {
                "duplicate"
            } else if *on_host == 0 || other.on_host == 0 {
                "overlapping"
            } else if is_same_port && host_ip.is_empty() != other.host_ip.is_empty() {
                "dangerously ambiguous"
            } else {
                continue;
            };
            out.push(format!("{path}: {problem} port definition with {}", other.path));
        }
        others.push(port);
    }
    out.append(&mut same_names);
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

#[cfg(test)]
mod tests;
