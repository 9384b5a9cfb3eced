//! Tests of the evaluation of admission expressions.

use serde_json::json;

use super::*;
use crate::cel::{CheckedAccess, ResourceCheck, Subject};

fn inputs_of<'a>(object: &'a Value, request: &'a Value) -> AdmissionInputs<'a> {
    AdmissionInputs { object: Some(object), old_object: None, request, params: None, namespace: None }
}

/// An authorizer that allows only the verb `get`. The reason for which an access is allowed is the
/// text of the subject and the access.
#[derive(Debug)]
pub(super) struct GetOnlyAuthorizer;

impl Authorizer for GetOnlyAuthorizer {
    fn request_resource(&self) -> ResourceCheck {
        ResourceCheck { resource: "configmaps".into(), name: "a".into(), ..Default::default() }
    }

    fn decide(&self, subject: &Subject, access: &CheckedAccess, verb: &str) -> Option<String> {
        (verb == "get").then(|| format!("{subject:?} {access:?}"))
    }
}

#[track_caller]
fn check_value(text: &str, expected: &Result<AdmissionValue, &str>) {
    let object =
        json!({"metadata": {"name": "a", "labels": {"x-y": "1"}}, "spec": {"replicas": 3, "share": 0.5}});
    let request = json!({"operation": "CREATE", "userInfo": {"groups": ["a", "b"]}});
    let inputs = inputs_of(&object, &request);
    let compiled = AdmissionExpression::compile(text).unwrap();
    let value = Evaluation::new(&inputs, &GetOnlyAuthorizer).evaluate(&compiled);
    let expected = expected.clone().map_err(str::to_owned);
    assert_eq!(value, expected, "{text}");
}

#[test]
fn expressions_are_evaluated_without_a_schema() {
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
    let slow = AdmissionExpression::compile("object.items.all(a, object.items.all(b, a + b >= 0))").unwrap();
    let mut evaluation = Evaluation::new(&inputs, &GetOnlyAuthorizer);
    let mut evaluate = || evaluation.evaluate(&slow);
    let failure = (0..100).find_map(|_| evaluate().err()).unwrap();
    assert!(failure.contains("cost"), "{failure}");
}

#[test]
fn the_authorizer_decides_about_accesses() {
    let check = |text: &str, expected| check_value(text, &Ok(AdmissionValue::Bool(expected)));
    check("authorizer.group('a.io').resource('x').check('get').allowed()", true);
    check("authorizer.group('').resource('x').namespace('n').name('o').check('list').allowed()", false);
    check("authorizer.path('/healthz').check('get').errored()", false);
    check("authorizer.path('/healthz').check('list').reason() == ''", true);
    let reasons = [
        ("authorizer.path('/healthz')", "Sender Path(\"/healthz\")"),
        (
            "authorizer.serviceAccount('n', 'o').group('g').resource('r').subresource('s').labelSelector('a=b')",
            "ServiceAccount { namespace: \"n\", name: \"o\" } Resource(ResourceCheck { group: \"g\", resource: \"r\", \
             subresource: \"s\", namespace: \"\", name: \"\" })",
        ),
        (
            "authorizer.requestResource.namespace('n').fieldSelector('spec.nodeName=n')",
            "Sender Resource(ResourceCheck { group: \"\", resource: \"configmaps\", subresource: \"\", namespace: \"n\", \
             name: \"a\" })",
        ),
    ];
    for (access, reason) in reasons {
        let expected = Ok(AdmissionValue::Text(reason.to_owned()));
        check_value(&format!("{access}.check('get').reason()"), &expected);
    }
    for (text, why) in [
        ("authorizer.path(' ').check('get').allowed()", "path must not be empty"),
        ("authorizer.group('').resource('').check('get').allowed()", "resource must not be empty"),
        (
            "authorizer.serviceAccount('N', 'o').path('/').check('get').allowed()",
            "Invalid service account namespace",
        ),
        (
            "authorizer.serviceAccount('n', 'O').path('/').check('get').allowed()",
            "Invalid service account name",
        ),
    ] {
        check_value(text, &Err(why));
    }
}

#[test]
fn an_expression_can_make_at_most_two_authorization_checks() {
    let text = |count| vec!["authorizer.path('/').check('get').allowed()"; count].join(" && ");
    check_value(&text(2), &Ok(AdmissionValue::Bool(true)));
    check_value(&text(3), &Err("operation cancelled: actual cost limit exceeded"));
}

#[test]
fn the_calls_on_an_authorizer_are_type_checked() {
    let problem = |text| admission_expression_problem(text, &["bool"], None).unwrap_or_default();
    let found = problem("authorizer.group('a').resource('b')");
    assert_eq!(found, "must evaluate to bool but got kubernetes.authorization.ResourceCheck");
    let found = problem("authorizer.resource('b').check('get').allowed()");
    let expected =
        "found no matching overload for 'resource' applied to 'kubernetes.authorization.Authorizer.(string)'";
    assert!(found.contains(expected), "{found}");
    assert!(problem("authorizer.path('/').check(1).allowed()").contains("no matching overload for 'check'"));
    assert!(problem("authorizer.other").contains("undefined field 'other'"));
    assert!(AdmissionExpression::compile("object.").unwrap_err().contains("Syntax error"));
    let message = "authorizer.requestResource.check('get').reason()";
    assert_eq!(admission_expression_problem(message, &["string"], None), None);
    let found = admission_expression_problem(message, &["string"], Some("authorizer")).unwrap();
    assert!(found.contains("undeclared reference to 'authorizer'"), "{found}");
}

#[test]
fn syntax_errors_undeclared_variables_and_wrong_types_are_reported() {
    let problem = |text| admission_expression_problem(text, &["bool"], None);
    assert_eq!(problem("object.spec.replicas < 5 && oldObject != null"), None);
    assert_eq!(problem("!authorizer.group('a.io').resource('x').check('breakglass').allowed()"), None);
    assert!(problem("object.").is_some_and(|why| why.contains("Syntax error")));
    assert!(problem("self.a").is_some_and(|why| why.contains("undeclared")));
    assert_eq!(problem("object.a").as_deref(), Some("must evaluate to bool but got dyn"));
    let durations = "must evaluate to bool but got list(google.protobuf.Duration)";
    assert_eq!(problem("[duration('1s')]").as_deref(), Some(durations));
    assert_eq!(admission_expression_problem("object.a", &[], None), None);
    assert_eq!(admission_expression_problem("null", &["string", "null_type"], None), None);
    assert_eq!(problem("params.a == 'b'"), None);
    assert!(admission_expression_problem("params.a == 'b'", &["bool"], Some("params")).is_some());
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
    let mut evaluation =
        Evaluation::new(&inputs_of(&object, &request), &GetOnlyAuthorizer).with_variables(&variables);
    let mut evaluate = |text: &str| evaluation.evaluate(&AdmissionExpression::compile(text).unwrap());
    assert_eq!(evaluate("variables.square == 16"), Ok(AdmissionValue::Bool(true)));
    assert_eq!(evaluate("true || variables.fails"), Ok(AdmissionValue::Bool(true)));
    let failed = evaluate("variables.fails == 1").unwrap_err();
    assert_eq!(failed, "composited variable \"fails\" fails to evaluate: no such key: none");
    assert!(evaluate("variables.later").is_err());
    assert!(evaluate("variables.unknown").is_err());
}
