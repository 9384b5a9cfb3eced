//! `SimError`: the error of a request, with the `Status` object of the response.
//!
//! This module defines the codes, reasons and messages that are the same for every resource. It must not depend on the
//! store.

use std::fmt;

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::names::with_group;
use crate::schema::FieldError;

/// The error of a request: the HTTP code and the `Status` object of the response.
///
/// `Display` writes the message of the status. The predicates read the code or the `reason` field, as clients do.
#[derive(Clone)]
pub struct SimError {
    code: StatusCode,
    status: Box<Value>,
    retry_after: Option<u32>,
    /// The texts of the `Warning` headers.
    warnings: Vec<String>,
}

impl SimError {
    /// An error with this code, machine-readable reason and message.
    pub fn new(code: StatusCode, reason: &str, message: impl Into<String>) -> Self {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message.into(),
            "code": code.as_u16(),
        });
        if !reason.is_empty() {
            status["reason"] = reason.into();
        }
        Self { code, status: Box::new(status), retry_after: None, warnings: Vec::new() }
    }

    /// The HTTP status code of the response.
    pub fn code(&self) -> StatusCode {
        self.code
    }

    /// The machine-readable reason, such as `NotFound`; empty if the server sets none.
    pub fn reason(&self) -> &str {
        self.status["reason"].as_str().unwrap_or_default()
    }

    /// The human-readable message.
    pub fn message(&self) -> &str {
        self.status["message"].as_str().unwrap_or_default()
    }

    /// The complete `Status` object.
    pub fn status(&self) -> &Value {
        &self.status
    }

    /// The `Retry-After` header in seconds, if the response has one.
    pub fn retry_after(&self) -> Option<u32> {
        self.retry_after
    }

    /// Whether the object, resource or path does not exist.
    pub fn is_not_found(&self) -> bool {
        self.code == StatusCode::NOT_FOUND
    }

    /// Whether the request conflicts with the stored object, for example because the resource version is outdated, or
    /// because another field manager owns an applied field.
    pub fn is_conflict(&self) -> bool {
        self.reason() == "Conflict"
    }

    /// Whether an object with the requested name already exists.
    pub fn is_already_exists(&self) -> bool {
        self.reason() == "AlreadyExists"
    }

    /// Whether the resource version or the continue token is expired (410).
    pub fn is_expired(&self) -> bool {
        self.code == StatusCode::GONE
    }

    /// The texts of the `Warning` headers of the response.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Sets the texts of the `Warning` headers.
    pub(crate) fn with_warnings(mut self, texts: Vec<String>) -> Self {
        self.warnings = texts;
        self
    }

    /// Sets the `Retry-After` header and `details.retryAfterSeconds`.
    pub(crate) fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self.details_mut().insert("retryAfterSeconds".into(), seconds.into());
        self
    }

    /// Sets the object or resource that the error is about (`details`).
    pub(crate) fn with_details(mut self, name: &str, group: &str, kind: &str) -> Self {
        let details = self.details_mut();
        for (key, value) in [("name", name), ("group", group), ("kind", kind)] {
            if !value.is_empty() {
                details.insert(key.into(), value.into());
            }
        }
        self
    }

    /// Sets all `details`.
    pub(crate) fn with_all_details(mut self, details: Map<String, Value>) -> Self {
        *self.details_mut() = details;
        self
    }

    /// Sets `details.causes`.
    pub(crate) fn with_causes(mut self, causes: Vec<Value>) -> Self {
        self.details_mut().insert("causes".into(), Value::Array(causes));
        self
    }

    /// Sets the continue token with which the client can resume an expired list.
    pub(crate) fn with_continue(mut self, token: String) -> Self {
        self.status["metadata"]["continue"] = token.into();
        self
    }

    #[expect(clippy::expect_used, reason = "the value was made an object the line before")]
    fn details_mut(&mut self) -> &mut Map<String, Value> {
        let details = &mut self.status["details"];
        if !details.is_object() {
            *details = json!({});
        }
        details.as_object_mut().expect("details is set to an object above")
    }

    /// 404 for a path whose resource is not served.
    pub(crate) fn no_such_resource() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource")
            .with_empty_details()
    }

    /// 404 for an object that does not exist.
    pub(crate) fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", with_group(resource, group));
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).with_details(name, group, resource)
    }

    /// Sets `details` to an empty object if it is absent.
    pub(crate) fn with_empty_details(mut self) -> Self {
        self.details_mut();
        self
    }

    /// 409 for a create request with the name of an existing object.
    pub(crate) fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", with_group(resource, group));
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message).with_details(name, group, resource)
    }

    /// 409 for a write that conflicts with another write.
    pub(crate) fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", with_group(resource, group));
        Self::new(StatusCode::CONFLICT, "Conflict", message).with_details(name, group, resource)
    }

    /// 403 for a request that the server refuses because of `why`.
    pub(crate) fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let message = if name.is_empty() {
            format!("{} is forbidden: {why}", with_group(resource, group))
        } else {
            format!("{} \"{name}\" is forbidden: {why}", with_group(resource, group))
        };
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).with_details(name, group, resource)
    }

    /// 403 for a path outside of the resources, such as `/metrics`.
    pub(crate) fn forbidden_path(user: &str, verb: &str, path: &str) -> Self {
        let message = format!("forbidden: User {user:?} cannot {verb} path {path:?}");
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).with_empty_details()
    }

    /// 422 with one cause for each of `errors`.
    pub(crate) fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let message = crate::schema::invalid_message(kind, group, name, errors);
        let causes = errors
            .iter()
            .map(|e| json!({"reason": e.kind.reason(), "message": e.message(), "field": e.field}))
            .collect();
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
            .with_details(name, group, kind)
            .with_causes(causes)
    }

    /// 422 for one field; `text` is the message, without the path of the field.
    pub(crate) fn invalid_field(group: &str, kind: &str, name: &str, field: &str, text: &str) -> Self {
        let message = format!("{} \"{name}\" is invalid: {field}: {text}", with_group(kind, group));
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message)
            .with_details(name, group, kind)
            .with_causes(vec![json!({"reason": "FieldValueInvalid", "message": text, "field": field})])
    }

    /// 400 for a malformed request.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// 405 for an HTTP method that the resource does not support.
    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
        .with_empty_details()
    }

    /// 410 for an expired resource version or continue token.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    /// 504 for a resource version that the watch cache or the storage has not reached.
    pub(crate) fn too_large_resource_version(wanted: u64, current: u64) -> Self {
        let text = format!("Too large resource version: {wanted}, current: {current}");
        Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", format!("Timeout: {text}"))
            .with_causes(vec![
                json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}),
            ])
            .with_retry_after(1)
    }

    /// Whether the watch cache or the storage has not reached the requested resource version.
    pub(crate) fn is_too_large_resource_version(&self) -> bool {
        self.status["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    }

    /// 406 for an `Accept` header that selects no supported representation.
    pub(crate) fn not_acceptable(offered: &str) -> Self {
        let message = format!("only the following media types are accepted: {offered}");
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    /// 406 for a list that was requested as `PartialObjectMetadata`, and for a single object that was
    /// requested as `PartialObjectMetadataList`. `requested` is the requested kind.
    pub(crate) fn not_acceptable_form(requested: &str, is_list: bool, go_type: &str) -> Self {
        let what = if is_list { "a list" } else { "not a list" };
        let message = format!("you requested {requested}, but the requested object is {what} ({go_type})");
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    /// 406 for an `Accept` header without any media type that kube-apiserver's router (go-restful) knows. The router
    /// does not read the parameters of media types.
    pub(crate) fn not_routable(offered: &str) -> Self {
        Self::new(
            StatusCode::NOT_ACCEPTABLE,
            "NotAcceptable",
            format!("406: Not Acceptable\n\nAvailable representations: {offered}"),
        )
        .with_empty_details()
    }

    /// 415 for a request body with an unsupported `Content-Type`.
    pub(crate) fn unsupported_media_type(offered: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {offered}"
            ),
        )
    }

    /// 401 for a request without valid credentials.
    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    /// 413 for a request body of more than `limit` bytes.
    pub(crate) fn too_large_body(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {limit}"),
        )
    }

    /// 500 for an internal error.
    pub(crate) fn internal(message: impl fmt::Display) -> Self {
        let text = message.to_string();
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            format!("Internal error occurred: {text}"),
        )
        .with_causes(vec![json!({"message": text})])
    }

    /// 429 with a `Retry-After` header of `seconds`.
    pub(crate) fn too_many_requests(message: impl Into<String>, seconds: u32) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message).with_retry_after(seconds)
    }

    /// The error that a fault rule returns. The reason is the one that the API server uses for the code. If
    /// `message` is `None`, the message is also the one that the API server uses. For a code that this
    /// function does not know, the reason is empty, and the default message says that a fault rule returned
    /// the status.
    pub(crate) fn of_code(code: StatusCode, message: Option<&str>) -> Self {
        let (reason, text) = match code.as_u16() {
            400 => ("BadRequest", "the request was malformed"),
            401 => ("Unauthorized", "Unauthorized"),
            403 => ("Forbidden", "forbidden"),
            404 => ("NotFound", "the server could not find the requested resource"),
            405 => ("MethodNotAllowed", "the server does not allow this method on the requested resource"),
            406 => ("NotAcceptable", "the server does not speak the media types that were asked for"),
            409 => (
                "Conflict",
                "the object has been modified; please apply your changes to the latest version and try again",
            ),
            410 => ("Expired", "The resourceVersion for the provided watch is too old."),
            413 => ("RequestEntityTooLarge", "Request entity too large"),
            415 => ("UnsupportedMediaType", "the body of the request was in an unknown format"),
            422 => ("Invalid", "the server rejected our request due to an error in our request"),
            429 => (
                "TooManyRequests",
                "The server has received too many requests and has asked us to try again later",
            ),
            500 => ("InternalError", "Internal error occurred"),
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
            504 => ("Timeout", "the server was unable to return a response in the time allotted"),
            _ => ("", "a fault rule returned this status"),
        };
        Self::new(code, reason, message.unwrap_or(text))
    }
}

impl fmt::Display for SimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl fmt::Debug for SimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimError")
            .field("code", &self.code.as_u16())
            .field("reason", &self.reason())
            .field("message", &self.message())
            .finish_non_exhaustive()
    }
}

impl std::error::Error for SimError {}
