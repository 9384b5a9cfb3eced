//! The evaluation of a policy's expressions for one request and one parameter.

use serde_json::Value;

use crate::cel::{AdmissionExpression, AdmissionInputs, AdmissionValue, Evaluation};
use crate::handler::plugins::attributes::{Attributes, Objects};
use crate::handler::plugins::authorizer::RequestAuthorizer;
use crate::handler::plugins::{conditions, review};
use crate::registry::Resource;
use crate::shared_state::Inner;

/// The maximum size of the result of a `messageExpression`, in bytes.
const MAX_MESSAGE_BYTES: usize = 5 * 1024;

/// A negative decision of a policy on a request. The cause is a failed validation or an error of the policy.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) message: String,
    /// The reason of the validation; empty for an error.
    pub(super) reason: String,
    /// Whether the decision denies the request regardless of the actions of the binding. True for an error of an audit
    /// annotation.
    pub(super) always_denies: bool,
}

/// A compiled expression, or the error of its compilation.
pub(super) type CompileResult = Result<AdmissionExpression, String>;

/// A compiled policy.
pub(super) struct Policy<'a> {
    spec: &'a Value,
    variables: Vec<(String, CompileResult)>,
    /// Each validation with its expression and its `messageExpression`.
    validations: Vec<(&'a Value, CompileResult, Option<CompileResult>)>,
    annotations: Vec<(&'a str, CompileResult)>,
}

impl<'a> Policy<'a> {
    pub(super) fn compile(spec: &'a Value) -> Self {
        let list = |field: &str| spec[field].as_array().map_or(&[][..], Vec::as_slice);
        let text = |value: &'a Value| value.as_str().unwrap_or_default();
        let compile = |value: &'a Value| AdmissionExpression::compile(text(value));
        let validation = |v: &'a Value| {
            let message = &v["messageExpression"];
            let message = (!text(message).is_empty()).then(|| compile(message));
            (v, compile(&v["expression"]), message)
        };
        let annotation = |a: &'a Value| (text(&a["valueExpression"]), compile(&a["valueExpression"]));
        Self {
            spec,
            variables: compile_variables(spec),
            validations: list("validations").iter().map(validation).collect(),
            annotations: list("auditAnnotations").iter().map(annotation).collect(),
        }
    }

    /// Evaluates the policy. `objects` are in the version of `resource`. Returns the failed validations and the errors
    /// that the policy does not ignore.
    pub(super) fn evaluate(
        &self,
        inner: &Inner,
        attributes: &Attributes<'_>,
        resource: &Resource,
        objects: &Objects,
        params: Option<&Value>,
        namespace: Option<&Value>,
    ) -> Vec<Decision> {
        let request = review::admission_request(attributes, resource);
        let inputs = AdmissionInputs {
            object: objects.object.as_ref(),
            old_object: objects.old_object.as_ref(),
            request: &request,
            params,
            namespace,
        };
        let authorizer = RequestAuthorizer { inner, attributes };
        let mut evaluation = Evaluation::new(&inputs, &authorizer).with_variables(&self.variables);
        let conditions = self.spec["matchConditions"].as_array().map_or(&[][..], Vec::as_slice);
        match conditions::evaluate(conditions, &mut evaluation) {
            Ok(true) => {}
            Ok(false) => return Vec::new(),
            Err(why) => return self.error_decision(why).into_iter().collect(),
        }
        let mut decisions = Vec::new();
        for (validation, expression, message) in &self.validations {
            decisions.extend(self.evaluate_validation(
                validation,
                expression,
                message.as_ref(),
                &mut evaluation,
            ));
        }
        for (text, expression) in &self.annotations {
            let value = expression.as_ref().map_err(Clone::clone).and_then(|e| evaluation.evaluate(e));
            match value {
                Ok(AdmissionValue::Text(_)) => {}
                Ok(other) if other.type_name() == "null_type" => {}
                Ok(other) => decisions.push(Decision {
                    message: format!(
                        "valueExpression '{text}' resulted in unsupported return type: {}. Return type must be either string or null.",
                        other.type_name()
                    ),
                    reason: String::new(),
                    always_denies: true,
                }),
                Err(why) => {
                    let error = self.error_decision(failure_text(text, &why));
                    decisions.extend(error.map(|error| Decision { always_denies: true, ..error }));
                }
            }
        }
        decisions
    }

    /// Evaluates one validation. Returns `None` if the validation is satisfied, or has an error that the policy ignores.
    fn evaluate_validation(
        &self,
        validation: &Value,
        expression: &CompileResult,
        message: Option<&CompileResult>,
        evaluation: &mut Evaluation,
    ) -> Option<Decision> {
        let text = |field: &str| validation[field].as_str().unwrap_or_default();
        let value = expression.as_ref().map_err(Clone::clone).and_then(|e| evaluation.evaluate(e));
        match value {
            Ok(AdmissionValue::Bool(true)) => return None,
            Ok(_) => {}
            Err(why) => return self.error_decision(failure_text(text("expression"), &why)),
        }
        let computed = message.and_then(|message| {
            let Ok(AdmissionValue::Text(text)) = evaluation.evaluate_message(message.as_ref().ok()?) else {
                return None;
            };
            let text = text.trim();
            (!text.is_empty() && text.len() <= MAX_MESSAGE_BYTES && !text.contains('\n'))
                .then(|| text.to_owned())
        });
        let fixed = text("message").trim();
        let message = computed.unwrap_or_else(|| match fixed {
            "" => format!("failed expression: {}", text("expression").trim()),
            fixed => fixed.to_owned(),
        });
        let reason = if text("reason").is_empty() { "Invalid" } else { text("reason") };
        Some(Decision { message, reason: reason.to_owned(), always_denies: false })
    }

    /// The decision about an error; `None` if the policy ignores errors.
    fn error_decision(&self, message: String) -> Option<Decision> {
        let ignored = self.spec["failurePolicy"] == "Ignore";
        (!ignored).then_some(Decision { message, reason: String::new(), always_denies: false })
    }
}

/// Compiles the variables of a policy.
pub(super) fn compile_variables(spec: &Value) -> Vec<(String, CompileResult)> {
    let variable = |variable: &Value| {
        let text = |field: &str| variable[field].as_str().unwrap_or_default();
        (text("name").to_owned(), AdmissionExpression::compile(text("expression")))
    };
    spec["variables"].as_array().into_iter().flatten().map(variable).collect()
}

/// The error text of an expression that fails.
pub(super) fn failure_text(expression: &str, why: &str) -> String {
    if why.starts_with(crate::cel::OUT_OF_BUDGET) {
        return why.to_owned();
    }
    format!("expression '{expression}' resulted in error: {why}")
}
