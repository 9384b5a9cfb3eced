//! The rules of the group `admissionregistration.k8s.io`.

mod mutating;

use std::collections::HashSet;

use serde_json::Value;

use super::Check::{
    Custom, OneOf, PointerOneOf, PointerRange, Required, RequiredText, Selector, Text, Unique, UniqueBy,
};
use super::{KindRules, Rule, texts};
use crate::schema::FieldError;
use crate::strategy::validation::{Errors, check_unique, is_empty, items, join};

const GROUP: &str = "admissionregistration.k8s.io";

pub(super) static KIND_RULES: [KindRules; 6] = [
    KindRules::new(GROUP, "MutatingAdmissionPolicy", &mutating::POLICY),
    KindRules::new(GROUP, "MutatingAdmissionPolicyBinding", &mutating::BINDING),
    KindRules {
        moved: SWAPPED_SERVICE_PATHS,
        ..KindRules::new(GROUP, "MutatingWebhookConfiguration", &WEBHOOKS)
    },
    KindRules {
        moved: SWAPPED_SERVICE_PATHS,
        ..KindRules::new(GROUP, "ValidatingWebhookConfiguration", &WEBHOOKS)
    },
    KindRules::new(GROUP, "ValidatingAdmissionPolicy", &POLICY),
    KindRules::new(GROUP, "ValidatingAdmissionPolicyBinding", &BINDING),
];

/// The API server reports an absent name of a service with the path of the namespace, and an absent namespace with the
/// path of the name.
const SWAPPED_SERVICE_PATHS: &[(&str, &str)] = &[
    ("webhooks[].clientConfig.service.name", "webhooks[].clientConfig.service.namespace"),
    ("webhooks[].clientConfig.service.namespace", "webhooks[].clientConfig.service.name"),
];

/// The supported values of `scope` in a `RuleWithOperations`.
const SCOPES: &[&str] = &["*", "Cluster", "Namespaced"];

static WEBHOOKS: [Rule; 17] = [
    ("webhooks", UniqueBy("name")),
    ("webhooks[].name", RequiredText(texts::fully_qualified_name_problem)),
    ("webhooks[].admissionReviewVersions", Custom(check_admission_review_versions)),
    ("webhooks[].admissionReviewVersions", Unique),
    ("webhooks[].clientConfig", Custom(check_client_config)),
    ("webhooks[].sideEffects", OneOf(&["None", "NoneOnDryRun"])),
    ("webhooks[].failurePolicy", PointerOneOf(&["Fail", "Ignore"])),
    ("webhooks[].matchPolicy", PointerOneOf(&["Equivalent", "Exact"])),
    ("webhooks[].reinvocationPolicy", PointerOneOf(&["IfNeeded", "Never"])),
    ("webhooks[].timeoutSeconds", PointerRange(1, 30)),
    ("webhooks[].namespaceSelector?", Selector),
    ("webhooks[].objectSelector?", Selector),
    ("webhooks[].rules[]", Custom(check_operation_rule)),
    ("webhooks[].rules[].scope", PointerOneOf(SCOPES)),
    ("webhooks[].matchConditions", UniqueBy("name")),
    ("webhooks[].matchConditions[].name", RequiredText(texts::qualified_name_problem)),
    ("webhooks[].matchConditions[].expression", Custom(check_bool_expression)),
];

static POLICY: [Rule; 16] = [
    ("spec.failurePolicy", PointerOneOf(&["Fail", "Ignore"])),
    ("spec.paramKind?.apiVersion", RequiredText(texts::group_version_problem)),
    ("spec.paramKind?.kind", Custom(check_param_kind)),
    ("spec", Custom(require_policy_fields)),
    ("spec.matchConstraints?", Custom(check_match_resources)),
    ("spec.matchConstraints?.resourceRules", Required),
    ("spec.validations[].expression", Custom(check_bool_expression)),
    ("spec", Custom(reject_undeclared_params)),
    ("spec.validations[].messageExpression", Custom(check_message_expression)),
    (
        "spec.validations[].reason",
        PointerOneOf(&["Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"]),
    ),
    ("", Custom(check_annotation_keys)),
    ("spec.auditAnnotations[].valueExpression", Custom(check_annotation_expression)),
    ("spec.variables[].name", RequiredText(texts::cel_identifier_problem)),
    ("spec.variables[].expression", Custom(check_variable_expression)),
    ("spec.matchConditions[].name", RequiredText(texts::qualified_name_problem)),
    ("spec.matchConditions[].expression", Custom(check_bool_expression)),
];

static BINDING: [Rule; 6] = [
    ("spec.policyName", RequiredText(texts::subdomain_problem)),
    ("spec.validationActions", Required),
    ("spec.validationActions", Unique),
    ("spec.validationActions[]", OneOf(&["Audit", "Deny", "Warn"])),
    ("spec.paramRef?", Custom(check_parameter_reference)),
    ("spec.matchResources?", Custom(check_match_resources)),
];

/// The rules of the `MatchResources` of a policy or a binding.
static MATCH_RESOURCES: [Rule; 7] = [
    ("matchPolicy", PointerOneOf(&["Equivalent", "Exact"])),
    ("namespaceSelector?", Selector),
    ("objectSelector?", Selector),
    ("resourceRules[]", Custom(check_named_rule)),
    ("resourceRules[].scope", PointerOneOf(SCOPES)),
    ("excludeResourceRules[]", Custom(check_named_rule)),
    ("excludeResourceRules[].scope", PointerOneOf(SCOPES)),
];

fn check_match_resources(path: &str, matched: &Value, out: &mut Errors) {
    super::apply(&MATCH_RESOURCES, path, matched, out);
}

/// Checks a `NamedRuleWithOperations`: an operation rule that may have a list `resourceNames`.
fn check_named_rule(path: &str, rule: &Value, out: &mut Errors) {
    for (path, name) in items(path, rule, "resourceNames") {
        Text(texts::path_segment_problem).run(&path, name, out);
    }
    check_unique(&join(path, "resourceNames"), &rule["resourceNames"], None, out);
    check_operation_rule(path, rule, out);
}

fn check_admission_review_versions(path: &str, versions: &Value, out: &mut Errors) {
    check_review_versions(path, versions, "must specify one of v1, v1beta1", out);
}

/// Checks that the versions are different DNS labels (RFC 1035), and that the API server supports at least one of them.
/// `absent` is the error text for an empty list.
pub(in crate::strategy) fn check_review_versions(
    path: &str,
    versions: &Value,
    absent: &str,
    out: &mut Errors,
) {
    let list = versions.as_array().map_or(&[][..], Vec::as_slice);
    if list.is_empty() {
        return out.push(FieldError::required(path, absent));
    }
    let mut earlier = HashSet::new();
    for (index, version) in list.iter().enumerate() {
        let text = version.as_str().unwrap_or_default();
        if !earlier.insert(text) {
            out.push(FieldError::invalid(format!("{path}[{index}]"), text, "duplicate version"));
        } else if let Some(why) = texts::dns_label_1035_problem(text) {
            out.push(FieldError::invalid(format!("{path}[{index}]"), text, why));
        }
    }
    if !list.iter().any(|version| version == "v1" || version == "v1beta1") {
        let why = "must include at least one of v1, v1beta1";
        out.push(FieldError::invalid(path, versions.clone(), why));
    }
}

/// Checks that the configuration has exactly one of `url` and `service`, and validates this field.
pub(in crate::strategy) fn check_client_config(path: &str, config: &Value, out: &mut Errors) {
    match (config["url"].as_str(), config["service"].is_null()) {
        (None, true) | (Some(_), false) => {
            out.push(FieldError::required(path, "exactly one of url or service is required"));
        }
        (Some(url), true) => {
            if let Some(why) = url_problem(url) {
                out.push(FieldError::invalid(join(path, "url"), url, why));
            }
        }
        (None, false) => super::apply(&SERVICE_REFERENCE, &join(path, "service"), &config["service"], out),
    }
}

static SERVICE_REFERENCE: [Rule; 4] = [
    ("name", Required),
    ("namespace", Required),
    ("port", PointerRange(1, 65535)),
    ("path", Text(service_path_problem)),
];

/// The reason that the URL of a webhook is invalid.
fn url_problem(text: &str) -> Option<&'static str> {
    let Ok(url) = text.parse::<http::Uri>() else { return Some("url must be a valid URL") };
    if url.scheme_str() != Some("https") {
        return Some("'https' is the only allowed URL scheme");
    }
    url.query().is_some().then_some("query parameters are not permitted in the url")
}

/// The reason that `path` in the service reference of a webhook is invalid.
fn service_path_problem(text: &str) -> Option<&'static str> {
    let Some(segments) = text.strip_prefix('/') else { return Some("must start with a '/'") };
    let mut segments: Vec<_> = segments.split('/').collect();
    // A `/` at the end is permitted.
    if segments.last().is_some_and(|last| last.is_empty()) {
        segments.pop();
    }
    segments.iter().find_map(|segment| texts::subdomain_problem(segment))
}

/// Checks the API groups, API versions, operations and resources of a `RuleWithOperations`. If `apiGroups`,
/// `apiVersions` or `operations` contains `*`, this list must have no other item. [`check_resources`] checks
/// the wildcards in `resources`.
fn check_operation_rule(path: &str, rule: &Value, out: &mut Errors) {
    for field in ["apiGroups", "apiVersions", "operations", "resources"] {
        let at = join(path, field);
        let list = rule[field].as_array().map_or(&[][..], Vec::as_slice);
        if list.is_empty() {
            out.push(FieldError::required(at, ""));
        } else if field != "resources" && list.len() > 1 && list.iter().any(|item| item == "*") {
            let why = "if '*' is present, must not specify other items";
            out.push(FieldError::invalid(at, rule[field].clone(), why));
        }
        if field != "apiGroups" {
            for (path, _) in items(path, rule, field).filter(|(_, item)| is_empty(item)) {
                out.push(FieldError::required(path, ""));
            }
        }
    }
    check_resources(&join(path, "resources"), &rule["resources"], out);
}

/// Checks that no wildcard covers another item. An item with a subresource, such as `pods/log`, is compared only with
/// earlier wildcards, such as `pods/*`. `*/*` must be the only item. If the list contains `*`, each other item
/// must have a subresource.
fn check_resources(path: &str, resources: &Value, out: &mut Errors) {
    let list: Vec<_> = crate::json::texts(resources).collect();
    let (mut all_subresources, mut all_resources) = (HashSet::new(), HashSet::new());
    for (index, text) in list.iter().enumerate() {
        let Some((resource, subresource)) = text.split_once('/') else { continue };
        if all_subresources.contains(resource) || all_resources.contains(subresource) {
            let why = "must not be listed next to a wildcard that includes it";
            out.push(FieldError::invalid(format!("{path}[{index}]"), *text, why));
        }
        if subresource == "*" {
            all_subresources.insert(resource);
        }
        if resource == "*" {
            all_resources.insert(subresource);
        }
    }
    if list.len() > 1 && list.contains(&"*/*") {
        let why = "if '*/*' is present, must not specify other resources";
        out.push(FieldError::invalid(path, resources.clone(), why));
    }
    if list.contains(&"*") && list.iter().any(|text| *text != "*" && !text.contains('/')) {
        let why = "if '*' is present, must not specify other resources without subresources";
        out.push(FieldError::invalid(path, resources.clone(), why));
    }
}

fn check_bool_expression(path: &str, expression: &Value, out: &mut Errors) {
    check_expression(path, expression, &["bool"], out);
}

fn check_annotation_expression(path: &str, expression: &Value, out: &mut Errors) {
    check_expression(path, expression, &["string", "null_type"], out);
}

fn check_variable_expression(path: &str, expression: &Value, out: &mut Errors) {
    check_expression(path, expression, &[], out);
}

/// Checks a `messageExpression`, which may be absent.
fn check_message_expression(path: &str, expression: &Value, out: &mut Errors) {
    if !is_empty(expression) {
        check_expression_without_variable(Some("authorizer"), path, expression, &["string"], out);
    }
}

/// Checks that a CEL expression is present, compiles, and has one of the types in `wanted`. If `wanted` is
/// empty, each type is valid.
fn check_expression(path: &str, expression: &Value, wanted: &[&str], out: &mut Errors) {
    check_expression_without_variable(None, path, expression, wanted, out);
}

/// Like [`check_expression`], but if `undeclared` is the name of a variable, the expression cannot use this variable.
fn check_expression_without_variable(
    undeclared: Option<&str>,
    path: &str,
    expression: &Value,
    wanted: &[&str],
    out: &mut Errors,
) {
    let text = expression.as_str().unwrap_or_default();
    if text.trim().is_empty() {
        out.push(FieldError::required(path, ""));
    } else if let Some(why) = crate::cel::admission_expression_problem(text, wanted, undeclared) {
        out.push(FieldError::invalid(path, text, why));
    }
}

/// If the policy has no `paramKind`, rejects the variable `params` in the `expression` of each validation.
fn reject_undeclared_params(path: &str, spec: &Value, out: &mut Errors) {
    if !spec["paramKind"].is_null() {
        return;
    }
    for (path, validation) in items(path, spec, "validations") {
        let text = validation["expression"].as_str().unwrap_or_default();
        let problem = |undeclared| crate::cel::admission_expression_problem(text, &["bool"], undeclared);
        if let (None, Some(why)) = (problem(None), problem(Some("params"))) {
            out.push(FieldError::invalid(join(&path, "expression"), text, why));
        }
    }
}

fn check_param_kind(path: &str, kind: &Value, out: &mut Errors) {
    let text = kind.as_str().unwrap_or_default();
    if text.is_empty() {
        out.push(FieldError::required(path, ""));
    } else if let Some(why) = texts::dns_label_1035_problem(&text.to_lowercase()) {
        out.push(FieldError::invalid(path, text, why));
    }
}

/// Checks that a policy has `matchConstraints`, and a validation or an audit annotation.
fn require_policy_fields(path: &str, spec: &Value, out: &mut Errors) {
    if spec["matchConstraints"].is_null() {
        out.push(FieldError::required(join(path, "matchConstraints"), ""));
    }
    if is_empty(&spec["validations"]) && is_empty(&spec["auditAnnotations"]) {
        for field in ["validations", "auditAnnotations"] {
            out.push(FieldError::required(
                join(path, field),
                "validations or auditAnnotations must contain at least one item",
            ));
        }
    }
}

/// Checks that each audit annotation has a unique key, and that `POLICY_NAME/KEY` is a qualified name.
fn check_annotation_keys(_: &str, policy: &Value, out: &mut Errors) {
    let name = policy["metadata"]["name"].as_str().unwrap_or_default();
    let annotations = &policy["spec"]["auditAnnotations"];
    for (path, annotation) in items("spec", &policy["spec"], "auditAnnotations") {
        let key = annotation["key"].as_str().unwrap_or_default();
        let at = join(&path, "key");
        if key.is_empty() {
            out.push(FieldError::required(at, ""));
        } else if let Some(why) = texts::qualified_name_problem(&format!("{name}/{key}")) {
            out.push(FieldError::invalid(at, key, why));
        }
    }
    check_unique("spec.auditAnnotations", annotations, Some("key"), out);
}

/// Checks that a `paramRef` has exactly one of `name` and `selector`, and a supported `parameterNotFoundAction`.
fn check_parameter_reference(path: &str, reference: &Value, out: &mut Errors) {
    match (is_empty(&reference["name"]), reference["selector"].is_null()) {
        (true, true) => out.push(FieldError::required(path, "one of name or selector must be specified")),
        (false, false) => {
            for field in ["name", "selector"] {
                out.push(FieldError::forbidden(
                    join(path, field),
                    "name and selector are mutually exclusive",
                ));
            }
        }
        _ => {}
    }
    let action = join(path, "parameterNotFoundAction");
    match &reference["parameterNotFoundAction"] {
        Value::Null => out.push(FieldError::required(action, "")),
        given => OneOf(&["Allow", "Deny"]).run(&action, given, out),
    }
}
