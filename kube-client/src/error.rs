//! The crate's one error type: few variants, predicates, own level only in `Display`.
//!
//! Owns how a failure of a request is described and classified. It must not know an HTTP library, a TLS library or a
//! runtime: their errors appear only behind [`source`](std::error::Error::source).

use std::{fmt, time::Duration};

use crate::core::{Status, UndecodableObject};

/// Any error that can cross a thread, as layers and transports hand it on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The result of whatever speaks to a server.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request, or the making of a client, failed.
///
/// `Display` says what was being done and to what, and never repeats its cause: print the chain of
/// [`source`](std::error::Error::source)s for that (`{:#}` of `anyhow` does). Decide by the predicates rather than by the
/// variants where you can: they look at the server's reasons and hold for every way in which a failure can arrive.
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
    /// The server refused the request and said why.
    #[error("{0}")]
    Api(Box<Status>),

    /// The configuration cannot be found, read or used; nothing was sent.
    #[error("cannot use the client configuration")]
    Config(#[source] BoxError),

    /// Credentials could not be obtained or are not usable; nothing was sent.
    #[error("cannot authenticate: {what}")]
    Auth {
        /// What was being done, and with which file or command.
        what: String,
        /// Why it failed.
        source: Option<BoxError>,
    },

    /// The request is not one that can be sent, or not one that the server offers.
    #[error("invalid request: {what}")]
    Request {
        /// What is wrong with it.
        what: String,
        /// Why.
        source: Option<BoxError>,
    },

    /// The server could not be reached, or the connection broke.
    #[error("{what}")]
    Transport {
        /// What stage the connection was in.
        kind: TransportKind,
        /// What was being done, to which address, and where it helps what to do about it.
        what: String,
        /// What the transport said.
        source: Option<BoxError>,
    },

    /// A wait took longer than its limit.
    #[error("timed out after {after:?} {wait} ({what}){}", wait.advice())]
    Timeout {
        /// What was waited for.
        wait: Wait,
        /// The limit that passed.
        after: Duration,
        /// The address, or the method and path of the request.
        what: String,
    },

    /// A body or an object is not what it should be.
    #[error("cannot decode {what}")]
    Decode {
        /// The object or the request that it belongs to, such as `Pod default/web-1`.
        what: String,
        /// Why.
        source: BoxError,
    },

    /// One object of a list or a watch is not what it should be; the others are not affected.
    #[error(transparent)]
    Object(Box<UndecodableObject>),
}

/// The stage at which a connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportKind {
    /// The host name has no address.
    Resolve,
    /// No TCP connection: refused, unreachable, no route.
    Connect,
    /// The proxy refused to pass the connection on.
    Proxy,
    /// The TLS handshake failed: a certificate is not accepted by one of the two sides, or the peer speaks no TLS.
    Tls,
    /// An established connection broke while a request or its answer was under way.
    Broken,
    /// Whatever else a custom transport reports.
    Other,
}

/// What a [`Timeout`](Error::Timeout) waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wait {
    /// Name lookup and TCP connection (`Config::connect_timeout`).
    Connect,
    /// The TLS handshake (`Config::tls_timeout`).
    TlsHandshake,
    /// The head of the response (`Config::response_timeout`).
    Response,
    /// The next piece of a response body (`Config::read_timeout`).
    Body,
    /// A write to the connection to make progress (`Config::write_timeout`).
    Write,
    /// Credentials from a plugin or a file.
    Credentials,
}

impl Wait {
    /// What to do about it, where that is known.
    fn advice(self) -> &'static str {
        match self {
            Self::Connect => ": check the address, and that the network lets connections pass",
            Self::TlsHandshake => ": check that it is an API server that listens there, and not overloaded",
            Self::Response | Self::Body | Self::Write | Self::Credentials => "",
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
        })
    }
}

impl Error {
    /// The server's own description of the failure, where it sent one.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Api(status) => Some(status),
            _ => None,
        }
    }

    /// The object that does not decode, if that is what went wrong.
    pub fn undecodable(&self) -> Option<&UndecodableObject> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The object, or the resource itself, does not exist (404).
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(Status::is_not_found)
    }

    /// The write was based on an outdated version of the object (409): read it again and retry.
    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(Status::is_conflict)
    }

    /// An object of that name exists already (409).
    pub fn is_already_exists(&self) -> bool {
        self.status().is_some_and(Status::is_already_exists)
    }

    /// The resource version or continue token is too old (410): list again.
    pub fn is_gone(&self) -> bool {
        self.status().is_some_and(Status::is_gone)
    }

    /// The same as [`is_gone`](Self::is_gone), under client-go's name for it.
    pub fn is_expired(&self) -> bool {
        self.is_gone()
    }

    /// The caller may not do this (403).
    pub fn is_forbidden(&self) -> bool {
        self.status().is_some_and(Status::is_forbidden)
    }

    /// The server does not accept the credentials (401).
    pub fn is_unauthorized(&self) -> bool {
        self.status().is_some_and(Status::is_unauthorized)
    }

    /// The object failed validation (422).
    pub fn is_invalid(&self) -> bool {
        self.status().is_some_and(Status::is_invalid)
    }

    /// The server asks for fewer requests (429).
    pub fn is_too_many_requests(&self) -> bool {
        self.status().is_some_and(Status::is_too_many_requests)
    }

    /// A time limit passed: one of the client's, or the server's own.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. }) || self.status().is_some_and(Status::is_timeout)
    }

    /// The same request may succeed a little later, without anyone changing anything.
    ///
    /// This says nothing about whether the failed try had an effect: a write that timed out or whose connection broke
    /// may have been carried out. A conflict is not retryable in this sense, since the object must be read again first.
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
            Self::Config(_)
            | Self::Auth { .. }
            | Self::Request { .. }
            | Self::Decode { .. }
            | Self::Object(_) => false,
        }
    }

    /// How long the server asks the caller to wait before the next try.
    pub fn retry_after(&self) -> Option<Duration> {
        self.status().and_then(Status::retry_after)
    }
}

#[cfg(feature = "client")]
impl Error {
    /// A configuration that cannot be used.
    pub(crate) fn config(source: impl Into<BoxError>) -> Self {
        Self::Config(source.into())
    }

    /// Turns what a tower service reports into an error, unwrapping the crate's own.
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

    fn api(code: u16, why: &str) -> Error {
        Error::Api(Status::failure("no", why).with_code(code).boxed())
    }

    #[test]
    fn stays_small() {
        assert!(size_of::<Error>() <= 64, "{}", size_of::<Error>());
    }

    #[test]
    fn predicates_follow_the_status() {
        assert!(api(404, reason::NOT_FOUND).is_not_found());
        assert!(api(409, reason::CONFLICT).is_conflict() && !api(409, reason::CONFLICT).is_already_exists());
        assert!(api(409, reason::ALREADY_EXISTS).is_already_exists());
        assert!(api(410, reason::EXPIRED).is_gone() && api(410, "").is_expired());
        assert!(api(401, "").is_unauthorized() && api(403, "").is_forbidden() && api(422, "").is_invalid());
        assert!(api(504, "").is_timeout() && api(429, "").is_too_many_requests());
        for (code, retryable) in
            [(400, false), (404, false), (409, false), (429, true), (500, true), (503, true)]
        {
            assert_eq!(api(code, "").is_retryable(), retryable, "{code}");
        }
    }

    #[test]
    fn a_timeout_says_what_it_waited_for_and_how_long() {
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
    fn display_does_not_repeat_the_source() {
        let source = std::io::Error::other("the cause");
        let error = Error::Decode { what: "Pod default/web-1".into(), source: source.into() };
        assert_eq!(error.to_string(), "cannot decode Pod default/web-1");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("the cause"));
    }

    #[cfg(feature = "client")]
    #[test]
    fn its_own_errors_come_back_out_of_a_box() {
        assert!(Error::from_box(Box::new(api(404, ""))).is_not_found());
        let foreign = Error::from_box("odd".into());
        assert!(matches!(foreign, Error::Transport { kind: TransportKind::Other, .. }));
    }
}
