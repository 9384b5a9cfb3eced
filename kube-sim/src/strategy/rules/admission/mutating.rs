//! The rules of mutating admission policies and their bindings.

use serde_json::Value;

use super::{
    check_bool_expression, check_match_resources, check_param_kind, check_parameter_reference,
    check_variable_expression,
};
use crate::cel::PatchType;
use crate::schema::FieldError;
use crate::strategy::rules::Check::{Custom, OneOf, PointerOneOf, Required, RequiredText, UniqueBy};
use crate::strategy::rules::{Rule, texts};
use crate::strategy::validation::{Errors, is_empty, items, join};

pub(super) static POLICY: [Rule; 15] = [
    ("spec.failurePolicy", PointerOneOf(&["Fail", "Ignore"])),
    ("spec.paramKind?.apiVersion", RequiredText(texts::group_version_problem)),
    ("spec.paramKind?.kind", Custom(check_param_kind)),
    ("spec.matchConstraints", Required),
    ("spec.matchConstraints?", Custom(check_match_resources)),
    ("spec.matchConstraints?.resourceRules", Required),
    ("spec.matchConstraints?.resourceRules", Custom(check_operations)),
    ("spec.matchConditions", UniqueBy("name")),
    ("spec.matchConditions[].name", RequiredText(texts::qualified_name_problem)),
    ("spec.matchConditions[].expression", Custom(check_bool_expression)),
    ("spec.variables[].name", RequiredText(texts::cel_identifier_problem)),
    ("spec.variables[].expression", Custom(check_variable_expression)),
    ("spec.mutations", Custom(require_mutations)),
    ("spec", Custom(check_mutations)),
    ("spec.reinvocationPolicy", Custom(check_reinvocation_policy)),
];

pub(super) static BINDING: [Rule; 4] = [
    ("spec.policyName", RequiredText(texts::subdomain_problem)),
    ("spec.paramRef?", Custom(check_parameter_reference)),
    ("spec.matchResources?", Custom(check_match_resources)),
    ("spec.matchResources?.resourceRules", Custom(check_operations)),
];

/// Checks the operations of all rules. `DELETE` is not supported: a deletion has no object that a policy could change.
fn check_operations(path: &str, rules: &Value, out: &mut Errors) {
    let path = join(path, "operations");
    let lists = rules.as_array().into_iter().flatten().filter_map(|rule| rule["operations"].as_array());
    for operation in lists.flatten() {
        OneOf(&["*", "CONNECT", "CREATE", "UPDATE"]).run(&path, operation, out);
    }
}

fn require_mutations(path: &str, mutations: &Value, out: &mut Errors) {
    if is_empty(mutations) {
        out.push(FieldError::required(path, "mutations must contain at least one item"));
    }
}

fn check_reinvocation_policy(path: &str, policy: &Value, out: &mut Errors) {
    check_required_value(path, policy, &["IfNeeded", "Never"], out);
}

fn check_required_value(path: &str, value: &Value, supported: &'static [&'static str], out: &mut Errors) {
    if is_empty(value) {
        out.push(FieldError::required(path, ""));
    } else {
        OneOf(supported).run(path, value, out);
    }
}

/// Checks that each mutation has the patch of its type and no other patch, and validates the patch expression.
fn check_mutations(path: &str, spec: &Value, out: &mut Errors) {
    let has_params = !spec["paramKind"].is_null();
    for (path, mutation) in items(path, spec, "mutations") {
        let name = mutation["patchType"].as_str().unwrap_or_default();
        let (field, other, patch_type) = match name {
            "JSONPatch" => ("jsonPatch", "applyConfiguration", PatchType::JsonPatch),
            "ApplyConfiguration" => ("applyConfiguration", "jsonPatch", PatchType::ApplyConfiguration),
            _ => {
                let supported = &["ApplyConfiguration", "JSONPatch"];
                check_required_value(&join(&path, "patchType"), &mutation["patchType"], supported, out);
                continue;
            }
        };
        let at = join(&path, field);
        if mutation[field].is_null() {
            out.push(FieldError::required(at, format!("must be specified when patchType is {name}")));
        } else {
            let expression = mutation[field]["expression"].as_str().unwrap_or_default().trim();
            check_patch(&join(&at, "expression"), expression, patch_type, has_params, out);
        }
        if !mutation[other].is_null() {
            let why = format!("must not be specified when patchType is {name}");
            out.push(FieldError::invalid(join(&path, other), format!("{{{other}}}"), why));
        }
    }
}

fn check_patch(path: &str, expression: &str, patch_type: PatchType, has_params: bool, out: &mut Errors) {
    if expression.is_empty() {
        out.push(FieldError::required(path, ""));
    } else if let Some(why) = patch_type.expression_problem(expression, has_params) {
        out.push(FieldError::invalid(path, expression, why));
    }
}
