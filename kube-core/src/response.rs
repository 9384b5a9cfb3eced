//! `Status`: the API server's report of a failed request or a completed deletion.
//!
//! This module contains only the types of `meta/v1 Status` and the known reasons. It must not convert between statuses
//! and Rust errors.

use super::null::null_as_default;
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// The API server's report of the outcome of a request (`meta/v1 Status`).
///
/// `Error::Api` of kube-client contains the status of a failed request. A deletion that completes immediately
/// returns a status for which [`is_success`](Status::is_success) is true.
///
/// ```
/// use kube_core::{Status, reason};
///
/// let status = Status::failure("pods \"web\" not found", reason::NOT_FOUND).with_code(404);
/// assert!(status.is_not_found());
/// assert_eq!(status.to_string(), "pods \"web\" not found (404 NotFound)");
/// ```
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub struct Status {
    /// Success or failure; `None` if the server omitted this field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusSummary>,
    /// The suggested HTTP status code, 0 if it is not set.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "is_zero")]
    pub code: u16,
    /// A human-readable description.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// A machine-readable reason: usually one of the constants in [`reason`]; may be empty.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The object of the request and, after a failure, the causes of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<StatusDetails>,
    /// List metadata. If the continue token of a list request has expired (`410 Expired`), the metadata contains a new
    /// token. The new token continues the list at a newer resource version (inconsistent continuation).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta>,
}

/// The former name of [`Status`] in kube.
#[deprecated(note = "use `Status`")]
pub type ErrorResponse = Status;

impl Status {
    /// Boxes the status, for `Error::Api` of kube-client.
    #[must_use]
    pub fn boxed(self) -> Box<Self> {
        Box::new(self)
    }

    /// Creates a success without details.
    #[must_use]
    pub fn success() -> Self {
        Self { status: Some(StatusSummary::Success), ..Self::default() }
    }

    /// Creates a failure with a human-readable message and a machine-readable [`reason`].
    #[must_use]
    pub fn failure(message: &str, reason: &str) -> Self {
        Self {
            status: Some(StatusSummary::Failure),
            message: message.to_owned(),
            reason: reason.to_owned(),
            ..Self::default()
        }
    }

    /// Sets the HTTP status code.
    #[must_use]
    pub fn with_code(mut self, code: u16) -> Self {
        self.code = code;
        self
    }

    /// Sets the details of the failure.
    #[must_use]
    pub fn with_details(mut self, details: StatusDetails) -> Self {
        self.details = Some(details);
        self
    }

    /// Whether the server reports a success.
    pub fn is_success(&self) -> bool {
        self.status == Some(StatusSummary::Success)
    }

    /// Whether the server reports a failure.
    pub fn is_failure(&self) -> bool {
        self.status == Some(StatusSummary::Failure)
    }

    /// Whether the object, or the resource itself, does not exist (404).
    pub fn is_not_found(&self) -> bool {
        self.matches_reason(reason::NOT_FOUND, 404)
    }

    /// Whether an object with the same name exists already (409 with reason `AlreadyExists`).
    pub fn is_already_exists(&self) -> bool {
        self.reason == reason::ALREADY_EXISTS
    }

    /// Whether the write conflicts with another write (409), for example because the resource version in the request is
    /// outdated. If so, read the object again and retry.
    pub fn is_conflict(&self) -> bool {
        self.matches_reason(reason::CONFLICT, 409)
    }

    /// Whether the user is not authorized for this request (403).
    pub fn is_forbidden(&self) -> bool {
        self.matches_reason(reason::FORBIDDEN, 403)
    }

    /// Whether the server cannot authenticate the user (401).
    pub fn is_unauthorized(&self) -> bool {
        self.matches_reason(reason::UNAUTHORIZED, 401)
    }

    /// Whether the object failed validation (422).
    pub fn is_invalid(&self) -> bool {
        self.matches_reason(reason::INVALID, 422)
    }

    /// Whether the request is malformed (400).
    pub fn is_bad_request(&self) -> bool {
        self.matches_reason(reason::BAD_REQUEST, 400)
    }

    /// Whether the resource version or continue token is expired (410, reason `Expired` or `Gone`). If so, list again.
    pub fn is_gone(&self) -> bool {
        self.reason == reason::EXPIRED || self.matches_reason(reason::GONE, 410)
    }

    /// Whether the server rejected the request because of a limit (429): a rate limit or, for an eviction, a disruption
    /// budget.
    pub fn is_too_many_requests(&self) -> bool {
        self.matches_reason(reason::TOO_MANY_REQUESTS, 429)
    }

    /// Whether the server did not finish in time (504 `Timeout`, or 500 `ServerTimeout`).
    pub fn is_timeout(&self) -> bool {
        self.reason == reason::SERVER_TIMEOUT || self.matches_reason(reason::TIMEOUT, 504)
    }

    /// Whether the requested resource version is newer than the server's cache. If so, retry later, or list without a
    /// resource version.
    pub fn is_resource_version_too_large(&self) -> bool {
        let named = |cause: &StatusCause| cause.reason == "ResourceVersionTooLarge";
        self.details.as_ref().is_some_and(|details| details.causes.iter().any(named))
            || (self.is_timeout() && self.message.contains("Too large resource version"))
    }

    /// The exit code of the command, if this is the status of an `exec` or `attach`: 0 after a success, otherwise the
    /// code of the failed command. `None` if the command could not run, or if its exit code is unknown.
    ///
    /// ```
    /// use kube_core::Status;
    ///
    /// assert_eq!(Status::success().exit_code(), Some(0));
    /// ```
    pub fn exit_code(&self) -> Option<i32> {
        if self.is_success() {
            return Some(0);
        }
        let causes = &self.details.as_ref().filter(|_| self.reason == reason::NON_ZERO_EXIT_CODE)?.causes;
        causes.iter().find(|cause| cause.reason == "ExitCode")?.message.trim().parse().ok()
    }

    /// The delay that the server requests before a retry, from `details`; `None` if the server requests no delay.
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.details.as_ref()?.retry_after_seconds;
        (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)))
    }

    /// Compares the reason; compares the code only if the reason is empty or unknown.
    fn matches_reason(&self, reason: &str, code: u16) -> bool {
        self.reason == reason || (!reason::is_known(&self.reason) && self.code == code)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = if self.message.is_empty() { "no message" } else { &self.message };
        match (self.code, self.reason.as_str()) {
            (0, "") => write!(f, "{message}"),
            (code, "") => write!(f, "{message} ({code})"),
            (0, reason) => write!(f, "{message} ({reason})"),
            (code, reason) => write!(f, "{message} ({code} {reason})"),
        }
    }
}

impl std::error::Error for Status {}

/// Whether a request succeeded.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusSummary {
    /// The request succeeded.
    Success,
    /// The request failed.
    Failure,
}

/// The object of a [`Status`], and the causes of a failure (`meta/v1 StatusDetails`).
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(default, rename_all = "camelCase")]
pub struct StatusDetails {
    /// The object's name; empty if the status does not concern a single object.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The API group.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The kind or, in most responses, the plural resource name.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The object's uid.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The individual causes, such as the fields that failed validation.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<StatusCause>,
    /// Seconds to wait before a retry, 0 if the server requests no delay; see [`Status::retry_after`].
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

/// One cause of a failure.
#[derive(Serialize, Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(default)]
pub struct StatusCause {
    /// A machine-readable reason.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// A human-readable description.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The path of the field that caused the failure, such as `spec.containers[0].image`.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// Values of [`Status::reason`] (`meta/v1 StatusReason`).
pub mod reason {
    /// The server set no reason.
    pub const UNKNOWN: &str = "";
    /// 401: credentials are missing or not valid.
    pub const UNAUTHORIZED: &str = "Unauthorized";
    /// 403: the user is not authorized for this request.
    pub const FORBIDDEN: &str = "Forbidden";
    /// 404: the object or resource does not exist.
    pub const NOT_FOUND: &str = "NotFound";
    /// 409: an object with the same name exists.
    pub const ALREADY_EXISTS: &str = "AlreadyExists";
    /// 409: the write conflicts with another write, for example because the resource version in the request is outdated.
    pub const CONFLICT: &str = "Conflict";
    /// 410: the object is no longer available.
    pub const GONE: &str = "Gone";
    /// 422: the object failed validation.
    pub const INVALID: &str = "Invalid";
    /// 500: the server could not finish in time; a retry may work.
    pub const SERVER_TIMEOUT: &str = "ServerTimeout";
    /// 500: an object in storage cannot be read.
    pub const STORAGE_READ_ERROR: &str = "StorageReadError";
    /// 504: the request exceeded its timeout.
    pub const TIMEOUT: &str = "Timeout";
    /// 429: the request exceeds a rate limit, or an eviction exceeds a disruption budget.
    pub const TOO_MANY_REQUESTS: &str = "TooManyRequests";
    /// 400: the request is malformed.
    pub const BAD_REQUEST: &str = "BadRequest";
    /// 405: the resource does not support the verb.
    pub const METHOD_NOT_ALLOWED: &str = "MethodNotAllowed";
    /// 406: none of the accepted content types is available.
    pub const NOT_ACCEPTABLE: &str = "NotAcceptable";
    /// 413: the body is too large.
    pub const REQUEST_ENTITY_TOO_LARGE: &str = "RequestEntityTooLarge";
    /// 415: the server does not support the content type.
    pub const UNSUPPORTED_MEDIA_TYPE: &str = "UnsupportedMediaType";
    /// 500: an internal error of the server.
    pub const INTERNAL_ERROR: &str = "InternalError";
    /// 410: the resource version or continue token is too old.
    pub const EXPIRED: &str = "Expired";
    /// 503: the server is temporarily unavailable.
    pub const SERVICE_UNAVAILABLE: &str = "ServiceUnavailable";

    /// A command in a container ended with an exit code other than 0: see
    /// [`Status::exit_code`](super::Status::exit_code).
    pub const NON_ZERO_EXIT_CODE: &str = "NonZeroExitCode";

    /// The reason for an HTTP status code, for responses without a `Status` body.
    pub fn from_code(code: u16) -> &'static str {
        match code {
            400 => BAD_REQUEST,
            401 => UNAUTHORIZED,
            403 => FORBIDDEN,
            404 => NOT_FOUND,
            405 => METHOD_NOT_ALLOWED,
            406 => NOT_ACCEPTABLE,
            409 => CONFLICT,
            410 => GONE,
            413 => REQUEST_ENTITY_TOO_LARGE,
            415 => UNSUPPORTED_MEDIA_TYPE,
            422 => INVALID,
            429 => TOO_MANY_REQUESTS,
            500 => INTERNAL_ERROR,
            503 => SERVICE_UNAVAILABLE,
            504 => TIMEOUT,
            _ => UNKNOWN,
        }
    }

    /// Whether `reason` is one of the constants of this module, except [`UNKNOWN`].
    pub fn is_known(reason: &str) -> bool {
        matches!(
            reason,
            UNAUTHORIZED
                | FORBIDDEN
                | NOT_FOUND
                | ALREADY_EXISTS
                | CONFLICT
                | GONE
                | INVALID
                | SERVER_TIMEOUT
                | STORAGE_READ_ERROR
                | TIMEOUT
                | TOO_MANY_REQUESTS
                | BAD_REQUEST
                | METHOD_NOT_ALLOWED
                | NOT_ACCEPTABLE
                | REQUEST_ENTITY_TOO_LARGE
                | UNSUPPORTED_MEDIA_TYPE
                | INTERNAL_ERROR
                | EXPIRED
                | SERVICE_UNAVAILABLE
                | NON_ZERO_EXIT_CODE
        )
    }
}

fn is_zero<T: PartialEq + Default>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_missing_pod_decodes() {
        let text = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
            "message":"pods \"web\" not found","reason":"NotFound","details":{"name":"web","kind":"pods"},"code":404}"#;
        let status: Status = serde_json::from_str(text).unwrap();
        assert!(status.is_not_found() && status.is_failure() && !status.is_conflict());
        assert_eq!(status.details.unwrap().name, "web");
    }

    #[test]
    fn the_code_matters_only_if_the_reason_is_empty_or_unknown() {
        let exists = Status::failure("", reason::ALREADY_EXISTS).with_code(409);
        assert!(exists.is_already_exists() && !exists.is_conflict());
        assert!(Status::failure("", "Odd").with_code(409).is_conflict());
        assert!(Status::failure("", "").with_code(410).is_gone());
        assert!(Status::failure("", reason::EXPIRED).is_gone());
    }

    #[test]
    fn retry_after_returns_the_requested_delay() {
        let text =
            r#"{"reason":"TooManyRequests","code":429,"details":{"retryAfterSeconds":7,"causes":null}}"#;
        let status: Status = serde_json::from_str(text).unwrap();
        assert_eq!(status.retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(Status::success().retry_after(), None);
    }

    #[test]
    fn exit_code_is_read_from_the_causes() {
        let failed = |reason: &str, causes: &str| {
            let text = format!(
                r#"{{"status":"Failure","reason":"{reason}","message":"m","details":{{"causes":{causes}}}}}"#
            );
            serde_json::from_str::<Status>(&text).unwrap().exit_code()
        };
        let cause = r#"[{"reason":"Other","message":"1"},{"reason":"ExitCode","message":"137"}]"#;
        assert_eq!(failed("NonZeroExitCode", cause), Some(137));
        assert_eq!(failed("InternalError", cause), None);
        assert_eq!(failed("NonZeroExitCode", r#"[{"reason":"ExitCode","message":"x"}]"#), None);
        assert_eq!(failed("NonZeroExitCode", "null"), None);
    }

    #[test]
    fn a_too_large_resource_version_is_recognised() {
        let cause = StatusCause { reason: "ResourceVersionTooLarge".into(), ..StatusCause::default() };
        let details = StatusDetails { causes: vec![cause], ..StatusDetails::default() };
        assert!(Status::failure("", reason::TIMEOUT).with_details(details).is_resource_version_too_large());
        assert!(!Status::failure("slow", reason::TIMEOUT).is_resource_version_too_large());
    }
}
