//! The CEL expressions of webhooks and admission policies. This module checks the expressions when a client writes the
//! webhook configuration or the policy, and evaluates the expressions for a request.

mod patch;

use std::collections::BTreeMap;
use std::mem;

use cel::common::ast::{Expr, IdedExpr};
use serde_json::Value;

use super::authorization::{self, Authorizer};
use super::types::{RuntimeName, Type};
use super::value::{Failure, Val};
use super::{check, eval, literals, parse};

pub(crate) use self::patch::{PatchError, PatchType};

/// The variables of an admission expression.
const VARIABLES: [&str; 8] = [
    "authorizer",
    "authorizer.requestResource",
    "namespaceObject",
    "object",
    "oldObject",
    "params",
    "request",
    "variables",
];

/// The type of a variable: `dyn`, except for the variables of the authorization library.
fn type_of(variable: &str) -> Type {
    match variable {
        "authorizer" => Type::Named(authorization::AUTHORIZER),
        "authorizer.requestResource" => Type::Named(authorization::RESOURCE_CHECK),
        _ => Type::Dyn,
    }
}

/// The API server's error text for an invalid expression; `None` for a valid expression. The text contains the syntax
/// errors, type errors and undeclared variables. If there are none of these errors, the text is about a result type that
/// is not in `wanted`. An empty `wanted` permits every result type. The expression cannot use the variable `undeclared`:
/// `params` in a policy without `paramKind`, or `authorizer` in a `messageExpression`.
pub(crate) fn admission_expression_problem(
    text: &str,
    wanted: &[&str],
    undeclared: Option<&str>,
) -> Option<String> {
    expression_problem(check::check, text, wanted, undeclared)
}

/// A function that checks the types of an expression.
type CheckFunction =
    fn(parse::ParsedExpression, &[(&str, Type)]) -> Result<check::CheckedExpression, Vec<parse::Issue>>;

fn expression_problem(
    check: CheckFunction,
    text: &str,
    wanted: &[&str],
    undeclared: Option<&str>,
) -> Option<String> {
    // If `authorizer` is undeclared, `authorizer.requestResource` is also undeclared.
    let is_declared = |name: &&str| name.split('.').next() != undeclared;
    let variables: Vec<_> =
        VARIABLES.into_iter().filter(is_declared).map(|name| (name, type_of(name))).collect();
    match parse::parse(text).and_then(|parsed| check(parsed, &variables)) {
        Ok(checked) => type_problem(&RuntimeName(&checked.result_type()).to_string(), wanted),
        Err(issues) => Some(format!("compilation failed: {}", parse::format_issues(text, &issues))),
    }
}

/// The error text for an expression of the type `found`; `None` if `wanted` contains this type or is empty.
fn type_problem(found: &str, wanted: &[&str]) -> Option<String> {
    match wanted {
        [] => None,
        _ if wanted.contains(&found) => None,
        [one] => Some(format!("must evaluate to {one} but got {found}")),
        several => Some(format!("must evaluate to one of [{}] but got {found}", several.join(" "))),
    }
}

/// The maximum cost of one evaluation.
const EVALUATION_LIMIT: u64 = 1_000_000;
/// The maximum cost of all expressions that one [`Evaluation`] evaluates.
const TOTAL_BUDGET: u64 = 10_000_000;

/// The error text for an exhausted cost budget.
pub(crate) const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// A compiled admission expression.
#[derive(Debug)]
pub(crate) struct AdmissionExpression {
    expr: IdedExpr,
    /// The names of the policy variables that the expression uses: `x` for `variables.x`.
    used_variables: Vec<String>,
}

impl AdmissionExpression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// The syntax and type errors of the expression, as the API server prints them.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        Self::compile_with(check::check, text)
    }

    fn compile_with(check: CheckFunction, text: &str) -> Result<Self, String> {
        let variables = VARIABLES.map(|name| (name, type_of(name)));
        let checked = parse::parse(text).and_then(|parsed| check(parsed, &variables));
        match checked {
            Ok(checked) => {
                let expr = checked.parsed.expr;
                let mut used_variables = Vec::new();
                literals::walk_expression(&expr, &mut |expr| {
                    used_variables.extend(policy_variable(expr).map(str::to_owned));
                });
                Ok(Self { expr, used_variables })
            }
            Err(issues) => Err(format!("compilation failed: {}", parse::format_issues(text, &issues))),
        }
    }
}

/// The name of the policy variable that `expr` reads: `x` for `variables.x`. `None` for any other expression.
fn policy_variable(expr: &IdedExpr) -> Option<&str> {
    let Expr::Select(select) = &expr.expr else { return None };
    let of_policy = matches!(&select.operand.expr, Expr::Ident(name) if name == "variables");
    of_policy.then_some(select.field.as_str())
}

/// The JSON values of the variables of admission expressions, except `authorizer` and `variables`. `None` is null in
/// expressions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdmissionInputs<'a> {
    pub(crate) object: Option<&'a Value>,
    pub(crate) old_object: Option<&'a Value>,
    pub(crate) request: &'a Value,
    pub(crate) params: Option<&'a Value>,
    pub(crate) namespace: Option<&'a Value>,
}

/// The result of an admission expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AdmissionValue {
    Bool(bool),
    Text(String),
    /// Any other value. The text is the name of its type.
    Other(&'static str),
}

impl AdmissionValue {
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::Text(_) => "string",
            Self::Other(name) => name,
        }
    }
}

/// The variables of a policy, each with its compiled expression or the error of its compilation.
pub(crate) type PolicyVariables = [(String, Result<AdmissionExpression, String>)];

/// The evaluation of the expressions of a webhook or a policy for one request.
#[derive(Debug)]
pub(crate) struct Evaluation<'p> {
    values: Vec<(&'static str, Val<'static>)>,
    authorizer: &'p dyn Authorizer,
    variables: &'p PolicyVariables,
    /// The value or the error of each policy variable that an expression has used.
    computed: BTreeMap<String, Result<Val<'static>, String>>,
    /// The value or the error of each policy variable that a `messageExpression` has used. These values are
    /// computed without the variable `authorizer`.
    computed_for_messages: BTreeMap<String, Result<Val<'static>, String>>,
    /// The maximum cost of the expressions that are still to be evaluated.
    budget: u64,
}

impl<'p> Evaluation<'p> {
    /// Creates an evaluation without policy variables. `authorizer` decides about the accesses that expressions check.
    pub(crate) fn new(inputs: &AdmissionInputs<'_>, authorizer: &'p dyn Authorizer) -> Self {
        let of = |json: Option<&Value>| json.map_or(Val::Null, Val::of_untyped);
        let mut values = vec![
            ("object", of(inputs.object)),
            ("oldObject", of(inputs.old_object)),
            ("request", Val::of_untyped(inputs.request)),
            ("params", of(inputs.params)),
            ("namespaceObject", of(inputs.namespace)),
        ];
        values.extend(authorization::variables(authorizer));
        Self {
            values,
            authorizer,
            variables: &[],
            computed: BTreeMap::new(),
            computed_for_messages: BTreeMap::new(),
            budget: TOTAL_BUDGET,
        }
    }

    /// Sets the variables of the policy.
    pub(crate) fn with_variables(self, variables: &'p PolicyVariables) -> Self {
        Self { variables, ..self }
    }

    /// Evaluates an expression.
    ///
    /// # Errors
    /// The evaluation fails or exceeds a cost limit. The error text is that of the API server.
    pub(crate) fn evaluate(&mut self, expression: &AdmissionExpression) -> Result<AdmissionValue, String> {
        Ok(match self.evaluate_to_value(expression, self.variables.len())? {
            Val::Bool(value) => AdmissionValue::Bool(value),
            Val::String(text) => AdmissionValue::Text(text.to_string()),
            other => AdmissionValue::Other(other.type_name()),
        })
    }

    /// Evaluates a `messageExpression`. The expression, and the policy variables that it uses, cannot use the variable
    /// `authorizer`.
    ///
    /// # Errors
    /// The same as for [`evaluate`](Self::evaluate).
    pub(crate) fn evaluate_message(
        &mut self,
        expression: &AdmissionExpression,
    ) -> Result<AdmissionValue, String> {
        let values = self.values.iter().filter(|(name, _)| name.split('.').next() != Some("authorizer"));
        let mut messages = Self {
            values: values.cloned().collect(),
            computed: mem::take(&mut self.computed_for_messages),
            computed_for_messages: BTreeMap::new(),
            ..*self
        };
        let value = messages.evaluate(expression);
        self.computed_for_messages = messages.computed;
        self.budget = messages.budget;
        value
    }

    /// Evaluates an expression that can use the first `count` variables of the policy.
    fn evaluate_to_value(
        &mut self,
        expression: &AdmissionExpression,
        count: usize,
    ) -> Result<Val<'static>, String> {
        for name in &expression.used_variables {
            self.compute_variable(name, count);
        }
        let mut values = self.values.clone();
        let usable = |(name, value): (&String, &Result<Val<'static>, String>)| {
            Some((Val::text(name), value.as_ref().ok()?.clone()))
        };
        values.push(("variables", Val::map(self.computed.iter().filter_map(usable).collect())));
        let evaluated = eval::evaluate(&expression.expr, &values, EVALUATION_LIMIT, Some(self.authorizer));
        let Some(budget) = self.budget.checked_sub(evaluated.cost) else {
            return Err(OUT_OF_BUDGET.to_owned());
        };
        self.budget = budget;
        evaluated.result.map_err(|failure| self.explain(expression, &failure))
    }

    /// The error text of a failed expression. If the expression failed because a variable of the policy has no value,
    /// the text contains the error of that variable.
    fn explain(&self, expression: &AdmissionExpression, failure: &Failure) -> String {
        let text = failure.text();
        let failed = expression.used_variables.iter().find_map(|name| match self.computed.get(name) {
            Some(Err(why)) if text == format!("no such key: {name}") => Some((name, why)),
            _ => None,
        });
        match failed {
            Some((name, why)) => format!("composited variable {name:?} fails to evaluate: {why}"),
            None => text.to_owned(),
        }
    }

    /// Evaluates the policy variable `name` and stores its value or error. Does nothing if the result is stored already, or
    /// if the variable is not one of the first `count` variables of the policy: the expression of a variable can use only
    /// earlier variables.
    fn compute_variable(&mut self, name: &str, count: usize) {
        let variables = self.variables;
        let found = variables[..count].iter().position(|(known, _)| known == name);
        let Some(index) = found.filter(|_| !self.computed.contains_key(name)) else { return };
        let value = match &variables[index].1 {
            Ok(expression) => self.evaluate_to_value(expression, index),
            Err(why) => Err(why.clone()),
        };
        self.computed.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
pub(super) mod tests;
