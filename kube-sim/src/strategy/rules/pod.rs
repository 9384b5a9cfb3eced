//! The rules of the pod spec in a pod or in a pod template.

use std::collections::HashSet;

use serde_json::Value;

use super::Check::{
    AnyText, Custom, Labels, OneOf, PointerOneOf, PointerRange, Range, Required, RequiredText, Selector, Text,
};
use super::networking::check_port_or_name;
use super::{MAX_INT32, Rule, texts};
use crate::schema::FieldError;
use crate::strategy::validation::{Errors, is_empty, items, join, string_in};

/// The rules of a pod spec, with paths relative to the spec.
pub(in crate::strategy) static POD_SPEC: [Rule; 26] = [
    ("activeDeadlineSeconds", PointerRange(1, MAX_INT32)),
    ("affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?", Custom(check_node_selector)),
    (
        "affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution[]",
        Custom(check_preferred_nodes),
    ),
    ("affinity?.podAffinity?", Custom(check_pod_affinity)),
    ("affinity?.podAntiAffinity?", Custom(check_pod_affinity)),
    ("containers[]", Custom(check_container)),
    ("initContainers[]", Custom(check_container)),
    ("initContainers[].restartPolicy", PointerOneOf(&["Always", "Never", "OnFailure"])),
    ("dnsConfig?.nameservers[]", AnyText(texts::ip_address_problem)),
    ("dnsConfig?.options[]", Custom(check_dns_option)),
    ("dnsConfig?.searches[]", Custom(check_search_domain)),
    ("hostAliases[].ip", AnyText(texts::ip_address_problem)),
    ("hostAliases[].hostnames[]", AnyText(texts::subdomain_problem)),
    ("hostname", Text(texts::dns_label_problem)),
    ("subdomain", Text(texts::dns_label_problem)),
    ("nodeSelector", Labels),
    ("securityContext?.fsGroup", PointerRange(0, MAX_INT32)),
    ("securityContext?.runAsUser", PointerRange(0, MAX_INT32)),
    ("securityContext?.runAsGroup", PointerRange(0, MAX_INT32)),
    ("securityContext?.seccompProfile?.type", OneOf(&["Localhost", "RuntimeDefault", "Unconfined"])),
    ("securityContext?.sysctls[].name", RequiredText(sysctl_problem)),
    ("serviceAccountName", Text(texts::subdomain_problem)),
    ("tolerations[]", Custom(check_toleration)),
    ("topologySpreadConstraints[]", Custom(check_spread_constraint)),
    ("volumes[].projected?", Custom(check_projected_volume)),
    ("priorityClassName", Text(texts::subdomain_problem)),
];

/// The rules of a container, with paths relative to the container.
static CONTAINER: [Rule; 15] = [
    ("lifecycle?.postStart?", Custom(check_lifecycle_handler)),
    ("lifecycle?.preStop?", Custom(check_lifecycle_handler)),
    ("livenessProbe?", Custom(check_probe)),
    ("readinessProbe?", Custom(check_probe)),
    ("startupProbe?", Custom(check_probe)),
    ("livenessProbe?.successThreshold", Custom(check_success_threshold)),
    ("startupProbe?.successThreshold", Custom(check_success_threshold)),
    ("ports[].name", Text(texts::port_name_problem)),
    ("env[].valueFrom?.fieldRef?", Custom(check_env_var_field)),
    ("env[].valueFrom?.resourceFieldRef?.resource", Text(container_resource_problem)),
    ("env[].valueFrom?.resourceFieldRef?", Custom(check_divisor)),
    ("env[].valueFrom?.secretKeyRef?.key", Text(key_length_problem)),
    ("env[].valueFrom?.configMapKeyRef?.key", Text(key_length_problem)),
    ("securityContext?", Custom(check_privileges)),
    ("securityContext?.runAsUser", PointerRange(0, MAX_INT32)),
];

fn check_container(path: &str, container: &Value, out: &mut Errors) {
    super::apply(&CONTAINER, path, container, out);
}

/// Checks the terms of a node selector, such as a required node affinity.
pub(super) fn check_node_selector(path: &str, selector: &Value, out: &mut Errors) {
    if is_empty(&selector["nodeSelectorTerms"]) {
        out.push(FieldError::required(
            join(path, "nodeSelectorTerms"),
            "must have at least one node selector term",
        ));
    }
    for (path, term) in items(path, selector, "nodeSelectorTerms") {
        check_node_term(&path, term, out);
    }
}

/// Checks the requirements of a term of a node selector.
fn check_node_term(path: &str, term: &Value, out: &mut Errors) {
    for (path, requirement) in items(path, term, "matchExpressions") {
        super::check_requirement(&path, requirement, &["Gt", "Lt"], out);
    }
    for (path, requirement) in items(path, term, "matchFields") {
        check_field_requirement(&path, requirement, out);
    }
}

/// Checks a requirement for a field of a node. The field must be `metadata.name`, and the requirement must have one value.
fn check_field_requirement(path: &str, requirement: &Value, out: &mut Errors) {
    let operator = string_in(requirement, "operator");
    let count = requirement["values"].as_array().map_or(0, Vec::len);
    if !matches!(operator, "In" | "NotIn") {
        out.push(FieldError::invalid(join(path, "operator"), operator, "not a valid selector operator"));
    } else if count != 1 {
        let why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
        out.push(FieldError::required(join(path, "values"), why));
    }
    let key = string_in(requirement, "key");
    if key != "metadata.name" {
        return out.push(FieldError::invalid(join(path, "key"), key, "not a valid field selector key"));
    }
    for (path, value) in items(path, requirement, "values") {
        AnyText(texts::subdomain_problem).run(&path, value, out);
    }
}

fn check_preferred_nodes(path: &str, preferred: &Value, out: &mut Errors) {
    Range(1, 100).run(&join(path, "weight"), &preferred["weight"], out);
    check_node_term(&join(path, "preference"), &preferred["preference"], out);
}

/// Checks the terms of a pod affinity or anti-affinity.
fn check_pod_affinity(path: &str, affinity: &Value, out: &mut Errors) {
    for (path, term) in items(path, affinity, "requiredDuringSchedulingIgnoredDuringExecution") {
        check_affinity_term(&path, term, out);
    }
    for (path, weighted) in items(path, affinity, "preferredDuringSchedulingIgnoredDuringExecution") {
        Range(1, 100).run(&join(&path, "weight"), &weighted["weight"], out);
        check_affinity_term(&join(&path, "podAffinityTerm"), &weighted["podAffinityTerm"], out);
    }
}

fn check_affinity_term(path: &str, term: &Value, out: &mut Errors) {
    super::apply(&AFFINITY_TERM, path, term, out);
}

static AFFINITY_TERM: [Rule; 3] = [
    ("topologyKey", RequiredText(texts::qualified_name_problem)),
    ("labelSelector?", Selector),
    ("namespaceSelector?", Selector),
];

pub(super) fn check_toleration(path: &str, toleration: &Value, out: &mut Errors) {
    let (key, operator) = (string_in(toleration, "key"), string_in(toleration, "operator"));
    let at = join(path, "operator");
    Text(texts::qualified_name_problem).run(&join(path, "key"), &toleration["key"], out);
    if key.is_empty() && operator != "Exists" {
        let why =
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        out.push(FieldError::invalid(at.clone(), operator, why));
    }
    let value = string_in(toleration, "value");
    match operator {
        "Equal" | "" => {
            if let Some(why) = texts::label_value_problem(value) {
                out.push(FieldError::invalid(at, value, why));
            }
        }
        "Exists" if !value.is_empty() => {
            out.push(FieldError::invalid(at, value, "value must be empty when `operator` is 'Exists'"));
        }
        _ => {}
    }
    if !toleration["tolerationSeconds"].is_null() && string_in(toleration, "effect") != "NoExecute" {
        let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        out.push(FieldError::invalid(join(path, "effect"), toleration["effect"].clone(), why));
    }
}

fn check_spread_constraint(path: &str, constraint: &Value, out: &mut Errors) {
    super::apply(&SPREAD_CONSTRAINT, path, constraint, out);
}

static SPREAD_CONSTRAINT: [Rule; 4] = [
    ("maxSkew", Range(1, MAX_INT32)),
    ("topologyKey", Required),
    ("whenUnsatisfiable", OneOf(&["DoNotSchedule", "ScheduleAnyway"])),
    ("labelSelector?", Selector),
];

/// Checks that a lifecycle hook has exactly one action, and validates the action.
fn check_lifecycle_handler(path: &str, handler: &Value, out: &mut Errors) {
    check_handler(path, handler, &["exec", "httpGet", "sleep", "tcpSocket"], out);
}

/// Checks the action and the numbers of a probe.
fn check_probe(path: &str, probe: &Value, out: &mut Errors) {
    check_handler(path, probe, &["exec", "grpc", "httpGet", "tcpSocket"], out);
    for field in
        ["failureThreshold", "initialDelaySeconds", "periodSeconds", "successThreshold", "timeoutSeconds"]
    {
        PointerRange(0, MAX_INT32).run(&join(path, field), &probe[field], out);
    }
}

/// Checks that exactly one of `actions` is set, and validates this action.
fn check_handler(path: &str, handler: &Value, actions: &[&str], out: &mut Errors) {
    let set: Vec<_> = actions.iter().filter(|action| !handler[**action].is_null()).collect();
    if set.is_empty() {
        return out.push(FieldError::required(path, "must specify a handler type"));
    }
    for extra in &set[1..] {
        out.push(FieldError::forbidden(join(path, extra), "may not specify more than 1 handler type"));
    }
    super::apply(&HANDLER, path, handler, out);
}

static HANDLER: [Rule; 4] = [
    ("exec?.command", Required),
    ("httpGet?.port", Custom(check_required_port)),
    ("tcpSocket?.port", Custom(check_required_port)),
    ("grpc?.port", Range(1, 65535)),
];

/// Checks a port that is a number or a name, and that must not be absent.
fn check_required_port(path: &str, port: &Value, out: &mut Errors) {
    if port.is_null() {
        Range(1, 65535).run(path, port, out);
    } else {
        check_port_or_name(path, port, out);
    }
}

/// Rejects a success threshold above 1.
fn check_success_threshold(path: &str, threshold: &Value, out: &mut Errors) {
    if let Some(number) = threshold.as_i64().filter(|number| *number > 1) {
        out.push(FieldError::invalid(path, number, "must be 1"));
    }
}

/// The fields of a pod that environment variables may contain, besides labels and annotations. Files of a projected volume
/// may contain the first three fields.
const ENV_VAR_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Checks that the API version of a field reference is `v1` or absent, and that environment variables may contain the
/// field.
fn check_env_var_field(path: &str, reference: &Value, out: &mut Errors) {
    let field = string_in(reference, "fieldPath");
    let is_map_entry = ["metadata.labels['", "metadata.annotations['"]
        .iter()
        .any(|prefix| field.strip_prefix(prefix).is_some_and(|key| key.ends_with("']")));
    let is_v1 = matches!(string_in(reference, "apiVersion"), "" | "v1");
    if !field.is_empty() && !(is_v1 && (is_map_entry || ENV_VAR_FIELDS.contains(&field))) {
        out.push(FieldError::not_supported(join(path, "fieldPath"), field, &ENV_VAR_FIELDS));
    }
}

/// The reason that a resource cannot be the value of an environment variable.
fn container_resource_problem(text: &str) -> Option<&'static str> {
    let known = [
        "limits.cpu",
        "limits.ephemeral-storage",
        "limits.memory",
        "requests.cpu",
        "requests.ephemeral-storage",
        "requests.memory",
    ];
    let huge = ["limits.hugepages-", "requests.hugepages-"].iter().any(|prefix| text.starts_with(prefix));
    (!huge && !known.contains(&text)).then_some("unsupported container resource")
}

/// Checks the divisor of a resource. The divisor of CPUs is `1` or `1m`, and the divisor of bytes is one unit, such as
/// `1Mi`.
fn check_divisor(path: &str, reference: &Value, out: &mut Errors) {
    let (resource, divisor) = (string_in(reference, "resource"), string_in(reference, "divisor"));
    let (supported, why): (&[_], _) = match resource.split_once('.') {
        _ if matches!(divisor, "" | "0") => return,
        Some((_, "cpu")) => {
            (&["1m", "1"], "only divisor's values 1m and 1 are supported with the cpu resource".to_owned())
        }
        Some((_, bytes)) => {
            let name = match bytes {
                "ephemeral-storage" => "local ephemeral storage",
                "memory" => "memory",
                _ if bytes.starts_with("hugepages-") => "hugepages",
                _ => return,
            };
            let units: &[_] =
                &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
            (
                units,
                format!("only divisor's values {} are supported with the {name} resource", units.join(", ")),
            )
        }
        None => return,
    };
    if !supported.contains(&divisor) {
        out.push(FieldError::invalid(join(path, "divisor"), resource, why));
    }
}

/// The error text for a key of a config map or secret that is too long; `None` for any other key.
fn key_length_problem(text: &str) -> Option<&'static str> {
    (text.len() > 253).then_some("must be no more than 253 characters")
}

/// Rejects a privileged container with `allowPrivilegeEscalation: false`.
fn check_privileges(path: &str, context: &Value, out: &mut Errors) {
    if context["privileged"] == true && context["allowPrivilegeEscalation"] == false {
        let why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        out.push(FieldError::invalid(path, context.clone(), why));
    }
}

/// Checks a search domain, which may be `.` or end with a dot.
fn check_search_domain(path: &str, domain: &Value, out: &mut Errors) {
    let text = domain.as_str().unwrap_or_default();
    if text == "." {
        return;
    }
    // Unlike a DNS label, a part of a search domain may begin with an underscore and contain further underscores.
    let labels = text.strip_suffix('.').unwrap_or(text).split('.');
    let plain: Vec<_> =
        labels.map(|label| label.strip_prefix('_').unwrap_or(label).replace('_', "-")).collect();
    let plain = plain.join(".");
    if let Some(why) = texts::subdomain_problem(&plain) {
        out.push(FieldError::invalid(path, text, why));
    }
}

fn check_dns_option(path: &str, option: &Value, out: &mut Errors) {
    if is_empty(&option["name"]) {
        out.push(FieldError::required(path, "must not be empty"));
    }
}

/// Validates the name of a kernel parameter. The parts of the name are separated by dots or slashes. Returns
/// the reason if the name is invalid.
fn sysctl_problem(text: &str) -> Option<&'static str> {
    let part = |part: &str| {
        let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(edge)
            && part.ends_with(edge)
            && part.chars().all(|c| edge(c) || c == '-' || c == '_')
    };
    let valid = text.len() <= 253 && text.split(['.', '/']).all(part);
    (!valid).then_some("must have at most 253 characters and match the pattern of a kernel parameter")
}

/// Checks the sources of a projected volume. As on the API server, the error for a missing token path omits
/// `sources[i].serviceAccountToken`, and the errors of `downwardAPI` items omit `items[j]`.
fn check_projected_volume(path: &str, projected: &Value, out: &mut Errors) {
    for (source_path, source) in items(path, projected, "sources") {
        if !source["serviceAccountToken"].is_null() {
            let (at, token) = (join(&source_path, "serviceAccountToken"), &source["serviceAccountToken"]);
            PointerRange(600, 1 << 32).run(&join(&at, "expirationSeconds"), &token["expirationSeconds"], out);
            if is_empty(&token["path"]) {
                out.push(FieldError::required(join(path, "path"), ""));
            }
        }
        let at = join(&source_path, "downwardAPI");
        for (_, item) in items(&at, &source["downwardAPI"], "items") {
            check_downward_api_item(&at, item, out);
        }
    }
    check_projected_paths(path, projected, out);
}

/// Checks an item of `downwardAPI` in a projected volume.
fn check_downward_api_item(path: &str, item: &Value, out: &mut Errors) {
    if is_empty(&item["path"]) {
        out.push(FieldError::required(join(path, "path"), ""));
    }
    if item["fieldRef"].is_null() && item["resourceFieldRef"].is_null() {
        out.push(FieldError::required(path, "one of fieldRef and resourceFieldRef is required"));
    }
    if item["fieldRef"].is_null() {
        return;
    }
    let field = string_in(&item["fieldRef"], "fieldPath");
    let at = join(path, "fieldRef.fieldPath");
    let is_map = matches!(field, "metadata.labels" | "metadata.annotations")
        || field.starts_with("metadata.labels['")
        || field.starts_with("metadata.annotations['");
    if field.is_empty() {
        out.push(FieldError::required(at, ""));
    } else if !is_map && !ENV_VAR_FIELDS[..3].contains(&field) {
        out.push(FieldError::not_supported(at, field, &ENV_VAR_FIELDS[..3]));
    }
}

/// Reports each file path that occurs more than once in the `configMap`, `downwardAPI` and `secret` sources of a projected
/// volume.
fn check_projected_paths(path: &str, projected: &Value, out: &mut Errors) {
    let mut files = HashSet::new();
    for (_, source) in items(path, projected, "sources") {
        let lists = ["configMap", "downwardAPI", "secret"].into_iter().flat_map(|kind| {
            source[kind]["items"].as_array().into_iter().flatten().map(|item| string_in(item, "path"))
        });
        for file in lists.filter(|file| !file.is_empty()) {
            if !files.insert(file) {
                out.push(FieldError::invalid(path, file, "conflicting duplicate paths"));
            }
        }
    }
}
