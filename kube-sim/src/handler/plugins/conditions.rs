//! The match conditions of a webhook or a policy: CEL expressions that exclude requests.

use serde_json::Value;

use super::attributes::{Attributes, Objects};
use super::authorizer::RequestAuthorizer;
use super::review;
use super::webhook::Webhook;
use crate::cel::{AdmissionExpression, AdmissionInputs, AdmissionValue, Evaluation};
use crate::registry::Resource;
use crate::shared_state::Inner;
use crate::status::SimError;

/// Whether all match conditions of a webhook are true. If no condition is false, but the evaluation of a condition fails,
/// the failure policy decides: `Ignore` returns false.
///
/// # Errors
/// 403 if no condition is false, the evaluation of a condition fails, and the failure policy is `Fail`.
pub(super) fn all_match(
    inner: &Inner,
    webhook: &Webhook,
    resource: &Resource,
    attributes: &Attributes<'_>,
    objects: &Objects,
) -> Result<bool, SimError> {
    let conditions = webhook.list_field("matchConditions");
    if conditions.is_empty() {
        return Ok(true);
    }
    let request = review::admission_request(attributes, resource);
    let inputs = AdmissionInputs {
        object: objects.object.as_ref(),
        old_object: objects.old_object.as_ref(),
        request: &request,
        params: None,
        namespace: None,
    };
    let authorizer = RequestAuthorizer { inner, attributes };
    match evaluate(conditions, &mut Evaluation::new(&inputs, &authorizer)) {
        Ok(matches) => Ok(matches),
        Err(_) if webhook.ignores_failures() => Ok(false),
        Err(why) => Err(SimError::forbidden(
            &attributes.resource.group,
            &attributes.resource.plural,
            &attributes.name,
            &why,
        )),
    }
}

/// Whether all conditions are true.
///
/// # Errors
/// The error texts if no condition is false, but the evaluation of one or more conditions fails.
pub(super) fn evaluate(conditions: &[Value], evaluation: &mut Evaluation<'_>) -> Result<bool, String> {
    let mut failures = Vec::new();
    for condition in conditions {
        let text = condition["expression"].as_str().unwrap_or_default();
        match AdmissionExpression::compile(text).and_then(|compiled| evaluation.evaluate(&compiled)) {
            Ok(AdmissionValue::Bool(true)) => {}
            Ok(AdmissionValue::Bool(false)) => return Ok(false),
            Ok(other) => failures.push(format!(
                "expression '{text}' resulted in error: it has the type {}, not bool",
                other.type_name()
            )),
            Err(why) => failures.push(format!("expression '{text}' resulted in error: {why}")),
        }
    }
    match failures.as_slice() {
        [] => Ok(true),
        [one] => Err(one.clone()),
        several => Err(format!("[{}]", several.join(", "))),
    }
}
