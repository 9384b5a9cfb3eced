//! The `AdmissionReview` of a webhook call, and the checks of the response.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

use super::attributes::{Attributes, ObjectKind, Objects};
use super::webhook::Webhook;
use crate::json::text;
use crate::registry::Resource;
use crate::status::SimError;
use crate::webhooks::type_text;

/// The API version of the reviews. `admission.k8s.io/v1beta1` is not supported.
const API_VERSION: &str = "admission.k8s.io/v1";

/// The `AdmissionRequest` without its uid and the objects. The webhook receives the objects in the version of
/// `resource`.
pub(super) fn admission_request(attributes: &Attributes<'_>, resource: &Resource) -> Value {
    let resource_json = |r: &Resource| json!({"group": r.group, "version": r.version, "resource": r.plural});
    let mut request = json!({
        "kind": ObjectKind::of(resource, attributes.subresource).to_json(),
        "resource": resource_json(resource),
        "requestKind": attributes.kind().to_json(),
        "requestResource": resource_json(attributes.resource),
        "operation": attributes.operation.name(),
        "userInfo": attributes.user.to_user_info(),
        "dryRun": attributes.dry_run,
        "options": attributes.options,
    });
    for (field, text) in [
        ("subResource", attributes.subresource),
        ("requestSubResource", attributes.subresource),
        ("name", &attributes.name),
        ("namespace", &attributes.namespace),
    ] {
        if !text.is_empty() {
            request[field] = text.into();
        }
    }
    request
}

/// The `AdmissionReview` that a webhook receives for a request. `objects` are in the version of `resource`.
pub(super) fn admission_review(
    attributes: &Attributes<'_>,
    resource: &Resource,
    objects: &Objects,
    uid: &str,
) -> Value {
    let mut request = admission_request(attributes, resource);
    request["uid"] = uid.into();
    request["object"] = objects.object.clone().unwrap_or_default();
    request["oldObject"] = objects.old_object.clone().unwrap_or_default();
    json!({"kind": "AdmissionReview", "apiVersion": API_VERSION, "request": request})
}

/// The verified response of a webhook.
#[derive(Debug)]
pub(super) struct Response {
    /// The JSON patch, decoded from Base64; `None` if the response has none.
    pub(super) patch: Option<Vec<u8>>,
    pub(super) patch_type: String,
    pub(super) warnings: Vec<String>,
    /// The error of the request, if the webhook denies it.
    pub(super) denial: Option<SimError>,
}

/// Verifies the response of a webhook.
///
/// # Errors
/// The reason why the response is invalid, as the API server prints it.
pub(super) fn verify(
    webhook: &Webhook,
    uid: &str,
    review: &Value,
    mutating: bool,
) -> Result<Response, String> {
    let invalid = |why: String| Err(format!("received invalid webhook response: {why}"));
    let response = &review["response"];
    if response.is_null() {
        return invalid("webhook response was absent".to_owned());
    }
    if response["uid"] != uid {
        return invalid(format!("expected response.uid={uid:?}, got {:?}", text(&response["uid"])));
    }
    if review["apiVersion"] != API_VERSION || review["kind"] != "AdmissionReview" {
        return invalid(format!(
            "expected webhook response of {API_VERSION}, Kind=AdmissionReview, got {}",
            type_text(review)
        ));
    }
    let (patch, patch_type) = (&response["patch"], &response["patchType"]);
    let has_patch = patch.as_str().is_some_and(|patch| !patch.is_empty());
    if let Some(why) = patch_problem(has_patch, patch_type, mutating) {
        return invalid(why.to_owned());
    }
    let allowed = match &response["allowed"] {
        Value::Bool(allowed) => *allowed,
        Value::Null => false,
        other => return Err(format!("failed to call webhook: response.allowed must be a bool, not {other}")),
    };
    let patch = has_patch
        .then(|| STANDARD.decode(text(patch)))
        .transpose()
        .map_err(|e| format!("failed to call webhook: response.patch is not base64: {e}"))?;
    let warnings = response["warnings"].as_array().into_iter().flatten();
    Ok(Response {
        patch,
        patch_type: text(patch_type).to_owned(),
        warnings: warnings.filter_map(|text| text.as_str().map(str::to_owned)).collect(),
        denial: (!allowed).then(|| denial(webhook, response["status"].clone())),
    })
}

/// The reason why `patch` or `patchType` of a response is invalid; `None` if both are valid.
fn patch_problem(has_patch: bool, patch_type: &Value, mutating: bool) -> Option<&'static str> {
    match (mutating, has_patch, patch_type.as_str()) {
        (true, true, None) => Some("webhook returned response.patch but not response.patchType"),
        (true, false, Some(_)) => Some("webhook returned response.patchType but not response.patch"),
        (true, true, Some("")) => Some("webhook returned invalid response.patchType of \"\""),
        (false, true, _) => Some("validating webhook may not return response.patch"),
        (false, false, Some(_)) => Some("validating webhook may not return response.patchType"),
        _ => None,
    }
}

/// The error of a request that a webhook denies, from the `status` in its response.
fn denial(webhook: &Webhook, mut status: Value) -> SimError {
    if !status.is_object() {
        status = json!({});
    }
    let denied = format!("admission webhook {:?} denied the request", webhook.name);
    let (message, reason) = (text(&status["message"]), text(&status["reason"]));
    let message = match (message, reason) {
        ("", "") => format!("{denied} without explanation"),
        ("", reason) => format!("{denied}: {reason}"),
        (message, _) => format!("{denied}: {message}"),
    };
    let code = status["code"].as_u64().filter(|code| (400..600).contains(code)).unwrap_or(400);
    let code = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
    let error = SimError::new(code.unwrap_or(StatusCode::BAD_REQUEST), reason, message);
    match &status["details"] {
        Value::Object(details) => error.with_all_details(details.clone()),
        _ => error,
    }
}
