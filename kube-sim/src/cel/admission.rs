//! Expressions of webhooks and admission policies: the check when their configuration is written, and the evaluation for
//! a request.

mod patch;

use std::collections::BTreeMap;

use cel::common::ast::{Expr, IdedExpr};
use serde_json::Value;

use super::types::Type;
use super::value::{Failure, Val};
use super::{check, eval, literals, parse};

pub(crate) use self::patch::{PatchError, PatchType};

/// The variables of an admission expression. Their types depend on the request.
const VARIABLES: [&str; 7] =
    ["authorizer", "namespaceObject", "object", "oldObject", "params", "request", "variables"];

/// The functions of `authorizer`, whose type is not checked.
const AUTHORIZER_FUNCTIONS: [&str; 14] = [
    "allowed",
    "check",
    "error",
    "errored",
    "fieldSelector",
    "group",
    "labelSelector",
    "name",
    "namespace",
    "path",
    "reason",
    "resource",
    "serviceAccount",
    "subresource",
];

/// The errors of an expression as the API server prints them: syntax errors, type errors and undeclared variables, or
/// else a result type that is not in `wanted`. `None` if the expression has no errors. Every result type is valid if
/// `wanted` is empty.
pub(crate) fn admission_expression_problem(text: &str, wanted: &[&str]) -> Option<String> {
    problem_with(&VARIABLES, check::check, text, wanted)
}

/// Like [`admission_expression_problem`], for an expression of a policy without `paramKind`: the variable `params` is
/// not declared.
pub(crate) fn expression_problem_without_params(text: &str, wanted: &[&str]) -> Option<String> {
    let variables: Vec<_> = VARIABLES.into_iter().filter(|name| *name != "params").collect();
    problem_with(&variables, check::check, text, wanted)
}

/// Checks the types of an expression.
type Check = fn(parse::Parsed, &[(&str, Type)]) -> Result<check::Checked, Vec<parse::Issue>>;

fn problem_with(variables: &[&str], check: Check, text: &str, wanted: &[&str]) -> Option<String> {
    let variables: Vec<_> = variables.iter().map(|name| (*name, Type::Dyn)).collect();
    let issues = match parse::parse(text).and_then(|parsed| check(parsed, &variables)) {
        Ok(checked) => return type_problem(&checked.result_type().to_string(), wanted),
        Err(issues) => issues,
    };
    let is_of_authorizer = |message: &str| {
        let name = message.strip_prefix("undeclared reference to '").and_then(|rest| rest.split_once('\''));
        text.contains("authorizer") && name.is_some_and(|(name, _)| AUTHORIZER_FUNCTIONS.contains(&name))
    };
    let issues: Vec<_> = issues.into_iter().filter(|issue| !is_of_authorizer(&issue.message)).collect();
    if issues.is_empty() {
        return None;
    }
    Some(format!("compilation failed: {}", parse::format_issues(text, &issues)))
}

/// The error text for an expression of the type `found`; `None` if it is in `wanted`.
fn type_problem(found: &str, wanted: &[&str]) -> Option<String> {
    let found = if found == "null" { "null_type" } else { found };
    match wanted {
        [] => None,
        _ if wanted.contains(&found) => None,
        [one] => Some(format!("must evaluate to {one} but got {found}")),
        several => Some(format!("must evaluate to one of [{}] but got {found}", several.join(" "))),
    }
}

/// The maximum cost of one evaluation.
const EVALUATION_LIMIT: u64 = 1_000_000;
/// The maximum cost of all evaluations of one webhook or policy for a request.
const REQUEST_BUDGET: u64 = 10_000_000;

/// The error text for an exhausted cost budget.
pub(crate) const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// A compiled admission expression.
#[derive(Debug)]
pub(crate) struct AdmissionExpression {
    expr: IdedExpr,
    /// The names `x` of the policy's variables that the expression uses as `variables.x`.
    uses: Vec<String>,
}

impl AdmissionExpression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// The errors of the expression. An expression with `authorizer` does not compile, because kube-sim does not
    /// implement this variable.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        Self::compile_with(check::check, text)
    }

    fn compile_with(check: Check, text: &str) -> Result<Self, String> {
        let variables = VARIABLES.map(|name| (name, Type::Dyn));
        let checked = parse::parse(text).and_then(|parsed| check(parsed, &variables));
        match checked {
            Ok(checked) => {
                let expr = checked.parsed.expr;
                let mut uses = Vec::new();
                literals::walk(&expr, &mut |expr| uses.extend(policy_variable(expr).map(str::to_owned)));
                Ok(Self { expr, uses })
            }
            Err(_) if problem_with(&VARIABLES, check, text, &[]).is_none() => {
                Err("kube-sim does not evaluate the variable authorizer".to_owned())
            }
            Err(issues) => Err(format!("compilation failed: {}", parse::format_issues(text, &issues))),
        }
    }
}

/// The name `x` of an expression `variables.x`.
fn policy_variable(expr: &IdedExpr) -> Option<&str> {
    let Expr::Select(select) = &expr.expr else { return None };
    let of_policy = matches!(&select.operand.expr, Expr::Ident(name) if name == "variables");
    of_policy.then_some(select.field.as_str())
}

/// The values of the variables of admission expressions, as JSON. `None` is null in expressions.
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
    variables: &'p PolicyVariables,
    /// The values of the policy's variables, or their errors. A variable is evaluated when an expression uses it.
    computed: BTreeMap<String, Result<Val<'static>, String>>,
    /// The remaining cost of all evaluations.
    budget: u64,
}

impl<'p> Evaluation<'p> {
    pub(crate) fn new(inputs: &AdmissionInputs<'_>) -> Self {
        let of = |json: Option<&Value>| json.map_or(Val::Null, Val::dynamic);
        let values = vec![
            ("object", of(inputs.object)),
            ("oldObject", of(inputs.old_object)),
            ("request", Val::dynamic(inputs.request)),
            ("params", of(inputs.params)),
            ("namespaceObject", of(inputs.namespace)),
        ];
        Self { values, variables: &[], computed: BTreeMap::new(), budget: REQUEST_BUDGET }
    }

    /// Sets the variables of the policy.
    pub(crate) fn with_variables(self, variables: &'p PolicyVariables) -> Self {
        Self { variables, ..self }
    }

    /// Evaluates an expression.
    ///
    /// # Errors
    /// The error text of the API server.
    pub(crate) fn evaluate(&mut self, expression: &AdmissionExpression) -> Result<AdmissionValue, String> {
        Ok(match self.value(expression, self.variables.len())? {
            Val::Bool(value) => AdmissionValue::Bool(value),
            Val::String(text) => AdmissionValue::Text(text.to_string()),
            other => AdmissionValue::Other(other.type_name()),
        })
    }

    /// Evaluates an expression that can use the first `count` variables of the policy.
    fn value(&mut self, expression: &AdmissionExpression, count: usize) -> Result<Val<'static>, String> {
        for name in &expression.uses {
            self.compute(name, count);
        }
        let mut values = self.values.clone();
        let usable = |(name, value): (&String, &Result<Val<'static>, String>)| {
            Some((Val::text(name), value.as_ref().ok()?.clone()))
        };
        values.push(("variables", Val::map(self.computed.iter().filter_map(usable).collect())));
        let evaluated = eval::evaluate(&expression.expr, &values, EVALUATION_LIMIT);
        let Some(budget) = self.budget.checked_sub(evaluated.cost) else {
            return Err(OUT_OF_BUDGET.to_owned());
        };
        self.budget = budget;
        evaluated.result.map_err(|failure| self.explain(expression, &failure))
    }

    /// The error text of a failed expression. If the failure is an absent variable of the policy, the text contains the
    /// error of that variable.
    fn explain(&self, expression: &AdmissionExpression, failure: &Failure) -> String {
        let text = failure.text();
        let failed = expression.uses.iter().find_map(|name| match self.computed.get(name) {
            Some(Err(why)) if text == format!("no such key: {name}") => Some((name, why)),
            _ => None,
        });
        match failed {
            Some((name, why)) => format!("composited variable {name:?} fails to evaluate: {why}"),
            None => text.to_owned(),
        }
    }

    /// Evaluates the variable `name` and stores its value, unless it is stored already. Ignores a name that is not one
    /// of the first `count` variables of the policy: the expression of a variable can use only the variables before it.
    fn compute(&mut self, name: &str, count: usize) {
        let variables = self.variables;
        let found = variables[..count].iter().position(|(known, _)| known == name);
        let Some(index) = found.filter(|_| !self.computed.contains_key(name)) else { return };
        let value = match &variables[index].1 {
            Ok(expression) => self.value(expression, index),
            Err(why) => Err(why.clone()),
        };
        self.computed.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn inputs_of<'a>(object: &'a Value, request: &'a Value) -> AdmissionInputs<'a> {
        AdmissionInputs { object: Some(object), old_object: None, request, params: None, namespace: None }
    }

    #[track_caller]
    fn check_value(text: &str, expected: &Result<AdmissionValue, &str>) {
        let object =
            json!({"metadata": {"name": "a", "labels": {"x-y": "1"}}, "spec": {"replicas": 3, "share": 0.5}});
        let request = json!({"operation": "CREATE", "userInfo": {"groups": ["a", "b"]}});
        let inputs = inputs_of(&object, &request);
        let compiled = AdmissionExpression::compile(text).unwrap();
        let value = Evaluation::new(&inputs).evaluate(&compiled);
        let expected = expected.clone().map_err(str::to_owned);
        assert_eq!(value, expected, "{text}");
    }

    #[test]
    fn evaluates_expressions_without_a_schema() {
        let is = |value| Ok(AdmissionValue::Bool(value));
        check_value("object.spec.replicas > 2 && oldObject == null", &is(true));
        check_value("'b' in request.userInfo.groups && request.operation == 'CREATE'", &is(true));
        check_value("object.metadata.labels['x-y'] == '2'", &is(false));
        check_value("has(object.spec.none) || object.spec.share < 0.4", &is(false));
        check_value("'name ' + object.metadata.name", &Ok(AdmissionValue::Text("name a".to_owned())));
        check_value("object.spec", &Ok(AdmissionValue::Other("map")));
        check_value("object.spec.none", &Err("no such key: none"));
    }

    #[test]
    fn the_total_cost_is_limited() {
        let items: Vec<_> = (0..400).collect();
        let (object, request) = (json!({"items": items}), json!({}));
        let inputs = inputs_of(&object, &request);
        let slow =
            AdmissionExpression::compile("object.items.all(a, object.items.all(b, a + b >= 0))").unwrap();
        let mut evaluation = Evaluation::new(&inputs);
        let mut evaluate = || evaluation.evaluate(&slow);
        let failure = (0..100).find_map(|_| evaluate().err()).unwrap();
        assert!(failure.contains("cost"), "{failure}");
    }

    #[test]
    fn authorizer_is_not_evaluated() {
        let check = "authorizer.group('a.io').resource('x').check('get').allowed()";
        assert!(AdmissionExpression::compile(check).unwrap_err().contains("authorizer"));
        assert!(AdmissionExpression::compile("object.").unwrap_err().contains("Syntax error"));
    }

    #[test]
    fn reports_syntax_errors_undeclared_variables_and_types() {
        let problem = |text| admission_expression_problem(text, &["bool"]);
        assert_eq!(problem("object.spec.replicas < 5 && oldObject != null"), None);
        assert_eq!(problem("!authorizer.group('a.io').resource('x').check('breakglass').allowed()"), None);
        assert!(problem("object.group('a')").is_some());
        assert!(problem("object.").is_some_and(|why| why.contains("Syntax error")));
        assert!(problem("self.a").is_some_and(|why| why.contains("undeclared")));
        assert_eq!(problem("object.a").as_deref(), Some("must evaluate to bool but got dyn"));
        assert_eq!(admission_expression_problem("object.a", &[]), None);
        assert_eq!(admission_expression_problem("null", &["string", "null_type"]), None);
        assert_eq!(problem("params.a == 'b'"), None);
        assert!(expression_problem_without_params("params.a == 'b'", &["bool"]).is_some());
    }

    #[test]
    fn variables_are_evaluated_when_they_are_used() {
        let (object, request) = (json!({"n": 2}), json!({}));
        let variable = |name: &str, text: &str| (name.to_owned(), AdmissionExpression::compile(text));
        let variables = [
            variable("double", "object.n * 2"),
            variable("square", "variables.double * variables.double"),
            variable("fails", "object.none"),
            variable("later", "variables.later"),
        ];
        let mut evaluation = Evaluation::new(&inputs_of(&object, &request)).with_variables(&variables);
        let mut evaluate = |text: &str| evaluation.evaluate(&AdmissionExpression::compile(text).unwrap());
        assert_eq!(evaluate("variables.square == 16"), Ok(AdmissionValue::Bool(true)));
        assert_eq!(evaluate("true || variables.fails"), Ok(AdmissionValue::Bool(true)));
        let failed = evaluate("variables.fails == 1").unwrap_err();
        assert_eq!(failed, "composited variable \"fails\" fails to evaluate: no such key: none");
        assert!(evaluate("variables.later").is_err());
        assert!(evaluate("variables.unknown").is_err());
    }
}
