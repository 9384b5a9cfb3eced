//! The CEL expressions of the mutations of a `MutatingAdmissionPolicy`. The result of such an expression is a patch.

use serde_json::{Map, Value};

use super::{AdmissionExpression, Evaluation, expression_problem};
use crate::cel::check;
use crate::cel::value::{Failure, Message, Val};

/// The type of a mutation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchType {
    /// The expression results in an `Object` that is merged into the object of the request.
    ApplyConfiguration,
    /// The expression results in a list of `JSONPatch` operations.
    JsonPatch,
}

impl PatchType {
    /// The type that the result of the expression must have.
    fn result_type(self) -> &'static str {
        match self {
            Self::ApplyConfiguration => "Object",
            Self::JsonPatch => "list(JSONPatch)",
        }
    }

    /// The errors of an expression, as the API server prints them; `None` if there are none. `has_params` is whether
    /// the policy has a `paramKind`. Without a `paramKind`, the variable `params` is undeclared.
    pub(crate) fn expression_problem(self, text: &str, has_params: bool) -> Option<String> {
        let undeclared = (!has_params).then_some("params");
        expression_problem(check::check_patch, text, &[self.result_type()], undeclared)
    }
}

/// The error of an expression that does not evaluate to a patch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PatchError {
    /// The evaluation fails.
    Evaluation(String),
    /// The result is not a patch.
    Result(String),
}

impl AdmissionExpression {
    /// Compiles the expression of a mutation.
    ///
    /// # Errors
    /// The errors of [`AdmissionExpression::compile`].
    pub(crate) fn compile_patch(text: &str) -> Result<Self, String> {
        Self::compile_with(check::check_patch, text)
    }
}

impl Evaluation<'_> {
    /// Evaluates the expression of a mutation. Returns the apply configuration, or the list of JSON patch operations.
    ///
    /// # Errors
    /// The evaluation fails, or the result is not a patch of the type `patch_type`.
    pub(crate) fn evaluate_patch(
        &mut self,
        expression: &AdmissionExpression,
        patch_type: PatchType,
    ) -> Result<Value, PatchError> {
        let value =
            self.evaluate_to_value(expression, self.variables.len()).map_err(PatchError::Evaluation)?;
        match (patch_type, &value) {
            (PatchType::ApplyConfiguration, Val::Message(message)) if !message.is_json_patch() => {
                message.check_type_names().map_err(|why| type_mismatch_error(&why))?;
                to_json(&value)
            }
            (PatchType::ApplyConfiguration, _) => {
                let found = value.type_name();
                Err(type_mismatch_error(&format!(
                    "ApplyConfiguration.expression should evaluate to Object, got {found}"
                )))
            }
            (PatchType::JsonPatch, Val::List(list)) => list.iter().map(to_operation).collect(),
            (PatchType::JsonPatch, _) => {
                Err(type_mismatch_error("JSONPatchType.expression should evaluate to array"))
            }
        }
    }
}

fn type_mismatch_error(why: &str) -> PatchError {
    PatchError::Result(format!("type mismatch: {why}"))
}

fn result_error(failure: &Failure) -> PatchError {
    PatchError::Result(failure.text().to_owned())
}

fn to_json(value: &Val<'_>) -> Result<Value, PatchError> {
    value.to_json().map_err(|failure| result_error(&failure))
}

/// Converts an item of the result list to an operation of a JSON patch.
fn to_operation(item: Result<Val<'_>, Failure>) -> Result<Value, PatchError> {
    let item = item.map_err(|failure| result_error(&failure))?;
    let Val::Message(message) = &item else {
        let expected = "JSONPatchType.expression should evaluate to array of JSONPatch";
        return Err(type_mismatch_error(&format!("{expected}, got element of {}", item.type_name())));
    };
    let mut operation = Map::new();
    for field in ["op", "path", "from"] {
        let text = string_field(message, field);
        if field != "from" || !text.is_empty() {
            operation.insert(field.to_owned(), text.into());
        }
    }
    if let Some(value) = message.get("value") {
        if let Val::Message(object) = value {
            object.check_type_names().map_err(|why| type_mismatch_error(&why))?;
        }
        operation.insert("value".to_owned(), to_json(value)?);
    }
    Ok(Value::Object(operation))
}

/// A string field of an operation; empty if the field is not set.
fn string_field(message: &Message<'_>, field: &str) -> String {
    match message.get(field) {
        Some(Val::String(text)) => (**text).to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cel::AdmissionInputs;
    use crate::cel::admission::tests::GetOnlyAuthorizer;

    #[track_caller]
    fn check_evaluated_patch(patch_type: PatchType, text: &str, expected: Result<Value, &str>) {
        let object = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"replicas": 2}});
        let request = json!({});
        let inputs = AdmissionInputs {
            object: Some(&object),
            old_object: None,
            request: &request,
            params: None,
            namespace: None,
        };
        assert_eq!(patch_type.expression_problem(text, false), None, "{text}");
        let compiled = AdmissionExpression::compile_patch(text).unwrap();
        let patch = Evaluation::new(&inputs, &GetOnlyAuthorizer).evaluate_patch(&compiled, patch_type);
        let patch = patch.map_err(|error| match error {
            PatchError::Evaluation(why) | PatchError::Result(why) => why,
        });
        assert_eq!(patch, expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn an_object_becomes_an_apply_configuration() {
        let check = |text, expected| check_evaluated_patch(PatchType::ApplyConfiguration, text, expected);
        check(
            "Object{metadata: Object.metadata{labels: {'c': 'd'}}, spec: Object.spec{replicas: object.spec.replicas + 1}}",
            Ok(json!({"metadata": {"labels": {"c": "d"}}, "spec": {"replicas": 3}})),
        );
        check(
            "Object{spec: Object.spec{parts: [Object.spec.parts{name: 'x', ?size: optional.none()}]}}",
            Ok(json!({"spec": {"parts": [{"name": "x"}]}})),
        );
        check("has(object.spec) ? Object{} : Object{spec: Object.spec{}}", Ok(json!({})));
        check(
            "Object{spec: Object.wrong{}}",
            Err(
                "type mismatch: unexpected type name \"Object.wrong\", expected \"Object.spec\", which matches \
                 field name path from root Object type",
            ),
        );
        check("Object{spec: Object.spec{replicas: object.none}}", Err("no such key: none"));
    }

    #[test]
    fn a_list_becomes_json_patch_operations() {
        let check = |text, expected| check_evaluated_patch(PatchType::JsonPatch, text, expected);
        check(
            "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('k8s.io/x~y'), value: 1.5}]",
            Ok(json!([{"op": "add", "path": "/metadata/labels/k8s.io~1x~0y", "value": 1.5}])),
        );
        check(
            "[JSONPatch{op: 'copy', from: '/a', path: '/b'}, JSONPatch{op: 'remove', path: '/c'}]",
            Ok(json!([{"op": "copy", "path": "/b", "from": "/a"}, {"op": "remove", "path": "/c"}])),
        );
        check(
            "object.spec.replicas > 5 ? [] : [JSONPatch{op: 'add', path: '/x', value: Object.spec{a: [1, 2]}}]",
            Ok(json!([{"op": "add", "path": "/x", "value": {"a": [1, 2]}}])),
        );
        check(
            "[JSONPatch{op: string(JSONPatch{op: 'a'} == JSONPatch{op: 'a'}), path: string(has(JSONPatch{}.op))}]",
            Ok(json!([{"op": "true", "path": "false"}])),
        );
    }

    #[test]
    fn wrong_types_and_unknown_fields_are_reported() {
        let problem = |patch: PatchType, text| patch.expression_problem(text, false).unwrap_or_default();
        let apply = |text| problem(PatchType::ApplyConfiguration, text);
        assert_eq!(apply("{'a': 'b'}"), "must evaluate to Object but got map(string, string)");
        assert!(apply("Other{}").contains("undeclared reference to 'Other'"), "{}", apply("Other{}"));
        assert!(apply("Object{a: params.x}").contains("undeclared reference to 'params'"));
        assert_eq!(PatchType::ApplyConfiguration.expression_problem("Object{a: params.x}", true), None);
        let json = |text| problem(PatchType::JsonPatch, text);
        assert_eq!(json("JSONPatch{}"), "must evaluate to list(JSONPatch) but got JSONPatch");
        assert!(json("[JSONPatch{op: 1}]").contains("expected type of field 'op' is 'string'"));
        assert!(json("[JSONPatch{other: 1}]").contains("undefined field 'other'"));
    }

    #[test]
    fn only_mutations_can_create_cel_messages_or_call_patch_functions() {
        assert!(AdmissionExpression::compile("Object{} == Object{}").is_err());
        assert!(AdmissionExpression::compile("jsonpatch.escapeKey('a') == 'a'").is_err());
    }
}
