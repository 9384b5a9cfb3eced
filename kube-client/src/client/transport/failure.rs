//! Converts errors of connections into [`Error`].
//!
//! hyper wraps the errors of the byte stream; `classify` finds them in the chain of sources.

use http::{Method, Uri};
use std::{error::Error as StdError, fmt, io, sync::Arc, time::Duration};

use super::dial::Connector;
use crate::error::{BoxError, Error, TransportKind, Wait};

/// The error of opening a connection. Each request that waits for the connection receives a clone.
#[derive(Clone, Debug)]
pub(crate) struct ConnectFailure {
    cause: Cause,
    what: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The cause of a failed connection: an error, or an elapsed timeout.
#[derive(Clone, Copy, Debug)]
enum Cause {
    Failed(TransportKind),
    Timeout(Wait, Duration),
}

impl ConnectFailure {
    pub(super) fn new(kind: TransportKind, what: String, source: impl Into<BoxError>) -> Self {
        let source: BoxError = source.into();
        Self { cause: Cause::Failed(kind), what, source: Some(source.into()) }
    }

    /// The failure to start HTTP on a new connection.
    pub(super) fn broken(target: &Uri, source: impl Into<BoxError>) -> Self {
        let host = target.authority().map_or("", |authority| authority.as_str());
        Self::new(TransportKind::Broken, format!("the connection to {host} broke at its start"), source)
    }

    pub(super) fn timeout(wait: Wait, after: Duration, what: String) -> Self {
        Self { cause: Cause::Timeout(wait, after), what, source: None }
    }

    /// The error of a request that waited for the connection.
    fn into_error(self, method: &Method, uri: &Uri) -> Error {
        let (what, path) = (self.what, uri.path());
        match self.cause {
            Cause::Failed(kind) => {
                let source = self.source.map(|source| match source.downcast_ref::<io::Error>() {
                    // Keep an `io::Error`: callers may search the sources for this type.
                    Some(error) if error.get_ref().is_none() => copy_io_error(error).into(),
                    _ => Box::new(source) as BoxError,
                });
                Error::Transport { kind, what: format!("{what} ({method} {path})"), source }
            }
            Cause::Timeout(wait, after) => {
                Error::Timeout { wait, after, what: format!("{what}, for {method} {path}") }
            }
        }
    }
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl StdError for ConnectFailure {}

/// Copies an I/O error, because `io::Error` is not `Clone`. The copy has the OS error code of `error`, or
/// else the kind and the text of `error`.
pub(super) fn copy_io_error(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// The lookup of a host name failed.
#[derive(Debug)]
pub(super) struct ResolveFailure(pub(super) io::Error);

impl fmt::Display for ResolveFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for ResolveFailure {}

/// A write made no progress for this duration.
#[derive(Debug)]
pub(super) struct WriteStalled(pub(super) Duration);

impl fmt::Display for WriteStalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the connection accepted no more data for {:?}", self.0)
    }
}

impl StdError for WriteStalled {}

/// The first error of type `T` in a chain of sources, including the errors that an [`io::Error`] wraps.
pub(super) fn find_source<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // `io::Error::source` skips the wrapped error and returns the source of that error.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    None
}

/// Converts an error from sending the body of a request: an error of the body's stream, or a stalled write. Returns
/// other errors unchanged.
pub(super) fn classify_upload(error: BoxError, method: &Method, uri: &Uri) -> Result<Error, BoxError> {
    // An error of this crate in the chain of sources comes from the stream of the request's body.
    if find_source::<Error>(&*error).is_some() {
        let what = format!("the body of {method} {} failed", uri.path());
        return Ok(Error::Request { what, source: Some(error) });
    }
    match find_source::<WriteStalled>(&*error) {
        Some(stalled) => {
            let host = uri.authority().map_or("", |authority| authority.as_str());
            let what = format!("{method} {host}{}", uri.path());
            Ok(Error::Timeout { wait: Wait::Write, after: stalled.0, what })
        }
        None => Err(error),
    }
}

/// Converts an error from sending a request.
pub(super) fn classify(error: BoxError, method: &Method, uri: &Uri, connector: &Connector) -> Error {
    let error = match error.downcast::<ConnectFailure>() {
        Ok(failure) => return failure.into_error(method, uri),
        Err(error) => error,
    };
    let error = match classify_upload(error, method, uri) {
        Ok(error) => return error,
        Err(error) => error,
    };
    let host = uri.authority().map_or("", |authority| authority.as_str());
    // With TLS 1.3, the client finishes the handshake before the server verifies the client's certificate. A TLS
    // alert may therefore arrive instead of the response.
    if let Some(tls) = find_source::<rustls::Error>(&*error) {
        let what =
            format!("no TLS connection to {host}: {} ({method} {})", connector.explain(tls), uri.path());
        return Error::Transport { kind: TransportKind::Tls, what, source: Some(tls.clone().into()) };
    }
    let what = format!("the connection to {host} broke during {method} {}", uri.path());
    Error::Transport { kind: TransportKind::Broken, what, source: Some(error) }
}
