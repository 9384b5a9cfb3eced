//! Expressions of webhooks and admission policies: the check when their configuration is written, and the evaluation for
//! a request.

use cel::common::ast::IdedExpr;
use serde_json::Value;

use super::types::Type;
use super::value::{Failure, Val};
use super::{check, eval, parse};

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

/// The syntax errors and undeclared variables of an expression, as the API server prints them; `None` if there are none.
pub(crate) fn admission_expression_problem(text: &str) -> Option<String> {
    let variables = VARIABLES.map(|name| (name, Type::Dyn));
    let issues = match parse::parse(text) {
        Ok(parsed) => check::check(parsed, &variables).err()?,
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

/// The maximum cost of one evaluation.
const EVALUATION_LIMIT: u64 = 1_000_000;
/// The maximum cost of all evaluations of one webhook or policy for a request.
const REQUEST_BUDGET: u64 = 10_000_000;

/// A compiled admission expression.
#[derive(Debug)]
pub(crate) struct AdmissionExpression {
    expr: IdedExpr,
}

impl AdmissionExpression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// The errors of the expression. An expression with `authorizer` does not compile, because the simulation has no
    /// authorization that it could ask.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        let variables = VARIABLES.map(|name| (name, Type::Dyn));
        let checked = parse::parse(text).and_then(|parsed| check::check(parsed, &variables));
        match checked {
            Ok(checked) => Ok(Self { expr: checked.parsed.expr }),
            Err(_) if admission_expression_problem(text).is_none() => {
                Err("kube-sim does not evaluate the variable authorizer".to_owned())
            }
            Err(issues) => Err(format!("compilation failed: {}", parse::format_issues(text, &issues))),
        }
    }
}

/// The values of the variables of admission expressions, as JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdmissionInputs<'a> {
    /// `None` is null in expressions.
    pub(crate) object: Option<&'a Value>,
    pub(crate) old_object: Option<&'a Value>,
    pub(crate) request: &'a Value,
}

/// The result of an admission expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AdmissionValue {
    Bool(bool),
    Text(String),
    /// A value of this type.
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

/// The evaluation of the expressions of a webhook or a policy for one request.
#[derive(Debug)]
pub(crate) struct Evaluation {
    variables: Vec<(&'static str, Val<'static>)>,
    /// The remaining cost of all evaluations.
    budget: u64,
}

impl Evaluation {
    pub(crate) fn new(inputs: &AdmissionInputs<'_>) -> Self {
        let of = |json: Option<&Value>| json.map_or(Val::Null, Val::dynamic);
        let variables = vec![
            ("object", of(inputs.object)),
            ("oldObject", of(inputs.old_object)),
            ("request", Val::dynamic(inputs.request)),
        ];
        Self { variables, budget: REQUEST_BUDGET }
    }

    /// Evaluates an expression.
    ///
    /// # Errors
    /// The error text of the API server.
    pub(crate) fn evaluate(&mut self, expression: &AdmissionExpression) -> Result<AdmissionValue, String> {
        Ok(match self.value(&expression.expr)? {
            Val::Bool(value) => AdmissionValue::Bool(value),
            Val::String(text) => AdmissionValue::Text(text.to_string()),
            other => AdmissionValue::Other(other.type_name()),
        })
    }

    fn value(&mut self, expr: &IdedExpr) -> Result<Val<'static>, String> {
        let evaluated = eval::evaluate(expr, &self.variables, EVALUATION_LIMIT);
        let Some(budget) = self.budget.checked_sub(evaluated.cost) else {
            return Err("validation failed due to running out of cost budget, no further validation rules will be run".to_owned());
        };
        self.budget = budget;
        evaluated.result.map_err(|failure: Failure| failure.text().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check_value(text: &str, expected: &Result<AdmissionValue, &str>) {
        let object =
            json!({"metadata": {"name": "a", "labels": {"x-y": "1"}}, "spec": {"replicas": 3, "share": 0.5}});
        let request = json!({"operation": "CREATE", "userInfo": {"groups": ["a", "b"]}});
        let inputs = AdmissionInputs { object: Some(&object), old_object: None, request: &request };
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
        let inputs = AdmissionInputs { object: Some(&object), old_object: None, request: &request };
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
    fn reports_syntax_errors_and_undeclared_variables() {
        assert_eq!(admission_expression_problem("object.spec.replicas < 5 && oldObject != null"), None);
        let check = "!authorizer.group('a.io').resource('x').check('breakglass').allowed()";
        assert_eq!(admission_expression_problem(check), None);
        assert!(admission_expression_problem("object.group('a')").is_some());
        assert!(admission_expression_problem("object.").is_some_and(|why| why.contains("Syntax error")));
        assert!(admission_expression_problem("self.a").is_some_and(|why| why.contains("undeclared")));
    }
}
