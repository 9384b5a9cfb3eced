//! The rules of the group `flowcontrol.apiserver.k8s.io`.

use serde_json::{Value, json};

use super::Check::{Custom, OneOf, PointerRange, Range, Required, RequiredText};
use super::{KindRules, MAX_INT32, Rule, texts};
use crate::schema::FieldError;
use crate::strategy::validation::{Errors, is_empty, join};

const GROUP: &str = "flowcontrol.apiserver.k8s.io";

pub(super) static KIND_RULES: [KindRules; 2] = [
    KindRules::new(GROUP, "FlowSchema", &FLOW_SCHEMA),
    KindRules::new(GROUP, "PriorityLevelConfiguration", &PRIORITY_LEVEL),
];

static FLOW_SCHEMA: [Rule; 6] = [
    ("", Custom(check_precedence)),
    ("spec.distinguisherMethod", Custom(check_distinguisher)),
    ("spec.priorityLevelConfiguration.name", Custom(check_priority_level_name)),
    ("spec.rules[]", Custom(check_subjects)),
    ("spec.rules[]", Custom(check_policy_rule)),
    ("", Custom(check_exempt_flow_schema)),
];

/// Checks the precedence. Only the mandatory flow schema `exempt` may have precedence 1.
fn check_precedence(_: &str, schema: &Value, out: &mut Errors) {
    let precedence = schema["spec"]["matchingPrecedence"].as_i64().unwrap_or(0);
    let is_exempt = schema["metadata"]["name"] == "exempt";
    let why = match precedence {
        ..=0 => "must be a positive value",
        1 if !is_exempt => "only the schema named 'exempt' may have matchingPrecedence 1",
        10_001.. => "must not be greater than 10000",
        _ => return,
    };
    out.push(FieldError::invalid("spec.matchingPrecedence", precedence, why));
}

fn check_distinguisher(path: &str, method: &Value, out: &mut Errors) {
    let kinds = ["ByNamespace", "ByUser"];
    if !method.is_null() && !kinds.contains(&method["type"].as_str().unwrap_or_default()) {
        let shown = json!({"Type": method["type"]});
        out.push(FieldError::not_supported(join(path, "type"), shown, &kinds));
    }
}

fn check_priority_level_name(path: &str, name: &Value, out: &mut Errors) {
    match name.as_str().unwrap_or_default() {
        "" => out.push(FieldError::required(path, "must reference a priority level")),
        text => {
            if let Some(why) = texts::subdomain_problem(text) {
                out.push(FieldError::invalid(path, text, why));
            }
        }
    }
}

/// Checks that a rule of a flow schema has subjects, and validates each subject.
fn check_subjects(path: &str, rule: &Value, out: &mut Errors) {
    if is_empty(&rule["subjects"]) {
        out.push(FieldError::required(join(path, "subjects"), "subjects must contain at least one value"));
    }
    super::apply(&[("subjects[]", Custom(check_subject))], path, rule, out);
}

/// Checks that the mandatory flow schema `exempt` has its fixed specification.
fn check_exempt_flow_schema(_: &str, schema: &Value, out: &mut Errors) {
    let all = json!(["*"]);
    let fixed = json!({
        "priorityLevelConfiguration": {"name": "exempt"},
        "matchingPrecedence": 1,
        "rules": [{
            "subjects": [{"kind": "Group", "group": {"name": "system:masters"}}],
            "resourceRules": [{"verbs": all, "apiGroups": all, "resources": all, "clusterScope": true, "namespaces": all}],
            "nonResourceRules": [{"verbs": all, "nonResourceURLs": all}],
        }],
    });
    if schema["metadata"]["name"] == "exempt" && schema["spec"] != fixed {
        let why = "spec of 'exempt' must equal the fixed value";
        out.push(FieldError::invalid("spec", schema["spec"].clone(), why));
    }
}

static PRIORITY_LEVEL: [Rule; 3] = [
    ("spec.type", OneOf(&["Exempt", "Limited"])),
    ("", Custom(check_exempt_level)),
    ("spec", Custom(check_priority_level)),
];

/// Checks that the mandatory priority level `exempt` has the type `Exempt`, and that no other priority level
/// has this type.
fn check_exempt_level(_: &str, level: &Value, out: &mut Errors) {
    let kind = level["spec"]["type"].as_str().unwrap_or_default();
    if (kind == "Exempt") != (level["metadata"]["name"] == "exempt") {
        let why = "must be 'Exempt' if and only if `name` is 'exempt'";
        out.push(FieldError::invalid("spec.type", kind, why));
    }
}

/// The verbs, besides `*`, that a resource rule or a non-resource rule may contain.
const VERBS: [&str; 9] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

/// Checks that a policy rule contains resource rules or non-resource rules, and validates the contained rules.
fn check_policy_rule(path: &str, rule: &Value, out: &mut Errors) {
    if is_empty(&rule["resourceRules"]) && is_empty(&rule["nonResourceRules"]) {
        let why = "at least one of resourceRules and nonResourceRules has to be non-empty";
        out.push(FieldError::required(path, why));
    }
    super::apply(&POLICY_RULE, path, rule, out);
}

static POLICY_RULE: [Rule; 12] = [
    ("resourceRules[].verbs", Custom(|path, verbs, out| check_verbs(path, verbs, &VERBS, out))),
    ("resourceRules[].apiGroups", Required),
    (
        "resourceRules[].apiGroups",
        Custom(|path, list, out| check_star_is_only_item(path, list, "api groups", out)),
    ),
    ("resourceRules[].resources", Required),
    (
        "resourceRules[].resources",
        Custom(|path, list, out| check_star_is_only_item(path, list, "resources", out)),
    ),
    (
        "resourceRules[].namespaces",
        Custom(|path, list, out| check_star_is_only_item(path, list, "namespaces", out)),
    ),
    ("resourceRules[]", Custom(check_namespaces)),
    ("nonResourceRules[].verbs", Custom(|path, verbs, out| check_verbs(path, verbs, &VERBS, out))),
    ("nonResourceRules[].nonResourceURLs", Required),
    (
        "nonResourceRules[].nonResourceURLs",
        Custom(|path, list, out| check_star_is_only_item(path, list, "non-resource URLs", out)),
    ),
    ("nonResourceRules[].nonResourceURLs[]", RequiredText(texts::non_resource_url_problem)),
    ("resourceRules[].namespaces[]", RequiredText(namespace_problem)),
];

/// Checks that a list with `*` has no other item.
fn check_star_is_only_item(path: &str, list: &Value, others: &str, out: &mut Errors) {
    let items = list.as_array().map_or(&[][..], Vec::as_slice);
    if items.len() > 1 && items.iter().any(|item| item == "*") {
        let why = format!("if '*' is present, must not specify other {others}");
        out.push(FieldError::invalid(path, list.clone(), why));
    }
}

/// Validates the name of a namespace; `*` is also valid. Returns the reason if the text is invalid.
fn namespace_problem(text: &str) -> Option<&'static str> {
    if text == "*" { None } else { texts::dns_label_problem(text) }
}

/// Validates the name of a service account; `*` is also valid. Returns the reason if the text is invalid.
fn service_account_problem(text: &str) -> Option<&'static str> {
    if text == "*" { None } else { texts::subdomain_problem(text) }
}

/// Checks that the list has verbs, and that each verb is known. A list with `*` must have no other item.
fn check_verbs(path: &str, verbs: &Value, known: &[&str], out: &mut Errors) {
    let list = verbs.as_array().map_or(&[][..], Vec::as_slice);
    if list.is_empty() {
        out.push(FieldError::required(path, ""));
    } else if list.len() > 1 && list.iter().any(|verb| verb == "*") {
        out.push(FieldError::invalid(path, verbs.clone(), "if '*' is present, must not specify other verbs"));
    } else if !list.iter().all(|verb| verb == "*" || known.contains(&verb.as_str().unwrap_or_default())) {
        out.push(FieldError::not_supported(path, verbs.clone(), known));
    }
}

/// Checks that a resource rule has namespaces or `clusterScope: true`.
fn check_namespaces(path: &str, rule: &Value, out: &mut Errors) {
    if is_empty(&rule["namespaces"]) && rule["clusterScope"] != true {
        let why = "resource rules that are not cluster scoped must supply at least one namespace";
        out.push(FieldError::required(join(path, "namespaces"), why));
    }
}

/// Checks that a subject has the field of its kind and no field of another kind, and validates the field.
fn check_subject(path: &str, subject: &Value, out: &mut Errors) {
    let kinds = [("Group", "group"), ("ServiceAccount", "serviceAccount"), ("User", "user")];
    let kind = subject["kind"].as_str().unwrap_or_default();
    let Some((_, member)) = kinds.iter().find(|(name, _)| *name == kind) else {
        let names = kinds.map(|(name, _)| name);
        return out.push(FieldError::not_supported(join(path, "kind"), kind, &names));
    };
    if subject[*member].is_null() {
        let why = format!("{member} is required when subject kind is '{kind}'");
        out.push(FieldError::required(join(path, member), why));
    }
    for (name, other) in kinds.iter().filter(|(name, member)| *name != kind && !subject[*member].is_null()) {
        let why = format!("{other} is forbidden when subject kind is not '{name}'");
        out.push(FieldError::forbidden(join(path, other), why));
    }
    super::apply(&SUBJECT, path, subject, out);
}

static SUBJECT: [Rule; 4] = [
    ("group?.name", Required),
    ("user?.name", Required),
    ("serviceAccount?.name", RequiredText(service_account_problem)),
    ("serviceAccount?.namespace", RequiredText(texts::dns_label_problem)),
];

/// Checks that a priority level of the type `Limited` has the settings `limited`, and that no priority level
/// has settings of another type.
fn check_priority_level(path: &str, spec: &Value, out: &mut Errors) {
    let field = join(path, "limited");
    let kind = spec["type"].as_str().unwrap_or_default();
    if kind == "Limited" && !spec["exempt"].is_null() {
        out.push(FieldError::forbidden(join(path, "exempt"), ""));
    }
    match (kind, spec["limited"].is_null()) {
        ("Limited", true) => out.push(FieldError::required(field, "must not be empty when type is Limited")),
        ("Limited", false) => super::apply(&LIMITED_SETTINGS, &field, &spec["limited"], out),
        (_, false) => {
            let response = join(&field, "limitResponse.type");
            out.push(FieldError::forbidden(field, ""));
            if is_empty(&spec["limited"]["limitResponse"]["type"]) {
                out.push(FieldError::required(response, ""));
            }
        }
        (_, true) => {}
    }
}

static LIMITED_SETTINGS: [Rule; 5] = [
    ("nominalConcurrencyShares", PointerRange(0, MAX_INT32)),
    ("lendablePercent", PointerRange(0, 100)),
    ("borrowingLimitPercent", PointerRange(0, MAX_INT32)),
    ("limitResponse.type", OneOf(&["Queue", "Reject"])),
    ("limitResponse", Custom(check_queuing)),
];

/// Checks that `limitResponse` has `queuing` if and only if its type is `Queue`, and validates `queuing`.
fn check_queuing(path: &str, response: &Value, out: &mut Errors) {
    let field = join(path, "queuing");
    let queuing = &response["queuing"];
    match (response["type"].as_str().unwrap_or_default(), queuing.is_null()) {
        ("Queue", true) => {
            return out.push(FieldError::required(field, "must not be empty if type is Queue"));
        }
        ("Queue", false) => {}
        (_, false) => return out.push(FieldError::forbidden(field, "must be nil if type is not Queue")),
        (_, true) => return,
    }
    super::apply(&QUEUING_SETTINGS, &field, queuing, out);
    let number = |name: &str| queuing[name].as_i64().unwrap_or_default();
    let (queues, hand) = (number("queues"), number("handSize"));
    let at = join(&field, "handSize");
    if hand > queues {
        let why = format!("should not be greater than queues ({queues})");
        out.push(FieldError::invalid(at, hand, why));
    } else if hand > 0 && entropy_bits(queues, hand) > MAX_ENTROPY_BITS {
        out.push(FieldError::invalid(
            at,
            hand,
            "required entropy bits of deckSize and handSize is too large",
        ));
    }
}

static QUEUING_SETTINGS: [Rule; 3] = [
    ("queues", Range(1, 10_000_000)),
    ("handSize", Range(1, MAX_INT32)),
    ("queueLengthLimit", Range(1, MAX_INT32)),
];

/// The number of hash bits that the shuffle-sharding dealer can use to draw a hand of queues.
const MAX_ENTROPY_BITS: u32 = 60;

/// The number of bits that are necessary to encode an ordered hand of `hand` cards from a deck of `deck` cards.
#[expect(clippy::cast_precision_loss, reason = "the comparison with 60 bits needs no exact value")]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float is converted with saturation"
)]
fn entropy_bits(deck: i64, hand: i64) -> u32 {
    let bits: f64 = (0..hand.min(64)).map(|dealt| ((deck - dealt) as f64).log2()).sum();
    bits.ceil() as u32
}
