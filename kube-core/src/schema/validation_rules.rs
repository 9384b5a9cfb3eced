//! Finds malformed validation rules (`x-kubernetes-validations`) and, with `refused_keywords`, other invalid keywords. The
//! API server rejects a `CustomResourceDefinition` that contains a malformed rule or an invalid keyword.
//!
//! This module must not parse CEL expressions: the server checks them against the types of the schema.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};

use super::{SchemaProblem, refused_keywords};

/// Appends a [`SchemaProblem`] to `problems` for each malformed rule or keyword of a schema.
pub(crate) fn report_refused_keywords(schema: &JSONSchemaProps, problems: &mut Vec<SchemaProblem>) {
    report_refused_keywords_of_node(schema, "", problems);
}

/// Like [`report_refused_keywords`], for the node at `path` and the nodes below it.
fn report_refused_keywords_of_node(schema: &JSONSchemaProps, path: &str, problems: &mut Vec<SchemaProblem>) {
    for rule in schema.x_kubernetes_validations.iter().flatten() {
        if let Some(what) = problem_of_rule(rule) {
            problems.push(SchemaProblem::new(path, what, "correct the rule"));
        }
    }
    for what in refused_keywords::problems_of_node(schema) {
        problems.push(SchemaProblem::new(path, what, "correct the merge strategy or the schema attribute"));
    }
    for (name, property) in schema.properties.iter().flatten() {
        report_refused_keywords_of_node(property, &format!("{path}.{name}"), problems);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        report_refused_keywords_of_node(items, &format!("{path}[*]"), problems);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        report_refused_keywords_of_node(values, &format!("{path}[*]"), problems);
    }
}

/// The allowed values of `reason` in a validation rule.
const REASONS: [&str; 4] =
    ["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired", "FieldValueDuplicate"];

/// Describes the error in a malformed rule; `None` if the rule is well-formed.
fn problem_of_rule(rule: &ValidationRule) -> Option<String> {
    let has_line_break = |text: &str| text.trim().contains(['\n', '\r']);
    let text = &rule.rule;
    let message = rule.message.as_deref().unwrap_or_default();
    if text.trim().is_empty() {
        return Some("a validation rule is empty".to_owned());
    }
    if !message.is_empty() && message.trim().is_empty() {
        return Some(format!("the message of the validation rule {text:?} is blank"));
    }
    if has_line_break(message) {
        return Some(format!("the message of the validation rule {text:?} contains a line break"));
    }
    if message.is_empty() && has_line_break(text) {
        return Some(format!(
            "the validation rule {text:?} contains a line break, and therefore needs a message"
        ));
    }
    for (key, value) in [("messageExpression", &rule.message_expression), ("fieldPath", &rule.field_path)] {
        if value.as_ref().is_some_and(|value| value.trim().is_empty()) {
            return Some(format!("the {key} of the validation rule {text:?} is blank"));
        }
    }
    if rule.field_path.as_deref().is_some_and(|path| !path.starts_with(['.', '[']) || has_line_break(path)) {
        return Some(format!("the fieldPath of the validation rule {text:?} must begin with a dot"));
    }
    if let Some(reason) = &rule.reason
        && !REASONS.contains(&reason.as_str())
    {
        return Some(format!(
            "the reason {reason:?} of the validation rule {text:?} is none of {}",
            REASONS.join(", ")
        ));
    }
    None
}
