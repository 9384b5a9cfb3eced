//! Tests with rules of small schemas. The suite `cel` of `xtask/e2e` has further tests, which also run on real servers.

use serde_json::{Value, json};

use super::*;
use crate::schema::Schema;

/// The path of the checked schema. The errors contain this path.
const PATH: &str = "spec.validation.openAPIV3Schema";

/// The schema of a custom resource whose field `spec` has the schema `spec`.
fn schema_with_spec(spec: &Value) -> Value {
    json!({"type": "object", "properties": {"spec": spec}})
}

/// Checks the errors that [`check_rules`] returns for a custom resource whose field `spec` has the schema `spec`. Each
/// error must contain the expected text at the same index; `~` in an expected text stands for [`PATH`].
#[track_caller]
fn check_definition(spec: &Value, expected: &[&str]) {
    let errors = check_rules(PATH, &schema_with_spec(spec), &[]);
    let texts: Vec<String> = errors.iter().map(|error| error.to_string().replace(PATH, "~")).collect();
    assert_eq!(texts.len(), expected.len(), "{texts:?}");
    for (text, expected) in texts.iter().zip(expected) {
        assert!(text.contains(expected), "{text} does not contain {expected}");
    }
}

/// Validates an object whose field `spec` has the schema `spec` and the value `new`. If `old` is set, the object is an
/// update of an object whose field `spec` has the value `old`. Returns the errors and the warnings.
fn validate(spec: &Value, old: Option<&Value>, new: &Value) -> (Vec<String>, Vec<String>) {
    let source = json!({"type": "object", "properties": {"spec": spec}});
    let object = |spec: &Value| json!({"metadata": {"name": "a"}, "spec": spec});
    let (old, new) = (old.map(object), object(new));
    let validator = Validator::compile(&source).unwrap();
    let verdict = validator.validate(&Schema::of_custom_resource(&source), old.as_ref(), &new);
    (verdict.errors.iter().map(ToString::to_string).collect(), verdict.warnings)
}

/// Returns `schema` with these rules.
fn with_rules(schema: &Value, rules: &[&str]) -> Value {
    let mut schema = schema.clone();
    schema["x-kubernetes-validations"] = rules.iter().map(|rule| json!({"rule": rule})).collect();
    schema
}

#[test]
fn type_errors_show_the_position_in_the_rule() {
    let int = json!({"type": "integer"});
    check_definition(
        &json!({"type": "object", "properties": {"n": int}, "x-kubernetes-validations": [{"rule": "self.m == 1"}]}),
        &["compilation failed: ERROR: <input>:1:5: undefined field 'm'\n | self.m == 1\n | ....^"],
    );
    check_definition(&with_rules(&int, &["self == 'a'"]), &["'_==_' applied to '(int, string)'"]);
    check_definition(&with_rules(&int, &["self"]), &["cel expression must evaluate to a bool"]);
    check_definition(&with_rules(&int, &["self == 1", "self > 0 && self < 9"]), &[]);
}

#[test]
fn limits_of_the_schema_lower_the_estimated_cost() {
    let list = |limits: Value| {
        let mut items = with_rules(&json!({"type": "string"}), &["self.matches('a+b')"]);
        let mut list = json!({"type": "array"});
        if !limits.is_null() {
            items["maxLength"] = limits.clone();
            list["maxItems"] = limits;
        }
        list["items"] = items;
        list
    };
    check_definition(
        &list(Value::Null),
        &[
            "estimated rule cost exceeds budget by factor of more than 100x",
            "contributed to",
            "entire OpenAPIv3 schema",
        ],
    );
    check_definition(&list(json!(100)), &[]);
}

#[test]
fn rules_of_a_schema_with_errors_are_not_compiled() {
    let spec =
        with_rules(&json!({"type": "object", "properties": {"n": {"type": "integer"}}}), &["self.m == 1"]);
    let path = "spec.validation.openAPIV3Schema.properties[spec].properties[n]";
    let found = [crate::schema::FieldError::required(path, "")];
    assert_eq!(check_rules(PATH, &schema_with_spec(&spec), &found), []);
}

#[test]
fn an_object_that_violates_a_rule_is_rejected() {
    let spec = json!({
        "type": "object",
        "properties": {
            "n": with_rules(&json!({"type": "integer"}), &["self > 2"]),
            "list": {"type": "array", "maxItems": 5, "items": with_rules(&json!({"type": "integer"}), &["self != 1"])},
        },
        "x-kubernetes-validations": [{
            "rule": "self.list.all(x, x < self.n)",
            "messageExpression": "'all must be below ' + string(self.n)",
            "fieldPath": ".list",
            "reason": "FieldValueForbidden",
        }],
    });
    let (errors, _) = validate(&spec, None, &json!({"n": 2, "list": [1, 3]}));
    let expected = [
        "spec.list: Forbidden: all must be below 2",
        "spec.list[0]: Invalid value: 1: failed rule: self != 1",
        "spec.n: Invalid value: 2: failed rule: self > 2",
    ];
    assert_eq!(errors, expected);
    assert_eq!(validate(&spec, None, &json!({"n": 4, "list": [3]})).0, [""; 0]);
}

#[test]
fn rules_of_the_root_can_access_the_name_but_not_the_labels() {
    let source = with_rules(&json!({"type": "object"}), &["self.metadata.name.size() < 3", "has(self.kind)"]);
    let validator = Validator::compile(&source).unwrap();
    let object = json!({"apiVersion": "a/v1", "kind": "A", "metadata": {"name": "abc", "labels": {}}});
    let verdict = validator.validate(&Schema::of_custom_resource(&source), None, &object);
    let texts: Vec<String> = verdict.errors.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["<nil>: Invalid value: failed rule: self.metadata.name.size() < 3"]);
    let labels = with_rules(&json!({"type": "object"}), &["has(self.metadata.labels)"]);
    assert!(check_rules(PATH, &labels, &[])[0].detail.contains("undefined field 'labels'"));
}

#[test]
fn transition_rules_apply_to_updates_only() {
    let spec = with_rules(&json!({"type": "integer"}), &["self >= oldSelf"]);
    assert_eq!(validate(&spec, None, &json!(1)).0, [""; 0]);
    assert_eq!(validate(&spec, Some(&json!(1)), &json!(2)).0, [""; 0]);
    let (errors, _) = validate(&spec, Some(&json!(2)), &json!(1));
    assert_eq!(errors, ["spec: Invalid value: 1: failed rule: self >= oldSelf"]);
}

#[test]
fn an_unchanged_value_that_violates_a_rule_causes_only_a_warning() {
    let spec = json!({"type": "object", "properties": {
        "n": with_rules(&json!({"type": "integer"}), &["self > 2"]),
        "m": {"type": "integer"},
    }});
    let (errors, warnings) = validate(&spec, Some(&json!({"n": 1})), &json!({"n": 1, "m": 2}));
    assert_eq!(errors, [""; 0]);
    assert_eq!(warnings, ["spec.n: Invalid value: 1: failed rule: self > 2"]);
    let (errors, _) = validate(&spec, Some(&json!({"n": 1})), &json!({"n": 0}));
    assert_eq!(errors.len(), 1);
}

#[test]
fn an_evaluation_ends_at_the_cost_limit() {
    let list = json!({"type": "array", "maxItems": 1000, "items": {"type": "integer"}});
    let spec = with_rules(&list, &["self.all(x, self.all(y, x + y < 100))"]);
    let (errors, _) = validate(&spec, None, &json!(vec![1; 1000]));
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("operation cancelled: actual cost limit exceeded"), "{errors:?}");
}

#[test]
fn an_error_of_an_operand_is_ignored_if_the_other_operand_decides_the_result() {
    let list = json!({"type": "array", "maxItems": 5, "items": {"type": "integer"}});
    let spec =
        with_rules(&list, &["self[9] == 1 || true", "!(self[9] == 1 && false)", "self[9] == 1 || false"]);
    let (errors, _) = validate(&spec, None, &json!([1]));
    assert_eq!(
        errors,
        ["spec: Invalid value: \"array\": index out of bounds: 9 evaluating rule: self[9] == 1 || false"]
    );
}

#[test]
fn a_long_expression_does_not_overflow_the_stack() {
    let int = json!({"type": "integer"});
    let sum = format!("self == {}", vec!["1"; 3000].join(" + "));
    let nested = format!("self == {}1{}", "(".repeat(3000), ")".repeat(3000));
    let calls = format!("self == ''{}.size()", ".trim()".repeat(3000));
    for rule in [sum, nested, calls] {
        let errors = check_rules(PATH, &schema_with_spec(&with_rules(&int, &[&rule])), &[]);
        assert!(errors[0].detail.contains("recursion limit"), "{errors:?}");
    }
    let sum = format!("self == {}", vec!["1"; 200].join(" + "));
    let (errors, _) = validate(&with_rules(&int, &[&sum]), None, &json!(200));
    assert_eq!(errors, [""; 0]);
}
