//! The rules of kinds in the group `apps` and in the core group, except pods, persistent volumes and persistent volume
//! claims.

use serde_json::Value;

use super::Check::{
    AnyText, Custom, Labels, OneOf, PointerOneOf, PointerRange, PointerText, Range, Required, RequiredText,
    Text, UniqueBy,
};
use super::networking::{check_percentage_text, check_port_or_name, parse_percentage};
use super::{KindRules, MAX_INT32, Rule, texts};
use crate::schema::FieldError;
use crate::strategy::validation::{Errors, is_empty, items, join, string_in};

pub(super) static KIND_RULES: [KindRules; 12] = [
    KindRules::new("", "Service", &SERVICE),
    KindRules::new("", "Endpoints", &ENDPOINTS),
    KindRules {
        group: "",
        kind: "Namespace",
        rules: &[("spec.finalizers[]", RequiredText(namespace_finalizer_problem))],
        moved: &[("spec.finalizers[]", "spec.finalizers")],
    },
    KindRules {
        group: "",
        kind: "Node",
        rules: &NODE,
        moved: &[
            ("spec.taints[].key", "metadata.taints[].key"),
            ("spec.taints[].value", "metadata.taints[].value"),
            ("spec.taints[].effect", "metadata.taints[].effect"),
        ],
    },
    KindRules {
        group: "",
        kind: "ResourceQuota",
        rules: &QUOTA,
        moved: &[
            ("spec.scopes[]", "spec.scopes"),
            (
                "spec.scopeSelector.matchExpressions[].operator",
                "spec.scopeSelector.matchExpressions.operator",
            ),
            (
                "spec.scopeSelector.matchExpressions[].scopeName",
                "spec.scopeSelector.matchExpressions.scopeName",
            ),
            ("spec.scopeSelector.matchExpressions[].values", "spec.scopeSelector.matchExpressions.values"),
        ],
    },
    KindRules::new("", "LimitRange", &LIMIT_RANGE),
    KindRules::new("", "PodTemplate", &[("template", Custom(check_template_labels))]),
    KindRules::new("", "ReplicationController", &WORKLOAD),
    KindRules {
        group: "apps",
        kind: "Deployment",
        rules: &DEPLOYMENT,
        moved: &[("spec.strategy.type", "spec.strategy")],
    },
    KindRules {
        group: "apps",
        kind: "DaemonSet",
        rules: &DAEMON_SET,
        moved: &[("spec.updateStrategy.type", "spec.updateStrategy")],
    },
    KindRules {
        group: "apps",
        kind: "StatefulSet",
        rules: &STATEFUL_SET,
        moved: &[
            ("spec.updateStrategy.type", "spec.updateStrategy"),
            (
                "spec.volumeClaimTemplates[].spec.accessModes[]",
                "spec.volumeClaimTemplates[].spec.accessModes",
            ),
        ],
    },
    KindRules::new("apps", "ReplicaSet", &WORKLOAD),
];

static LIMIT_RANGE: [Rule; 2] =
    [("spec.limits", UniqueBy("type")), ("spec.limits[].type", RequiredText(texts::qualified_name_problem))];

static SERVICE: [Rule; 14] = [
    ("spec.clusterIPs[]", Custom(check_cluster_ip)),
    ("spec.externalIPs[]", AnyText(texts::external_ip_address_problem)),
    ("spec.internalTrafficPolicy", PointerOneOf(&["Cluster", "Local"])),
    ("spec.ipFamilies[]", OneOf(&["IPv4", "IPv6"])),
    ("spec.ipFamilyPolicy", PointerOneOf(&["PreferDualStack", "RequireDualStack", "SingleStack"])),
    ("spec.loadBalancerClass", PointerText(texts::qualified_name_problem)),
    ("spec", Custom(check_load_balancer_fields)),
    ("spec.ports[].appProtocol", PointerText(texts::qualified_name_problem)),
    ("spec.ports[].name", Text(texts::dns_label_problem)),
    ("spec.ports[].targetPort", Custom(check_port_or_name)),
    ("spec.selector", Labels),
    ("spec.sessionAffinityConfig?.clientIP?.timeoutSeconds", PointerRange(1, 86_400)),
    ("spec.trafficDistribution", PointerOneOf(&["PreferClose", "PreferSameZone", "PreferSameNode"])),
    ("spec", Custom(check_external_name)),
];

/// The `type` of a service with a load balancer.
const LOAD_BALANCER: &str = "LoadBalancer";

/// Checks a cluster IP: an IP address, or the text `None` for a headless service.
fn check_cluster_ip(path: &str, address: &Value, out: &mut Errors) {
    let text = address.as_str().unwrap_or_default();
    if let Some(why) = texts::ip_address_problem(text).filter(|_| text != "None") {
        out.push(FieldError::invalid(path, text, why));
    }
}

/// Checks the host name of a service of the type `ExternalName`. The name may end with a dot.
fn check_external_name(path: &str, spec: &Value, out: &mut Errors) {
    let name = string_in(spec, "externalName");
    let absolute = name.strip_suffix('.').unwrap_or(name);
    if let Some(why) = texts::subdomain_problem(absolute)
        .filter(|_| string_in(spec, "type") == "ExternalName" && !name.is_empty())
    {
        out.push(FieldError::invalid(join(path, "externalName"), name, why));
    }
}

/// Checks `loadBalancerSourceRanges`. Rejects the load balancer fields if the type of the service is not `LoadBalancer`.
/// Permits `externalTrafficPolicy` for the types `LoadBalancer` and `NodePort`, and for a `ClusterIP` service with external
/// IPs.
fn check_load_balancer_fields(path: &str, spec: &Value, out: &mut Errors) {
    let kind = string_in(spec, "type");
    for (range_path, range) in items(path, spec, "loadBalancerSourceRanges") {
        let text = range.as_str().unwrap_or_default();
        if let Some(why) = texts::cidr_problem(text.trim()) {
            let field = range_path.replace("spec.load", "spec.Load");
            out.push(FieldError::invalid(field, text, why));
        }
    }
    if kind != LOAD_BALANCER {
        let why = "may only be used when `type` is 'LoadBalancer'";
        for (field, reported) in [
            ("loadBalancerSourceRanges", "LoadBalancerSourceRanges"),
            ("allocateLoadBalancerNodePorts", "allocateLoadBalancerNodePorts"),
            ("loadBalancerClass", "loadBalancerClass"),
        ] {
            if !is_empty(&spec[field]) {
                out.push(FieldError::forbidden(join(path, reported), why));
            }
        }
    }
    let is_external = matches!(kind, LOAD_BALANCER | "NodePort")
        || matches!(kind, "ClusterIP" | "") && !is_empty(&spec["externalIPs"]);
    if !is_external && !is_empty(&spec["externalTrafficPolicy"]) {
        let why = "may only be set for externally-accessible services";
        out.push(FieldError::invalid(
            join(path, "externalTrafficPolicy"),
            spec["externalTrafficPolicy"].clone(),
            why,
        ));
    }
}

static ENDPOINTS: [Rule; 9] = [
    ("subsets[]", Custom(check_subset)),
    ("subsets[].addresses[].ip", AnyText(texts::external_ip_address_problem)),
    ("subsets[].addresses[].hostname", Text(texts::dns_label_problem)),
    ("subsets[].addresses[].nodeName", PointerText(texts::subdomain_problem)),
    ("subsets[].notReadyAddresses[].ip", AnyText(texts::ip_address_problem)),
    ("subsets[].notReadyAddresses[].hostname", Text(texts::dns_label_problem)),
    ("subsets[].notReadyAddresses[].nodeName", PointerText(texts::subdomain_problem)),
    ("subsets[].ports[].name", Text(texts::dns_label_problem)),
    ("subsets[].ports[].port", Range(1, 65535)),
];

/// Checks that a subset has addresses.
fn check_subset(path: &str, subset: &Value, out: &mut Errors) {
    if is_empty(&subset["addresses"]) && is_empty(&subset["notReadyAddresses"]) {
        out.push(FieldError::required(path, "must specify `addresses` or `notReadyAddresses`"));
    }
}

/// The reason that a text is not a valid finalizer of a namespace. `kubernetes` and qualified names with a domain
/// are valid.
fn namespace_finalizer_problem(text: &str) -> Option<&'static str> {
    if text == "kubernetes" || text.contains('/') && texts::qualified_name_problem(text).is_none() {
        return None;
    }
    Some(
        texts::qualified_name_problem(text)
            .unwrap_or("name is neither a standard finalizer name nor is it fully qualified"),
    )
}

static NODE: [Rule; 4] = [
    ("spec.taints[].key", RequiredText(texts::qualified_name_problem)),
    ("spec.taints[].value", Text(texts::label_value_problem)),
    ("spec.taints[].effect", Required),
    ("spec", Custom(check_pod_cidrs)),
];

/// Checks the pod CIDRs of a node: at most one for each IP family.
fn check_pod_cidrs(path: &str, spec: &Value, out: &mut Errors) {
    let list = spec["podCIDRs"].as_array().map_or(&[][..], Vec::as_slice);
    for (index, cidr) in list.iter().enumerate() {
        let text = cidr.as_str().unwrap_or_default();
        if let Some(why) = texts::cidr_problem(text) {
            out.push(FieldError::invalid(join(path, &format!("podCIDRs[{index}]")), text, why));
        }
    }
    let is_v6 = |cidr: &Value| cidr.as_str().is_some_and(|text| text.contains(':'));
    if list.len() > 2 || list.len() == 2 && is_v6(&list[0]) == is_v6(&list[1]) {
        let why = "may specify no more than one CIDR for each IP family";
        out.push(FieldError::invalid(join(path, "podCIDRs"), spec["podCIDRs"].clone(), why));
    }
}

static QUOTA: [Rule; 4] = [
    ("spec.scopes[]", Required),
    ("spec.scopeSelector?.matchExpressions[].operator", Required),
    ("spec.scopeSelector?.matchExpressions[].scopeName", Required),
    ("spec.scopeSelector?.matchExpressions[]", Custom(check_scope_values)),
];

/// Checks that a requirement with the operator `In` or `NotIn` has values.
fn check_scope_values(path: &str, requirement: &Value, out: &mut Errors) {
    let needs_values = matches!(string_in(requirement, "operator"), "In" | "NotIn");
    if needs_values && is_empty(&requirement["values"]) {
        let why = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
        out.push(FieldError::required(join(path, "values"), why));
    }
}

/// The rules that replication controllers, replica sets, deployments, daemon sets and stateful sets share.
static WORKLOAD: [Rule; 2] =
    [("spec.minReadySeconds", Range(0, MAX_INT32)), ("spec.template", Custom(check_template_labels))];

static DEPLOYMENT: [Rule; 7] = [
    WORKLOAD[0],
    WORKLOAD[1],
    ("spec.revisionHistoryLimit", PointerRange(0, MAX_INT32)),
    ("spec.strategy.rollingUpdate?.maxSurge", Custom(check_surge)),
    ("spec.strategy.rollingUpdate?.maxUnavailable", Custom(check_count_or_percentage)),
    ("spec", Custom(check_progress_deadline)),
    ("spec.strategy.rollingUpdate?", Custom(reject_both_zero)),
];

static DAEMON_SET: [Rule; 6] = [
    WORKLOAD[0],
    WORKLOAD[1],
    ("spec.revisionHistoryLimit", PointerRange(0, MAX_INT32)),
    ("spec.updateStrategy.rollingUpdate?.maxSurge", Custom(check_count_or_percentage)),
    ("spec.updateStrategy.rollingUpdate?.maxUnavailable", Custom(check_count_or_percentage)),
    ("spec.updateStrategy.rollingUpdate?", Custom(check_daemon_set_rolling_update)),
];

static STATEFUL_SET: [Rule; 9] = [
    WORKLOAD[0],
    WORKLOAD[1],
    ("spec.ordinals?.start", Range(0, MAX_INT32)),
    ("spec.persistentVolumeClaimRetentionPolicy?.whenDeleted", PointerOneOf(&["Delete", "Retain"])),
    ("spec.persistentVolumeClaimRetentionPolicy?.whenScaled", PointerOneOf(&["Delete", "Retain"])),
    ("spec.serviceName", Text(texts::dns_label_problem)),
    ("spec.updateStrategy.rollingUpdate?.partition", PointerRange(0, MAX_INT32)),
    ("spec.updateStrategy.rollingUpdate?.maxUnavailable", Custom(check_positive_count)),
    ("spec", Custom(check_claim_templates)),
];

/// Checks the labels of a pod template. The API server reports the path without `metadata`.
pub(super) fn check_template_labels(path: &str, template: &Value, out: &mut Errors) {
    super::check_labels(&join(path, "labels"), &template["metadata"]["labels"], out);
}

/// Checks a number of pods or a percentage.
fn check_count_or_percentage(path: &str, count: &Value, out: &mut Errors) {
    match count {
        Value::String(_) => check_percentage_text(path, count, out),
        Value::Number(_) => Range(0, MAX_INT32).run(path, count, out),
        _ => {}
    }
}

/// Checks that a number of pods or a percentage is valid and not zero.
fn check_positive_count(path: &str, count: &Value, out: &mut Errors) {
    check_count_or_percentage(path, count, out);
    if !count.is_null() && is_zero_or_absent(count) {
        out.push(FieldError::invalid(path, count.clone(), "cannot be 0"));
    }
}

/// Checks a number of pods or a percentage. The percentage may exceed 100.
fn check_surge(path: &str, count: &Value, out: &mut Errors) {
    match count {
        Value::String(text) if parse_percentage(text).is_some() => {}
        _ => check_count_or_percentage(path, count, out),
    }
}

/// Whether a number of pods or a percentage is zero or absent.
fn is_zero_or_absent(count: &Value) -> bool {
    count == 0 || count == "0%" || count.is_null()
}

/// Checks that `maxSurge` and `maxUnavailable` are not both zero: otherwise, a rolling update could not replace pods.
fn reject_both_zero(path: &str, update: &Value, out: &mut Errors) {
    if is_zero_or_absent(&update["maxSurge"]) && is_zero_or_absent(&update["maxUnavailable"]) {
        let why = "may not be 0 when `maxSurge` is 0";
        out.push(FieldError::invalid(join(path, "maxUnavailable"), update["maxUnavailable"].clone(), why));
    }
}

/// Checks that exactly one of `maxSurge` and `maxUnavailable` of a daemon set is zero.
fn check_daemon_set_rolling_update(path: &str, update: &Value, out: &mut Errors) {
    let (surge, unavailable) = (&update["maxSurge"], &update["maxUnavailable"]);
    match (is_zero_or_absent(surge), is_zero_or_absent(unavailable)) {
        (true, true) => {
            let why = "cannot be 0 when maxSurge is 0";
            out.push(FieldError::invalid(join(path, "maxUnavailable"), unavailable.clone(), why));
        }
        (false, false) if surge.as_str().is_none_or(|text| parse_percentage(text).is_some()) => {
            let why = "may not be set when maxUnavailable is non-zero";
            out.push(FieldError::invalid(join(path, "maxSurge"), surge.clone(), why));
        }
        _ => {}
    }
}

/// Checks that `progressDeadlineSeconds` exceeds `minReadySeconds`: otherwise, the pods could not become available in
/// time.
fn check_progress_deadline(path: &str, spec: &Value, out: &mut Errors) {
    let Some(deadline) = spec["progressDeadlineSeconds"].as_i64() else { return };
    let field = join(path, "progressDeadlineSeconds");
    if deadline < 0 {
        out.push(FieldError::invalid(field, deadline, "must be greater than or equal to 0"));
    } else if deadline <= spec["minReadySeconds"].as_i64().unwrap_or_default() {
        out.push(FieldError::invalid(field, deadline, "must be greater than minReadySeconds"));
    }
}

/// Checks the claim templates of a stateful set. The error about an invalid template name has the path of a volume in
/// the pod template, as on the API server.
fn check_claim_templates(path: &str, spec: &Value, out: &mut Errors) {
    for (index, (claim_path, claim)) in items(path, spec, "volumeClaimTemplates").enumerate() {
        let volume = format!("{path}.template.spec.volumes[{index}]");
        let name = string_in(&claim["metadata"], "name");
        if name.is_empty() {
            out.push(FieldError::required(join(&volume, "name"), ""));
            out.push(FieldError::required(join(&volume, "persistentVolumeClaim.claimName"), ""));
        } else if let Some(why) = texts::dns_label_problem(name) {
            out.push(FieldError::invalid(join(&volume, "name"), name, why));
        }
        let claim_spec = &claim["spec"];
        let at = join(&claim_path, "spec");
        if claim_spec["accessModes"]
            .as_array()
            .is_none_or(|modes| modes.is_empty() || modes.iter().any(is_empty))
        {
            out.push(FieldError::required(join(&at, "accessModes"), "at least 1 access mode is required"));
        }
        super::storage::check_requested_storage(&at, claim_spec, out);
    }
}
