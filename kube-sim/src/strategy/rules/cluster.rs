//! The rules of cluster roles, role bindings, priority and runtime classes, API services and signing requests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Check::{
    AnyText, Custom, Labels, OneOf, PointerOneOf, PointerRange, Range, Required, RequiredText, Text, Unique,
};
use super::{KindRules, MAX_INT32, Rule, texts};
use crate::schema::FieldError;
use crate::strategy::validation::{Errors, is_empty, items};

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

pub(super) static KIND_RULES: [KindRules; 7] = [
    KindRules::new(RBAC_GROUP, "ClusterRole", &CLUSTER_ROLE),
    KindRules::new(RBAC_GROUP, "ClusterRoleBinding", &CLUSTER_ROLE_BINDING),
    KindRules::new(RBAC_GROUP, "RoleBinding", &ROLE_BINDING),
    KindRules::new("scheduling.k8s.io", "PriorityClass", &PRIORITY_CLASS),
    KindRules::new("node.k8s.io", "RuntimeClass", &RUNTIME_CLASS),
    KindRules::new("apiregistration.k8s.io", "APIService", &API_SERVICE),
    KindRules::new("certificates.k8s.io", "CertificateSigningRequest", &SIGNING_REQUEST),
];

static CLUSTER_ROLE: [Rule; 2] = [
    ("aggregationRule?.clusterRoleSelectors", Required),
    ("aggregationRule?.clusterRoleSelectors[]", Custom(check_role_selector)),
];

static CLUSTER_ROLE_BINDING: [Rule; 3] = [
    ("roleRef.apiGroup", OneOf(&[RBAC_GROUP])),
    ("roleRef.kind", OneOf(&["ClusterRole"])),
    ("", Custom(check_subjects)),
];

static ROLE_BINDING: [Rule; 3] = [
    ("roleRef.apiGroup", OneOf(&[RBAC_GROUP])),
    ("roleRef.kind", OneOf(&["ClusterRole", "Role"])),
    ("", Custom(check_subjects)),
];

static PRIORITY_CLASS: [Rule; 1] = [("preemptionPolicy", PointerOneOf(&["Never", "PreemptLowerPriority"]))];

static RUNTIME_CLASS: [Rule; 4] = [
    ("handler", RequiredText(texts::dns_label_problem)),
    ("scheduling?.nodeSelector", Labels),
    ("scheduling?.tolerations[]", Custom(super::pod::check_toleration)),
    ("scheduling?.tolerations", Unique),
];

static API_SERVICE: [Rule; 7] = [
    ("", Custom(check_api_service)),
    ("spec.version", AnyText(texts::dns_label_1035_problem)),
    ("spec.groupPriorityMinimum", Range(1, 20_000)),
    ("spec.versionPriority", Range(1, 1_000)),
    ("spec.service?.name", Required),
    ("spec.service?.namespace", Required),
    ("spec.service?.port", PointerRange(1, 65535)),
];

static SIGNING_REQUEST: [Rule; 6] = [
    ("spec.request", Custom(check_certificate_request)),
    ("spec.signerName", RequiredText(texts::signer_name_problem)),
    ("spec.expirationSeconds", PointerRange(600, MAX_INT32)),
    ("spec.usages", Required),
    ("spec.usages", Unique),
    ("spec.usages[]", Required),
];

/// Checks a selector of an aggregation rule. If a part of the selector is invalid, adds an error about the whole
/// selector, as the API server does.
fn check_role_selector(path: &str, selector: &Value, out: &mut Errors) {
    let before = out.0.len();
    super::check_selector(path, selector, out);
    if out.0.len() > before {
        out.push(FieldError::invalid(path, selector.clone(), "invalid label selector"));
    }
}

/// Checks the API group of each subject of a binding, and the name of each service account.
fn check_subjects(path: &str, binding: &Value, out: &mut Errors) {
    for (path, subject) in items(path, binding, "subjects") {
        let group = subject["apiGroup"].as_str().unwrap_or_default();
        let expected = match subject["kind"].as_str().unwrap_or_default() {
            "ServiceAccount" => {
                Text(texts::subdomain_problem).run(&format!("{path}.name"), &subject["name"], out);
                ""
            }
            "User" | "Group" => RBAC_GROUP,
            _ => continue,
        };
        if group != expected {
            out.push(FieldError::not_supported(format!("{path}.apiGroup"), group, &[expected]));
        }
    }
}

/// Checks the group of an API service, and that the name of the API service is `VERSION.GROUP`. Rejects
/// `insecureSkipTLSVerify` without `spec.service`.
fn check_api_service(_: &str, service: &Value, out: &mut Errors) {
    let spec = &service["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (group, version, name) =
        (text(&spec["group"]), text(&spec["version"]), text(&service["metadata"]["name"]));
    if name != format!("{version}.{group}") {
        out.push(FieldError::invalid("metadata.name", name, "must be `spec.version+\".\"+spec.group`"));
    }
    if group.is_empty() && version != "v1" {
        out.push(FieldError::required(
            "spec.group",
            "only v1 may have an empty group and it better be legacy kube",
        ));
    }
    Text(texts::subdomain_problem).run("spec.group", &spec["group"], out);
    if spec["service"].is_null() && spec["insecureSkipTLSVerify"] == true {
        let why = "local services may not be insecureSkipTLSVerify";
        out.push(FieldError::invalid("spec.insecureSkipTLSVerify", true, why));
    }
}

/// Checks that the request contains the first line of a PEM block (RFC 7468) for a certificate request. Does not parse
/// the block.
fn check_certificate_request(path: &str, request: &Value, out: &mut Errors) {
    let text = request.as_str().unwrap_or_default();
    let is_pem = STANDARD.decode(text).is_ok_and(|bytes| {
        let text = String::from_utf8_lossy(&bytes);
        text.contains("-----BEGIN CERTIFICATE REQUEST-----")
            || text.contains("-----BEGIN NEW CERTIFICATE REQUEST-----")
    });
    if is_empty(request) || !is_pem {
        let why = "PEM block type must be CERTIFICATE REQUEST";
        out.push(FieldError::invalid(path, text, why));
    }
}
