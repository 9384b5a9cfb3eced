//! Validates custom resources with the compiled rules of their schema.
//!
//! This module owns the selection of the rules for each value, the cost budget of a request, the errors of rules, and
//! ratcheting (KEP-4008): a value that an update does not change, and that violates a rule without `oldSelf`, causes
//! only a warning.

use std::sync::Arc;

use serde_json::Value;

use super::declared_types::DeclaredType;
use super::keywords::{entries, flag, list, text};
use super::program::{self, Program, Rule};
use super::value::{Failure, Val};
use crate::schema::{Correlation, FieldError, Schema};

/// The maximum sum of the costs of all evaluations for one request, or for one default value.
const REQUEST_BUDGET: u64 = 10_000_000;
/// The maximum size of the result of a `messageExpression`, in bytes.
const MAX_MESSAGE_SIZE: usize = 5 * 1024;

/// The compiled rules of a schema.
#[derive(Debug)]
pub(crate) struct Validator {
    root: RuleTree,
}

/// The rules of a schema and of its subschemas. A `RuleTree` exists only for a schema that has rules, or that
/// has a subschema with rules.
#[derive(Debug, Default)]
struct RuleTree {
    /// The `type` of the schema.
    kind: String,
    /// The declared type of the values; `None` if the schema itself has no rules, or if rules cannot access
    /// its values.
    declared: Option<Arc<DeclaredType>>,
    rules: Vec<Rule>,
    properties: Vec<(String, RuleTree)>,
    /// The rules of `additionalProperties`.
    entries: Option<Box<RuleTree>>,
    items: Option<Box<RuleTree>>,
    /// The key fields, if the list type is `map`. For an item of such a list, the old value is the item with the same key
    /// in the old list. The items of other lists have no old value.
    list_keys: Option<Vec<String>>,
}

/// The errors and warnings of a validation. A violation of a rule without `oldSelf` becomes a warning if the update
/// does not change the value. All other violations are errors.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) errors: Vec<FieldError>,
    pub(crate) warnings: Vec<String>,
}

impl Validator {
    /// Compiles the rules of the schema of a custom resource; `None` if the schema has no rules.
    pub(crate) fn compile(schema: &Value) -> Option<Self> {
        RuleTree::compile(schema, true).map(|root| Self { root })
    }

    /// Validates an object. `old` is the stored object if the request is an update.
    pub(crate) fn validate(&self, schema: &Schema, old: Option<&Value>, object: &Value) -> Verdict {
        let mut run = ValidationRun { budget: REQUEST_BUDGET, exhausted: false, verdict: Verdict::default() };
        let correlation = old.map(|old| Correlation { schema, old, new: object });
        run.validate_value(&self.root, "", object, old, correlation, None);
        run.verdict
    }
}

/// Validates a default value with the rules of `schema`. `path` is the path of the default in the definition.
pub(super) fn validate_default(schema: &Value, path: &str, default: &Value) -> Vec<FieldError> {
    let Some(tree) = RuleTree::compile(schema, false) else { return Vec::new() };
    let mut run = ValidationRun { budget: REQUEST_BUDGET, exhausted: false, verdict: Verdict::default() };
    run.validate_value(&tree, path, default, None, None, None);
    run.verdict.errors
}

impl RuleTree {
    /// Compiles the rules of a schema; `None` if the schema contains no rules. `root` is as in [`DeclaredType::of`].
    fn compile(schema: &Value, root: bool) -> Option<Self> {
        let root = root || flag(schema, "x-kubernetes-embedded-resource");
        let below = |schema: &Value| RuleTree::compile(schema, false).map(Box::new);
        let properties: Vec<(String, RuleTree)> = entries(schema, "properties")
            .filter_map(|(name, property)| Some((name.to_owned(), RuleTree::compile(property, false)?)))
            .collect();
        let additional = schema.get("additionalProperties").filter(|entry| entry.is_object()).and_then(below);
        let items = schema.get("items").and_then(below);
        let declared = if list(schema, "x-kubernetes-validations").is_empty() {
            None
        } else {
            DeclaredType::of(schema, root)
        };
        let compiled = declared.as_ref().map(|declared| program::compile_rules(schema, declared));
        let rules: Vec<Rule> = compiled.into_iter().flatten().flatten().collect();
        if rules.is_empty() && properties.is_empty() && additional.is_none() && items.is_none() {
            return None;
        }
        let list_keys = (text(schema, "x-kubernetes-list-type") == "map").then(|| {
            let keys = list(schema, "x-kubernetes-list-map-keys").iter();
            keys.filter_map(Value::as_str).map(str::to_owned).collect()
        });
        let kind = text(schema, "type").to_owned();
        Some(Self { kind, declared, rules, properties, entries: additional, items, list_keys })
    }
}

/// A validation in progress.
struct ValidationRun {
    /// The remaining cost budget.
    budget: u64,
    /// Whether the validation has ended, because the budget or a limit was exceeded.
    exhausted: bool,
    verdict: Verdict,
}

impl ValidationRun {
    /// Evaluates the rules of `tree` on `value`, and the rules of its subtrees on the values in `value`.
    /// `old` is the value of `oldSelf`. Ratcheting uses `correlation`, which contains `value` and
    /// the old value that `value` replaces. If `correlation` is `None`, ratcheting uses `parent`, the
    /// correlation of the nearest enclosing value that has a correlation.
    fn validate_value(
        &mut self,
        tree: &RuleTree,
        path: &str,
        value: &Value,
        old: Option<&Value>,
        correlation: Option<Correlation<'_>>,
        parent: Option<Correlation<'_>>,
    ) {
        if value.is_null() || self.exhausted {
            return;
        }
        let unchanged = || correlation.or(parent).is_some_and(Correlation::is_unchanged);
        self.check_rules(tree, path, value, old.filter(|old| !old.is_null()), &unchanged);
        let nearest = correlation.or(parent);
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    let property = tree.properties.iter().find(|(known, _)| known == name);
                    let (tree, path) = match (property, &tree.entries) {
                        (Some((_, tree)), _) if path.is_empty() => (tree, name.clone()),
                        (Some((_, tree)), _) => (tree, format!("{path}.{name}")),
                        (None, Some(tree)) => (&**tree, format!("{path}[{name}]")),
                        (None, None) => continue,
                    };
                    let old = old.and_then(|old| old.get(name));
                    self.validate_value(
                        tree,
                        &path,
                        value,
                        old,
                        correlation.and_then(|both| both.field(name)),
                        nearest,
                    );
                }
            }
            Value::Array(items) => {
                let Some(below) = &tree.items else { return };
                for (index, item) in items.iter().enumerate() {
                    let old = tree.list_keys.as_ref().and_then(|keys| old_item(old?, item, keys));
                    let correlated = correlation.and_then(|both| both.item(index));
                    self.validate_value(below, &format!("{path}[{index}]"), item, old, correlated, nearest);
                }
            }
            _ => {}
        }
    }

    /// Evaluates `tree.rules` on `value`. `unchanged` returns true if the update leaves `value` unchanged.
    fn check_rules(
        &mut self,
        tree: &RuleTree,
        path: &str,
        value: &Value,
        old: Option<&Value>,
        unchanged: &dyn Fn() -> bool,
    ) {
        let Some(declared) = &tree.declared else { return };
        if !tree.rules.is_empty() && self.budget == 0 {
            self.end_with_error(path, &tree.kind, OUT_OF_BUDGET.to_owned());
            return;
        }
        let own = match Val::of(value, declared) {
            Ok(own) => own,
            Err(failure) => {
                let why = format!("{} evaluating rule: {}", failure.text(), tree.rules[0].source.summary());
                self.verdict.errors.push(FieldError::invalid(path, tree.kind.as_str(), why));
                return;
            }
        };
        let old = old.and_then(|old| Val::of(old, declared).ok());
        for rule in &tree.rules {
            let program = match &rule.program {
                Ok(program) => program,
                Err(why) => {
                    let why = format!("rule compile error: {why}");
                    self.verdict.errors.push(FieldError::invalid(path, tree.kind.as_str(), why));
                    continue;
                }
            };
            if program.uses_old_self && old.is_none() && !rule.optional_old_self {
                continue;
            }
            let mut variables = vec![("self", own.clone())];
            if rule.optional_old_self {
                variables.push(("oldSelf", old.clone().map_or(Val::NONE, Val::some)));
            } else if let Some(old) = &old {
                variables.push(("oldSelf", old.clone()));
            }
            self.check_rule(tree, path, value, rule, program, &variables, unchanged);
            if self.exhausted {
                return;
            }
        }
    }

    /// Evaluates one rule. Adds an error or a warning if `value` violates the rule, or an error if the evaluation fails.
    #[expect(
        clippy::too_many_arguments,
        reason = "the tree, its value, its rule and the variables of the rule"
    )]
    fn check_rule(
        &mut self,
        tree: &RuleTree,
        path: &str,
        value: &Value,
        rule: &Rule,
        program: &Program,
        variables: &[(&str, Val<'_>)],
        unchanged: &dyn Fn() -> bool,
    ) {
        let evaluated = program.evaluate(variables);
        let Some(budget) = self.budget.checked_sub(evaluated.cost) else {
            self.end_with_error(path, &tree.kind, OUT_OF_BUDGET.to_owned());
            return;
        };
        self.budget = budget;
        let summary = rule.source.summary();
        match evaluated.result {
            Ok(Val::Bool(true)) => {}
            Ok(_) => self.report_violation(tree, path, value, rule, program, variables, unchanged),
            Err(Failure::CostExceeded) => {
                let text = Failure::CostExceeded.text().to_owned();
                let why = format!(
                    "'{text}': no further validation rules will be run due to call cost exceeds limit for rule: {summary}"
                );
                self.end_with_error(path, &tree.kind, why);
            }
            Err(failure) => {
                let text = failure.text();
                let why = if text.starts_with("no such overload") {
                    format!(
                        "'{text}': call arguments did not match a supported operator, function or macro signature for rule: {summary}"
                    )
                } else {
                    format!("{text} evaluating rule: {summary}")
                };
                self.verdict.errors.push(FieldError::invalid(path, tree.kind.as_str(), why));
            }
        }
    }

    /// Ends the validation with an error.
    fn end_with_error(&mut self, path: &str, kind: &str, why: String) {
        self.verdict.errors.push(FieldError::invalid(path, kind, why));
        self.exhausted = true;
    }

    /// Adds the error or the warning about a rule that is not satisfied.
    #[expect(
        clippy::too_many_arguments,
        reason = "the tree, its value, its rule and the variables of the rule"
    )]
    fn report_violation(
        &mut self,
        tree: &RuleTree,
        path: &str,
        value: &Value,
        rule: &Rule,
        program: &Program,
        variables: &[(&str, Val<'_>)],
        unchanged: &dyn Fn() -> bool,
    ) {
        let field = match (path.is_empty(), rule.field_path.is_empty()) {
            (_, true) => path.to_owned(),
            (true, false) => rule.field_path.clone(),
            (false, false) => format!("{path}.{}", rule.field_path),
        };
        let mut error = match self.evaluate_message(rule, variables) {
            Ok(detail) => {
                let usual = || {
                    let message = rule.source.message.trim();
                    let rule = rule.source.rule.trim();
                    if message.is_empty() { format!("failed rule: {rule}") } else { message.to_owned() }
                };
                let detail = detail.unwrap_or_else(usual);
                violation_error(rule, field, value, &tree.kind, detail)
            }
            Err(why) => {
                self.exhausted = true;
                FieldError::invalid(field, tree.kind.as_str(), why)
            }
        };
        if error.field.is_empty() {
            error.field.push_str("<nil>");
        }
        if !program.uses_old_self && unchanged() {
            self.verdict.warnings.push(error.to_string());
        } else {
            self.verdict.errors.push(error);
        }
    }

    /// Evaluates the `messageExpression` of the rule. Returns `None` if the rule has no valid `messageExpression`, the
    /// evaluation fails, or the result is not a valid message.
    ///
    /// # Errors
    /// The cost of the evaluation exceeds a limit.
    fn evaluate_message(
        &mut self,
        rule: &Rule,
        variables: &[(&str, Val<'_>)],
    ) -> Result<Option<String>, String> {
        let Some(Ok(program)) = &rule.message else { return Ok(None) };
        let evaluated = program.evaluate(variables);
        let Some(budget) = self.budget.checked_sub(evaluated.cost) else {
            return Err("messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run".to_owned());
        };
        self.budget = budget;
        match evaluated.result {
            Ok(Val::String(text)) => {
                let text = text.trim();
                let usable = !text.is_empty() && text.len() <= MAX_MESSAGE_SIZE && !text.contains('\n');
                Ok(usable.then(|| text.to_owned()))
            }
            Err(Failure::CostExceeded) => Err(format!(
                "no further validation rules will be run due to call cost exceeds limit for messageExpression: {}",
                crate::schema::quote(&rule.source.message_expression)
            )),
            _ => Ok(None),
        }
    }
}

/// The error text for an exhausted cost budget.
const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// The error for a value that does not satisfy a rule. The `reason` of the rule selects the type of the error. `kind`
/// is the value of the keyword `type` in the schema.
fn violation_error(rule: &Rule, field: String, value: &Value, kind: &str, detail: String) -> FieldError {
    let composed = matches!(kind, "object" | "array");
    match rule.source.reason.as_str() {
        "FieldValueForbidden" => FieldError::forbidden(field, detail),
        "FieldValueRequired" => FieldError::required(field, detail),
        "FieldValueDuplicate" if composed => FieldError::duplicate(field, Value::Null).without_value(),
        "FieldValueDuplicate" => FieldError::duplicate(field, value.clone()),
        _ if composed => FieldError::invalid(field, Value::Null, detail).without_value(),
        _ => FieldError::invalid(field, value.clone(), detail),
    }
}

/// The item of the list `old` that has the same key as `item`. `keys` contains the names of the key fields.
fn old_item<'a>(old: &'a Value, item: &Value, keys: &[String]) -> Option<&'a Value> {
    old.as_array()?.iter().find(|old| keys.iter().all(|key| old.get(key) == item.get(key)))
}
