//! The rules of autoscalers.

use serde_json::Value;

use super::Check::{Custom, OneOf, PointerOneOf, PointerRange, Range, Required, RequiredText};
use super::{KindRules, MAX_INT32, Rule, texts};
use crate::schema::FieldError;
use crate::strategy::validation::{Errors, is_empty, items, join};

pub(super) static KIND_RULES: [KindRules; 1] = [KindRules {
    group: "autoscaling",
    kind: "HorizontalPodAutoscaler",
    rules: &AUTOSCALER,
    // The API server validates `autoscaling/v1` after the conversion to the form of `autoscaling/v2`.
    moved: &[("spec.targetCPUUtilizationPercentage", "spec.metrics[0].resource.target.averageUtilization")],
}];

static AUTOSCALER: [Rule; 7] = [
    ("spec.scaleTargetRef.apiVersion", RequiredText(texts::group_version_problem)),
    ("spec.targetCPUUtilizationPercentage", PointerRange(1, MAX_INT32)),
    ("spec.metrics[]", Custom(check_metric)),
    ("spec", Custom(check_scale_to_zero)),
    ("spec.behavior?.scaleUp?", Custom(check_scaling_rules)),
    ("spec.behavior?.scaleDown?", Custom(check_scaling_rules)),
    ("spec.minReplicas", PointerRange(0, MAX_INT32)),
];

/// The types of metric sources: the value of `type`, the field that contains the source, and the rules of this field.
static METRICS: [(&str, &str, &[Rule]); 5] = [
    (
        "ContainerResource",
        "containerResource",
        &[
            ("name", RequiredText(texts::qualified_name_problem)),
            ("container", RequiredText(texts::dns_label_problem)),
            ("target", Custom(check_resource_target)),
        ],
    ),
    (
        "External",
        "external",
        &[
            ("metric.name", Required),
            ("target", Custom(check_target)),
            ("target", Custom(check_value_target)),
        ],
    ),
    (
        "Object",
        "object",
        &[
            ("describedObject.kind", Required),
            ("describedObject.name", Required),
            ("metric.name", Required),
            ("target", Custom(check_target)),
            ("target", Custom(check_value_target)),
        ],
    ),
    (
        "Pods",
        "pods",
        &[("metric.name", Required), ("target", Custom(check_target)), ("target.averageValue", Required)],
    ),
    ("Resource", "resource", &[("name", Required), ("target", Custom(check_resource_target))]),
];

/// Checks that a metric has the field of its type and no field of another type, and validates the field.
fn check_metric(path: &str, metric: &Value, out: &mut Errors) {
    let kind = metric["type"].as_str().unwrap_or_default();
    let Some((_, member, rules)) = METRICS.iter().find(|(name, ..)| *name == kind) else {
        let names: Vec<_> = METRICS.iter().map(|(name, ..)| *name).collect();
        let at = join(path, "type");
        return out.push(if kind.is_empty() {
            FieldError::required(at, "must specify a metric source type")
        } else {
            FieldError::not_supported(at, kind, &names)
        });
    };
    let at = join(path, member);
    if metric[*member].is_null() {
        out.push(FieldError::required(at, "must populate information for the given metric source"));
    } else {
        super::apply(rules, &at, &metric[*member], out);
    }
    for (_, other, _) in METRICS.iter().filter(|(name, other, _)| *name != kind && !metric[*other].is_null())
    {
        let why = "must populate the given metric source only";
        out.push(FieldError::forbidden(join(path, other), why));
    }
}

/// Checks `type` and `averageUtilization` of a target.
fn check_target(path: &str, target: &Value, out: &mut Errors) {
    OneOf(&["AverageValue", "Utilization", "Value"]).run(&join(path, "type"), &target["type"], out);
    PointerRange(1, MAX_INT32).run(&join(path, "averageUtilization"), &target["averageUtilization"], out);
}

/// Checks the target of an `Object` or `External` metric. The target must have `value` or `averageValue`.
fn check_value_target(path: &str, target: &Value, out: &mut Errors) {
    if target["value"].is_null() && target["averageValue"].is_null() {
        let why = "must set either a target value for metric or a per-pod target";
        out.push(FieldError::required(join(path, "averageValue"), why));
    }
}

/// Checks the target of a `Resource` or `ContainerResource` metric. The target must have exactly one of
/// `averageUtilization` and `averageValue`.
fn check_resource_target(path: &str, target: &Value, out: &mut Errors) {
    check_target(path, target, out);
    let field = join(path, "averageUtilization");
    match (target["averageUtilization"].is_null(), target["averageValue"].is_null()) {
        (true, true) => {
            out.push(FieldError::required(
                field,
                "must set either a target raw value or a target utilization",
            ));
        }
        (false, false) => {
            let why = "may not set both a target raw value and a target utilization";
            out.push(FieldError::forbidden(join(path, "averageValue"), why));
        }
        _ => {}
    }
}

/// If `minReplicas` is 0, checks that the autoscaler has an object or external metric: other metrics need running pods.
fn check_scale_to_zero(path: &str, spec: &Value, out: &mut Errors) {
    let exists_without_pods = items(path, spec, "metrics")
        .any(|(_, metric)| metric["type"] == "Object" || metric["type"] == "External");
    if spec["minReplicas"] == 0 && !exists_without_pods {
        let why = "must specify at least one Object or External metric to support scaling to zero replicas";
        out.push(FieldError::forbidden(join(path, "metrics"), why));
    }
}

/// Checks `scaleUp` or `scaleDown`: its policies, `selectPolicy` and stabilization window.
fn check_scaling_rules(path: &str, rules: &Value, out: &mut Errors) {
    if !rules["policies"].is_null() && is_empty(&rules["policies"]) {
        out.push(FieldError::required(join(path, "policies"), "must specify at least one Policy"));
    }
    super::apply(&SCALING_RULES, path, rules, out);
}

static SCALING_RULES: [Rule; 5] = [
    ("selectPolicy", PointerOneOf(&["Disabled", "Max", "Min"])),
    ("stabilizationWindowSeconds", PointerRange(0, 3_600)),
    ("policies[].type", OneOf(&["Percent", "Pods"])),
    ("policies[].value", Range(1, MAX_INT32)),
    ("policies[].periodSeconds", Range(1, 1_800)),
];
