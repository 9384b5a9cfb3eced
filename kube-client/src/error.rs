//! The crate's error type: few variants, and predicates that classify a failure.
//!
//! `Display` describes an error without its cause. This module must not depend on an HTTP library, a TLS library or a
//! runtime: the errors of such libraries appear only behind [`source`](std::error::Error::source).

use std::{fmt, sync::Arc, time::Duration};

use crate::core::{Status, UndecodableObject};

/// The error type of tower layers and custom transports.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A result whose error is, by default, the [`Error`] of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a request, or of the construction of a client.
///
/// `Display` names the operation and the object, and never repeats the cause: print the chain of
/// [`source`](std::error::Error::source)s for the cause (`{:#}` of `anyhow` does). Prefer the predicates to a match on
/// variants: the predicates evaluate the code and reason of the server's `Status`.
///
/// ```
/// use kube_client::{Error, core::{Status, reason}};
///
/// let error = Error::Api(Status::failure("pods \"web\" not found", reason::NOT_FOUND).with_code(404).boxed());
/// assert!(error.is_not_found() && !error.is_retryable());
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server sent an unsuccessful response, or the `Status` of a process that failed. If the body of the response is
    /// not a `Status`, the client generates a `Status`.
    #[error("{0}")]
    Api(Box<Status>),

    /// The client configuration cannot be found, read or used. No request was sent.
    #[error("cannot use the client configuration")]
    Config(#[source] BoxError),

    /// Credentials could not be obtained or are not usable. No request was sent.
    #[error("cannot authenticate: {what}")]
    Auth {
        /// The failed operation or the problem, with the file, command, setting or provider.
        what: String,
        /// The cause.
        source: Option<BoxError>,
    },

    /// The request is invalid, or the server does not support the request. Other causes of this variant: the body of the
    /// request cannot be read, a file copy failed, or a stream was aborted.
    #[error("invalid request: {what}")]
    Request {
        /// The problem.
        what: String,
        /// The cause.
        source: Option<BoxError>,
    },

    /// The server could not be reached, or the connection broke.
    #[error("{what}")]
    Transport {
        /// The stage at which the connection failed.
        kind: TransportKind,
        /// The failed operation, with the address or the request if they are known. For some failures, also advice.
        what: String,
        /// The error of the transport.
        source: Option<BoxError>,
    },

    /// A timeout of the client elapsed.
    #[error("timed out after {after:?} {wait} ({what}){}", wait.advice())]
    Timeout {
        /// The event that did not happen in time.
        wait: Wait,
        /// The duration of the timeout.
        after: Duration,
        /// An address, a request (its method and path), or the source of the credentials.
        what: String,
    },

    /// A response body, an object or a message of a stream does not decode, or exceeds a size limit.
    #[error("cannot decode {what}")]
    Decode {
        /// The data that does not decode or is too large, such as `the response to GET /api/v1/pods`.
        what: String,
        /// The error of the decoder.
        source: BoxError,
    },

    /// One object of a list or a watch does not decode. A `ListStream` or a watch continues with the next object; a method
    /// that returns a whole list fails.
    #[error(transparent)]
    Object(Box<UndecodableObject>),

    /// Discovery failed, or did not find a group, a version, a kind or a resource.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
}

/// An error of discovery. Group versions have the form of `apiVersion`: `apps/v1`, or `v1`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// The server sent a group version that cannot be parsed.
    #[error("the server lists an invalid group version: {0:?}")]
    InvalidGroupVersion(String),

    /// The server does not serve the kind.
    #[error("the server does not serve the kind {0}: check that its CustomResourceDefinition is installed")]
    MissingKind(String),

    /// The server does not serve the group.
    #[error("the server does not serve the API group {0:?}")]
    MissingApiGroup(String),

    /// The server does not serve a resource of this name.
    #[error("the server does not serve the resource {0:?}: check its name, group and version")]
    MissingResource(String),

    /// The server lists the group, but no version of it.
    #[error("the server lists no version of the API group {0:?}")]
    EmptyApiGroup(String),

    /// Aggregated discovery reports the group version as `Stale`: its aggregated API server is not available.
    #[error("the discovery of {0} is stale: the aggregated API server of its APIService is not available")]
    StaleGroupVersion(String),

    /// An entry of a discovery document is malformed, or lacks a required field.
    #[error("cannot use the discovery document of {document}: {what}")]
    InvalidDocument {
        /// The group version or the path of the document.
        document: String,
        /// The problem.
        what: String,
    },

    /// Discovery did not find the requested name. The name may belong to a group version whose discovery failed.
    #[error("cannot find {name:?}, and the discovery of {group_versions} failed")]
    Incomplete {
        /// The name that was requested.
        name: String,
        /// The group versions whose discovery failed, separated by `, `.
        group_versions: String,
        /// The error of the first of the `group_versions`.
        source: Arc<Error>,
    },

    /// A `RestMapper` could not discover the resources of the server. The predicates of
    /// [`Error`], such as `is_forbidden`, apply to the source.
    #[error("cannot discover the resources of the server")]
    Unavailable(#[source] Arc<Error>),
}

/// The stage at which a connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportKind {
    /// The host name does not resolve to an address.
    Resolve,
    /// The TCP connection failed: for example, the host refused it or is unreachable.
    Connect,
    /// The proxy refused the connection to the server, or the TLS handshake with the proxy failed.
    Proxy,
    /// The TLS handshake failed: the client or the server rejected a certificate, or the server does not speak TLS.
    Tls,
    /// An established connection broke, or the custom transport under the client's layers failed.
    Broken,
    /// Any other error of a custom transport or layer.
    Other,
}

/// The event that the client waited for when the timeout elapsed; see [`Error::Timeout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wait {
    /// The TCP connection, including the name lookup and the connection through a proxy (`Config::connect_timeout`).
    Connect,
    /// The TLS handshake (`Config::tls_timeout`).
    TlsHandshake,
    /// The head of the response (`Config::response_timeout`).
    Response,
    /// The next chunk of a response body (`Config::read_timeout`), or the end of a watch: the server must end the watch
    /// after the timeout in `WatchParams`.
    Body,
    /// Progress of a write to the connection (`Config::write_timeout`).
    Write,
    /// Credentials from a plugin, a file or an OpenID Connect provider.
    Credentials,
    /// The end of the whole request (`Config::request_timeout`).
    Request,
    /// The answer to a ping that the client sent over a WebSocket. The server has read all messages of the client, but
    /// sends nothing, not even this answer.
    Ping,
}

impl Wait {
    /// Advice for the error message, or an empty string.
    fn advice(self) -> &'static str {
        match self {
            Self::Connect => ": check the address, and that no firewall drops the connection",
            Self::TlsHandshake => {
                ": check that the address is that of an API server, and that the server is not overloaded"
            }
            Self::Response | Self::Body | Self::Write | Self::Credentials | Self::Request | Self::Ping => "",
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::TlsHandshake => "in the TLS handshake",
            Self::Response => "waiting for the response",
            Self::Body => "waiting for more of the response body",
            Self::Write => "writing the request",
            Self::Credentials => "waiting for credentials",
            Self::Request => "waiting for the end of the request",
            Self::Ping => "waiting for the answer to a ping",
        })
    }
}

impl Error {
    /// The `Status` of an unsuccessful response or of a failed process; `None` for other errors.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Api(status) => Some(status),
            Self::Discovery(DiscoveryError::Unavailable(source)) => source.status(),
            _ => None,
        }
    }

    /// The undecodable object of a list or a watch, if this is [`Object`](Self::Object).
    pub fn undecodable(&self) -> Option<&UndecodableObject> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Whether the object, or the resource itself, does not exist (404).
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(Status::is_not_found)
    }

    /// Whether the write conflicts with another write (409): for example, the request contains an outdated resource
    /// version. Read the object again before a retry.
    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(Status::is_conflict)
    }

    /// Whether an object with this name already exists (409).
    pub fn is_already_exists(&self) -> bool {
        self.status().is_some_and(Status::is_already_exists)
    }

    /// Whether the resource version or continue token has expired (410). If so, list again.
    pub fn is_gone(&self) -> bool {
        self.status().is_some_and(Status::is_gone)
    }

    /// The same as [`is_gone`](Self::is_gone), named after the reason `Expired` (apimachinery's
    /// `IsResourceExpired`).
    pub fn is_expired(&self) -> bool {
        self.is_gone()
    }

    /// Whether the user is not authorized for the request (403).
    pub fn is_forbidden(&self) -> bool {
        self.status().is_some_and(Status::is_forbidden)
    }

    /// Whether the server rejected the credentials (401).
    pub fn is_unauthorized(&self) -> bool {
        self.status().is_some_and(Status::is_unauthorized)
    }

    /// Whether the object failed validation (422).
    pub fn is_invalid(&self) -> bool {
        self.status().is_some_and(Status::is_invalid)
    }

    /// Whether the server rejected the request as malformed (400).
    pub fn is_bad_request(&self) -> bool {
        self.status().is_some_and(Status::is_bad_request)
    }

    /// Whether the server rejected the request because of a limit (429): a rate limit or, for an eviction, a disruption
    /// budget.
    pub fn is_too_many_requests(&self) -> bool {
        self.status().is_some_and(Status::is_too_many_requests)
    }

    /// Whether a timeout of the client or the server elapsed.
    pub fn is_timeout(&self) -> bool {
        let source = match self {
            Self::Discovery(DiscoveryError::Unavailable(source)) => source,
            own => own,
        };
        matches!(source, Self::Timeout { .. }) || self.status().is_some_and(Status::is_timeout)
    }

    /// The [`DiscoveryError`], if this is [`Discovery`](Self::Discovery).
    pub fn discovery(&self) -> Option<&DiscoveryError> {
        match self {
            Self::Discovery(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the same request may succeed later.
    ///
    /// The failed request may have taken effect: the server may have executed a write although the client reports a
    /// timeout or a broken connection. A conflict is not retryable: the caller must first read the object again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Api(status) => {
                status.is_too_many_requests()
                    || status.is_timeout()
                    || status.retry_after().is_some()
                    || matches!(status.code, 500 | 502 | 503 | 504)
            }
            Self::Timeout { .. } => true,
            Self::Transport { kind, .. } => !matches!(kind, TransportKind::Tls),
            Self::Discovery(error) => match error {
                DiscoveryError::Incomplete { .. } | DiscoveryError::StaleGroupVersion(_) => true,
                DiscoveryError::Unavailable(source) => source.is_retryable(),
                _ => false,
            },
            Self::Config(_)
            | Self::Auth { .. }
            | Self::Request { .. }
            | Self::Decode { .. }
            | Self::Object(_) => false,
        }
    }

    /// The delay that the server requests before a retry.
    pub fn retry_after(&self) -> Option<Duration> {
        self.status().and_then(Status::retry_after)
    }
}

#[cfg(feature = "client")]
impl Error {
    /// An error of the client configuration.
    pub(crate) fn config(source: impl Into<BoxError>) -> Self {
        Self::Config(source.into())
    }

    /// Converts the error of a tower service. If the box contains an [`Error`], returns that error unchanged.
    pub(crate) fn from_box(error: BoxError) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => *own,
            Err(error) => Self::Transport {
                kind: TransportKind::Other,
                what: "the request failed".to_owned(),
                source: Some(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::reason;
    use std::error::Error as _;

    fn api_error(code: u16, why: &str) -> Error {
        Error::Api(Status::failure("no", why).with_code(code).boxed())
    }

    #[test]
    fn an_error_has_at_most_64_bytes() {
        assert!(size_of::<Error>() <= 64, "{}", size_of::<Error>());
    }

    #[test]
    fn predicates_follow_the_code_and_reason_of_the_status() {
        assert!(api_error(404, reason::NOT_FOUND).is_not_found());
        assert!(
            api_error(409, reason::CONFLICT).is_conflict()
                && !api_error(409, reason::CONFLICT).is_already_exists()
        );
        assert!(api_error(409, reason::ALREADY_EXISTS).is_already_exists());
        assert!(api_error(410, reason::EXPIRED).is_gone() && api_error(410, "").is_expired());
        assert!(
            api_error(401, "").is_unauthorized()
                && api_error(403, "").is_forbidden()
                && api_error(422, "").is_invalid()
        );
        assert!(api_error(504, "").is_timeout() && api_error(429, "").is_too_many_requests());
        for (code, retryable) in
            [(400, false), (404, false), (409, false), (429, true), (500, true), (503, true)]
        {
            assert_eq!(api_error(code, "").is_retryable(), retryable, "{code}");
        }
    }

    #[test]
    fn a_timeout_names_its_operation_and_duration() {
        let error = Error::Timeout {
            wait: Wait::TlsHandshake,
            after: Duration::from_secs(10),
            what: "10.0.0.1:6443".into(),
        };
        assert!(
            error.to_string().starts_with("timed out after 10s in the TLS handshake (10.0.0.1:6443): check"),
            "{error}"
        );
        assert!(error.is_timeout() && error.is_retryable());
    }

    #[test]
    fn predicates_of_a_failed_discovery_apply_to_its_cause() {
        let unavailable = |error| Error::from(DiscoveryError::Unavailable(Arc::new(error)));
        assert!(
            unavailable(api_error(403, "")).is_forbidden() && !unavailable(api_error(403, "")).is_retryable()
        );
        assert!(unavailable(api_error(503, "")).is_retryable());
        let timeout =
            Error::Timeout { wait: Wait::Response, after: Duration::from_secs(1), what: "GET /api".into() };
        assert!(unavailable(timeout).is_timeout());
        assert!(!Error::from(DiscoveryError::MissingKind("v1 Foo".into())).is_retryable());
    }

    #[test]
    fn display_does_not_repeat_the_source() {
        let source = std::io::Error::other("the cause");
        let error = Error::Decode { what: "Pod default/web-1".into(), source: source.into() };
        assert_eq!(error.to_string(), "cannot decode Pod default/web-1");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("the cause"));
    }

    #[cfg(feature = "client")]
    #[test]
    fn from_box_unwraps_errors_of_this_crate() {
        assert!(Error::from_box(Box::new(api_error(404, ""))).is_not_found());
        let foreign = Error::from_box("odd".into());
        assert!(matches!(foreign, Error::Transport { kind: TransportKind::Other, .. }));
    }
}
