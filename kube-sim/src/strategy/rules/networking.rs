//! The rules of the groups `networking.k8s.io`, `discovery.k8s.io` and `policy`.

use serde_json::Value;

use super::Check::{
    AnyText, Custom, PointerOneOf, PointerText, Range, Required, RequiredText, Selector, Text, UniqueBy,
};
use super::{KindRules, Rule, texts};
use crate::schema::FieldError;
use crate::strategy::validation::{Errors, INVALID_PORT, is_empty, items, join};

const GROUP: &str = "networking.k8s.io";

pub(super) static KIND_RULES: [KindRules; 6] = [
    KindRules::new(GROUP, "IPAddress", &IP_ADDRESS),
    KindRules::new(GROUP, "Ingress", &INGRESS),
    KindRules::new(GROUP, "IngressClass", &INGRESS_CLASS),
    KindRules::new(GROUP, "NetworkPolicy", &NETWORK_POLICY),
    KindRules::new("discovery.k8s.io", "EndpointSlice", &ENDPOINT_SLICE),
    KindRules::new("policy", "PodDisruptionBudget", &DISRUPTION_BUDGET),
];

static IP_ADDRESS: [Rule; 5] = [
    ("spec.parentRef", Custom(require_parent)),
    ("spec.parentRef?.group", Text(texts::subdomain_problem)),
    ("spec.parentRef?.resource", RequiredText(texts::path_segment_problem)),
    ("spec.parentRef?.name", RequiredText(texts::path_segment_problem)),
    ("spec.parentRef?.namespace", Text(texts::path_segment_problem)),
];

static INGRESS: [Rule; 7] = [
    ("spec.ingressClassName", PointerText(texts::subdomain_problem)),
    ("spec.defaultBackend?", Custom(check_backend)),
    ("spec.tls[].hosts[]", RequiredText(texts::host_problem)),
    ("spec.tls[].secretName", Text(texts::subdomain_problem)),
    ("spec.rules[].host", Text(texts::dns_host_problem)),
    ("spec.rules[].http?.paths", Required),
    ("spec.rules[].http?.paths[]", Custom(check_ingress_path)),
];

static INGRESS_CLASS: [Rule; 6] = [
    ("spec.controller", RequiredText(texts::domain_prefixed_path_problem)),
    ("spec.parameters?.apiGroup", PointerText(texts::subdomain_problem)),
    ("spec.parameters?.kind", Required),
    ("spec.parameters?.name", Required),
    ("spec.parameters?.scope", PointerOneOf(&["Cluster", "Namespace"])),
    ("spec.parameters?", Custom(check_parameters_namespace)),
];

static NETWORK_POLICY: [Rule; 9] = [
    ("spec.podSelector", Selector),
    ("spec.ingress[].from[]", Custom(check_peer)),
    ("spec.egress[].to[]", Custom(check_peer)),
    ("spec.ingress[].ports[]", Custom(check_policy_port)),
    ("spec.egress[].ports[]", Custom(check_policy_port)),
    ("spec.ingress[].ports[].protocol", PointerOneOf(&["SCTP", "TCP", "UDP"])),
    ("spec.egress[].ports[].protocol", PointerOneOf(&["SCTP", "TCP", "UDP"])),
    ("spec.policyTypes[]", Custom(check_policy_type)),
    ("spec.policyTypes", Custom(check_policy_type_count)),
];

static ENDPOINT_SLICE: [Rule; 11] = [
    ("addressType", Required),
    ("", Custom(check_endpoint_addresses)),
    ("endpoints[].addresses", Required),
    ("endpoints[].hints?.forZones", UniqueBy("name")),
    ("endpoints[].hints?.forZones[].name", Text(texts::label_value_problem)),
    ("endpoints[].hostname", PointerText(texts::dns_label_problem)),
    ("endpoints[].nodeName", PointerText(texts::subdomain_problem)),
    ("ports[].appProtocol", PointerText(texts::qualified_name_problem)),
    ("ports", UniqueBy("name")),
    ("ports[].name", Text(texts::dns_label_problem)),
    ("ports[].protocol", PointerOneOf(&["SCTP", "TCP", "UDP"])),
];

static DISRUPTION_BUDGET: [Rule; 4] = [
    ("spec.selector?", Selector),
    ("spec.maxUnavailable", Custom(check_percentage_text)),
    ("spec.minAvailable", Custom(check_percentage_text)),
    ("spec.unhealthyPodEvictionPolicy", PointerOneOf(&["AlwaysAllow", "IfHealthyBudget"])),
];

/// Returns the number of a percentage such as `25%`, or `None` for any other text.
pub(super) fn parse_percentage(text: &str) -> Option<u32> {
    let digits = text.strip_suffix('%').filter(|digits| digits.bytes().all(|c| c.is_ascii_digit()))?;
    digits.parse().ok()
}

/// Checks that a text is a percentage from `0%` to `100%`. A value that is not a text is not checked.
pub(super) fn check_percentage_text(path: &str, value: &Value, out: &mut Errors) {
    let Some(text) = value.as_str() else { return };
    let Some(number) = parse_percentage(text) else {
        let why = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
        return out.push(FieldError::invalid(path, text, why));
    };
    if number > 100 {
        out.push(FieldError::invalid(path, text, "must not be greater than 100%"));
    }
}

/// Checks the backend of a path. The API server does not check the backend if the type of the path is absent.
fn check_ingress_path(path: &str, rule: &Value, out: &mut Errors) {
    if !is_empty(&rule["pathType"]) {
        check_backend(&join(path, "backend"), &rule["backend"], out);
    }
}

/// Checks that an `IPAddress` has a `parentRef`. An empty `parentRef` is valid here: other rules check the fields.
fn require_parent(path: &str, parent: &Value, out: &mut Errors) {
    if parent.is_null() {
        out.push(FieldError::required(path, ""));
    }
}

/// Checks that a backend is either a service with a port, or a resource.
fn check_backend(path: &str, backend: &Value, out: &mut Errors) {
    let (service, resource) = (&backend["service"], &backend["resource"]);
    if !resource.is_null() {
        let at = join(path, "resource");
        super::apply(&BACKEND_RESOURCE, &at, resource, out);
        if !service.is_null() {
            let why = "cannot set both resource and service backends";
            out.push(FieldError::invalid(path, "", why));
        }
        return;
    }
    let at = join(path, "service");
    if service.is_null() {
        return out.push(FieldError::required(path, "must specify a service or a resource"));
    }
    super::apply(&BACKEND_SERVICE, &at, service, out);
    let (name, number) = (&service["port"]["name"], service["port"]["number"].as_i64().unwrap_or(0));
    match (is_empty(name), number) {
        (true, 0) => out.push(FieldError::required(path, "port name or number is required")),
        (false, 1..) => out.push(FieldError::invalid(path, "", "cannot set both port name & port number")),
        (true, number) if !(1..=65535).contains(&number) => {
            out.push(FieldError::invalid(join(&at, "port.number"), number, INVALID_PORT));
        }
        _ => {}
    }
}

static BACKEND_RESOURCE: [Rule; 3] =
    [("apiGroup", PointerText(texts::subdomain_problem)), ("kind", Required), ("name", Required)];

static BACKEND_SERVICE: [Rule; 2] =
    [("name", RequiredText(texts::dns_label_problem)), ("port.name", Text(texts::port_name_problem))];

/// Checks that the parameters of an ingress class have `namespace` if `scope` is `Namespace`, and do not have it if `scope`
/// is `Cluster` or absent.
fn check_parameters_namespace(path: &str, parameters: &Value, out: &mut Errors) {
    let field = join(path, "namespace");
    let namespace = &parameters["namespace"];
    match parameters["scope"].as_str().unwrap_or("Cluster") {
        "Namespace" => {
            super::apply(&[("namespace", RequiredText(texts::dns_label_problem))], path, parameters, out);
        }
        "Cluster" if !namespace.is_null() => {
            out.push(FieldError::forbidden(field, "should not be set when scope is set to 'Cluster'"));
        }
        _ => {}
    }
}

/// Checks that a peer has an IP block or at least one selector, but not both.
fn check_peer(path: &str, peer: &Value, out: &mut Errors) {
    let set = |field: &str| !peer[field].is_null();
    let selects = set("podSelector") || set("namespaceSelector");
    match (set("ipBlock"), selects) {
        (false, false) => return out.push(FieldError::required(path, "must specify a peer")),
        (true, true) => {
            let why = "may not specify both ipBlock and another peer";
            out.push(FieldError::forbidden(path, why));
        }
        _ => {}
    }
    super::apply(&PEER, path, peer, out);
}

static PEER: [Rule; 4] = [
    ("podSelector?", Selector),
    ("namespaceSelector?", Selector),
    ("ipBlock?.cidr", RequiredText(texts::cidr_problem)),
    ("ipBlock?.except[]", AnyText(texts::cidr_problem)),
];

/// Checks the port of a network policy. `endPort` needs a port number and must not be less than this number.
fn check_policy_port(path: &str, port: &Value, out: &mut Errors) {
    check_port_or_name(&join(path, "port"), &port["port"], out);
    let Some(end) = port["endPort"].as_i64() else { return };
    let field = join(path, "endPort");
    match &port["port"] {
        Value::Null => {
            out.push(FieldError::required(field, "may not be specified when `port` is not specified"));
        }
        Value::String(_) => {
            out.push(FieldError::invalid(field, end, "may not be specified when `port` is non-numeric"));
        }
        _ if !(1..=65535).contains(&end) => {
            out.push(FieldError::invalid(field, end, INVALID_PORT));
        }
        start if start.as_i64().is_some_and(|start| end < start) => {
            out.push(FieldError::invalid(field, end, "must be greater than or equal to `port`"));
        }
        _ => {}
    }
}

/// Checks a port that is a number or a name. An absent port is valid.
pub(super) fn check_port_or_name(path: &str, port: &Value, out: &mut Errors) {
    match port {
        Value::String(name) => {
            if let Some(why) = texts::port_name_problem(name) {
                out.push(FieldError::invalid(path, name.as_str(), why));
            }
        }
        Value::Number(_) => Range(1, 65535).run(path, port, out),
        _ => {}
    }
}

fn check_policy_type(path: &str, kind: &Value, out: &mut Errors) {
    if is_empty(kind) {
        out.push(FieldError::not_supported(path, "", &["Egress", "Ingress"]));
    }
}

/// Checks that a network policy has at most two policy types.
fn check_policy_type_count(path: &str, types: &Value, out: &mut Errors) {
    if types.as_array().is_some_and(|types| types.len() > 2) {
        out.push(FieldError::invalid(path, types.clone(), "may not specify more than two policyTypes"));
    }
}

/// Checks that the addresses of each endpoint have the `addressType` of the slice.
fn check_endpoint_addresses(_: &str, slice: &Value, out: &mut Errors) {
    let kind = slice["addressType"].as_str().unwrap_or_default();
    for (path, endpoint) in items("", slice, "endpoints") {
        for (field, address) in items(&path, endpoint, "addresses") {
            let text = address.as_str().unwrap_or_default();
            let list = join(&path, "addresses");
            match (kind, texts::is_ipv6(text)) {
                ("IPv4" | "IPv6", None) => {
                    let why = texts::ip_address_problem(text).unwrap_or_default();
                    out.push(FieldError::invalid(field, text, why));
                }
                ("IPv4" | "IPv6", Some(is_ipv6)) => {
                    if is_ipv6 != (kind == "IPv6") {
                        let why = if kind == "IPv6" {
                            "must be an IPv6 address"
                        } else {
                            "must be an IPv4 address"
                        };
                        out.push(FieldError::invalid(list, text, why));
                    }
                    check_endpoint_address(field, text, out);
                }
                _ => {
                    if let Some(why) = texts::subdomain_problem(text) {
                        out.push(FieldError::invalid(field, text, why));
                    }
                }
            }
        }
    }
}

/// Checks an IP address. The address must be in its canonical form, and must not be unspecified, loopback or
/// link-local.
fn check_endpoint_address(field: String, text: &str, out: &mut Errors) {
    let canonical = texts::canonical_ip(text).unwrap_or_default();
    if let Some(why) = texts::ip_address_problem(text) {
        out.push(FieldError::invalid(field, text, why));
    } else if canonical != text {
        out.push(FieldError::invalid(field, text, format!("must be in canonical form ({canonical:?})")));
    } else if let Some(why) = texts::external_ip_address_problem(text) {
        out.push(FieldError::invalid(field, text, why));
    }
}
