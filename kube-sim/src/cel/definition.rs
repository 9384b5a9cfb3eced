//! Checks the rules in the schemas of a CustomResourceDefinition when a request creates or updates the definition. Each
//! rule must compile, the estimated costs of the rules must not exceed limits, and the defaults in a schema must satisfy
//! its rules.

use serde_json::Value;

use super::declared_types::DeclaredType;
use super::keywords::{entries, flag, limit, list, text};
use super::program::{self, Rule};
use super::validator;
use crate::schema::FieldError;

/// The maximum estimated cost of a rule: the cost of one evaluation, times the maximum number of evaluations for one
/// object. Also the maximum estimated cost of one evaluation of a message expression.
const RULE_COST_LIMIT: u64 = 10_000_000;
/// The maximum sum of the estimated costs of all rules and message expressions in a schema.
const TOTAL_COST_LIMIT: u64 = 100_000_000;

/// Checks the rules of a structural schema in a CustomResourceDefinition, and returns the errors. `path` is the path of
/// the schema. `found` contains the errors that earlier checks of the schema have found. This function ignores the rules
/// of the schema or of a subschema if `found` contains an error about it or about a schema inside it.
pub(crate) fn check_rules(path: &str, schema: &Value, found: &[FieldError]) -> Vec<FieldError> {
    let mut check = SchemaCheck { found, errors: Vec::new(), total: 0, expensive: Vec::new() };
    check.check_defaults(schema, path);
    if !check.errors.is_empty() {
        // Like the API server, returns only the errors about defaults if a default violates a rule.
        return check.errors;
    }
    let root =
        SchemaPosition { path: path.to_owned(), root: true, cardinality: Some(1), uncorrelatable: None };
    check.check_subtree(schema, &root);
    check.finish(path)
}

/// The position of a schema, which is the checked schema or one of its subschemas. Contains the path of the
/// schema, the maximum number of its values in one object, and whether its rules can use `oldSelf`.
struct SchemaPosition {
    path: String,
    /// Whether this is the checked schema itself.
    root: bool,
    /// The maximum number of values of this subschema in one object; `None` if the number is not limited.
    cardinality: Option<u64>,
    /// The path of the innermost uncorrelatable list or object that contains this subschema; `None` if there
    /// is none. A list or object is uncorrelatable if its items or fields have no counterparts in the old
    /// object. For example, an atomic list is uncorrelatable. If this path is set, the rules of this
    /// subschema cannot use `oldSelf`.
    uncorrelatable: Option<String>,
}

/// The state of the check of one schema.
struct SchemaCheck<'a> {
    /// The errors that the validation of the CustomResourceDefinition has found before this check.
    found: &'a [FieldError],
    errors: Vec<FieldError>,
    /// The sum of the estimated costs so far.
    total: u64,
    /// The paths and costs of the most expensive expressions, at most four, each with a cost of at least 1 % of
    /// [`TOTAL_COST_LIMIT`].
    expensive: Vec<(String, u64)>,
}

impl SchemaCheck<'_> {
    /// Checks the rules of a schema and of all its subschemas.
    fn check_subtree(&mut self, schema: &Value, target: &SchemaPosition) {
        let child = |step: String, factor: Option<u64>, uncorrelatable: bool| SchemaPosition {
            path: format!("{}.{step}", target.path),
            root: false,
            cardinality: target.cardinality.and_then(|count| Some(count.saturating_mul(factor?))),
            uncorrelatable: if uncorrelatable {
                Some(target.path.clone())
            } else {
                target.uncorrelatable.clone()
            },
        };
        if let Some(entry) = schema.get("additionalProperties").filter(|entry| entry.is_object()) {
            self.check_subtree(
                entry,
                &child("additionalProperties".to_owned(), limit(schema, "maxProperties"), false),
            );
        }
        let map_type = text(schema, "x-kubernetes-map-type");
        for (name, property) in entries(schema, "properties") {
            let known = matches!(map_type, "" | "granular" | "atomic");
            let factor = if schema.get("additionalProperties").is_some() { None } else { Some(1) };
            self.check_subtree(property, &child(format!("properties[{name}]"), factor, !known));
        }
        if let Some(items) = schema.get("items") {
            let keyed = text(schema, "x-kubernetes-list-type") == "map";
            self.check_subtree(items, &child("items".to_owned(), limit(schema, "maxItems"), !keyed));
        }
        if !list(schema, "x-kubernetes-validations").is_empty() && !self.has_errors(&target.path) {
            self.check_own_rules(schema, target);
        }
    }

    /// Checks the defaults in a schema and in its subschemas. The default of a schema must satisfy the CEL
    /// rules of this schema and of its subschemas. Ignores a schema, and all schemas inside it, if
    /// [`Self::has_errors`] is true for the schema.
    fn check_defaults(&mut self, schema: &Value, path: &str) {
        if self.has_errors(path) {
            return;
        }
        if let Some(default) = schema.get("default") {
            self.errors.extend(validator::validate_default(schema, &format!("{path}.default"), default));
        }
        for (name, property) in entries(schema, "properties") {
            self.check_defaults(property, &format!("{path}.properties[{name}]"));
        }
        for key in ["items", "additionalProperties"] {
            if let Some(below) = schema.get(key).filter(|below| below.is_object()) {
                self.check_defaults(below, &format!("{path}.{key}"));
            }
        }
    }

    /// Whether `found` contains an error about the schema at `path` or about one of its subschemas.
    fn has_errors(&self, path: &str) -> bool {
        self.found.iter().any(|error| {
            error.field.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Checks the rules of one schema, without those of its subschemas.
    fn check_own_rules(&mut self, schema: &Value, target: &SchemaPosition) {
        let root = target.root || flag(schema, "x-kubernetes-embedded-resource");
        let path = format!("{}.x-kubernetes-validations", target.path);
        let Some(declared) = DeclaredType::of(schema, root) else {
            let why = "internal error: failed to construct type information for x-kubernetes-validations rules: unable to convert structural schema to CEL declarations";
            self.errors.push(FieldError::internal(path, why));
            return;
        };
        let cardinality =
            target.cardinality.unwrap_or(super::declared_types::MAX_REQUEST_SIZE / (declared.min_size + 1));
        let sources = list(schema, "x-kubernetes-validations");
        for (index, rule) in program::compile_rules(schema, &declared).into_iter().enumerate() {
            if let Some(rule) = rule {
                self.check_rule(&format!("{path}[{index}]"), &rule, &sources[index], cardinality, target);
            }
        }
    }

    /// Checks one rule: its cost, its compilation, its message expression and its use of `oldSelf`.
    fn check_rule(
        &mut self,
        path: &str,
        rule: &Rule,
        source: &Value,
        cardinality: u64,
        target: &SchemaPosition,
    ) {
        let rule_path = format!("{path}.rule");
        let cost = rule.program.as_ref().map_or(0, |program| program.cost).saturating_mul(cardinality);
        if cost > RULE_COST_LIMIT {
            let why = cost_limit_problem("estimated rule cost", cost, RULE_COST_LIMIT);
            self.errors.push(FieldError::forbidden(rule_path.as_str(), why));
        }
        self.add_cost(&rule_path, cost);
        if let Err(why) = &rule.program {
            self.errors.push(FieldError::invalid_with_text(rule_path.as_str(), format_rule(source), why));
        }
        let message_path = format!("{path}.messageExpression");
        match &rule.message {
            Some(Err(why)) => {
                self.errors.push(FieldError::invalid_with_text(message_path, format_rule(source), why));
            }
            Some(Ok(message)) => {
                if message.cost > RULE_COST_LIMIT {
                    let why =
                        cost_limit_problem("estimated messageExpression cost", message.cost, RULE_COST_LIMIT);
                    self.errors.push(FieldError::forbidden(message_path.as_str(), why));
                }
                self.add_cost(&message_path, message.cost);
            }
            None => {}
        }
        if rule.program.as_ref().is_ok_and(|program| program.uses_old_self) {
            if let Some(within) = &target.uncorrelatable {
                let why = format!(
                    "oldSelf cannot be used on the uncorrelatable portion of the schema within {within}"
                );
                self.errors.push(FieldError::invalid(rule_path, rule.source.rule.as_str(), why));
            }
        } else if let Some(set) = source.get("optionalOldSelf").and_then(Value::as_bool) {
            let why = "may not be set if oldSelf is not used in rule";
            self.errors.push(FieldError::invalid(format!("{path}.optionalOldSelf"), set, why));
        }
    }

    /// Adds the estimated cost of the expression at `path` to the total, and updates the most expensive expressions.
    fn add_cost(&mut self, path: &str, cost: u64) {
        self.total = self.total.saturating_add(cost);
        if cost >= TOTAL_COST_LIMIT / 100 {
            self.expensive.push((path.to_owned(), cost));
            self.expensive.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
            self.expensive.truncate(4);
        }
    }

    /// Adds errors if the total cost exceeds its limit, and returns all errors. `path` is the path of the schema.
    fn finish(mut self, path: &str) -> Vec<FieldError> {
        if self.total > TOTAL_COST_LIMIT {
            for (path, _) in &self.expensive {
                let why = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
                self.errors.push(FieldError::forbidden(path.as_str(), why));
            }
            let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
            self.errors
                .push(FieldError::forbidden(path, cost_limit_problem(what, self.total, TOTAL_COST_LIMIT)));
        }
        self.errors
    }
}

/// The error text for the estimated cost `cost`, which exceeds `limit`. `what` is the name of the cost.
#[expect(clippy::cast_precision_loss, reason = "the factor is printed with few digits")]
fn cost_limit_problem(what: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let factor = if factor > 100.0 {
        "more than 100x".to_owned()
    } else if factor < 1.5 {
        format!("{factor:.6}x")
    } else {
        format!("{factor:.1}x")
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
    )
}

/// Formats a rule as the API server does in errors: as the JSON of a Go struct that has no field tags.
fn format_rule(rule: &Value) -> String {
    let json = |value: &Value| {
        // Go escapes these characters in JSON.
        let text = value.to_string();
        text.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")
    };
    let string = |key: &str| json(&text(rule, key).into());
    let optional = |key: &str| json(rule.get(key).unwrap_or(&Value::Null));
    format!(
        "{{\"Rule\":{},\"Message\":{},\"MessageExpression\":{},\"Reason\":{},\"FieldPath\":{},\"OptionalOldSelf\":{}}}",
        string("rule"),
        string("message"),
        string("messageExpression"),
        optional("reason"),
        string("fieldPath"),
        optional("optionalOldSelf")
    )
}
