//! What a failed connection means, and how to say it.
//!
//! Errors of the stream travel inside of those of the HTTP library, and come out here.

use http::{Method, Uri};
use std::{error::Error as StdError, fmt, io, time::Duration};

use super::connector::Connector;
use crate::error::{BoxError, Error, TransportKind, Wait};

/// Why a connection was not made.
#[derive(Debug)]
pub(crate) struct ConnectFailure {
    stage: Stage,
    what: String,
    source: Option<BoxError>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Failed(TransportKind),
    Late(Wait, Duration),
}

impl ConnectFailure {
    pub(super) fn failed(kind: TransportKind, what: String, source: impl Into<BoxError>) -> Self {
        Self { stage: Stage::Failed(kind), what, source: Some(source.into()) }
    }

    pub(super) fn late(wait: Wait, after: Duration, what: String) -> Self {
        Self { stage: Stage::Late(wait, after), what, source: None }
    }

    fn into_error(self) -> Error {
        match self.stage {
            Stage::Failed(kind) => Error::Transport { kind, what: self.what, source: self.source },
            Stage::Late(wait, after) => Error::Timeout { wait, after, what: self.what },
        }
    }
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl StdError for ConnectFailure {}

/// A host name without an address.
#[derive(Debug)]
pub(super) struct ResolveFailure(pub(super) io::Error);

impl fmt::Display for ResolveFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for ResolveFailure {}

/// A connection that took no more bytes.
#[derive(Debug)]
pub(super) struct WriteStalled(pub(super) Duration);

impl fmt::Display for WriteStalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the connection took no more data for {:?}", self.0)
    }
}

impl StdError for WriteStalled {}

/// The first error of a type in a chain of causes, also inside an [`io::Error`].
pub(super) fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // An io::Error's source is that of the error inside it, so that the inside is looked at by itself.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    None
}

/// What an error about a request means.
pub(super) fn classify(error: BoxError, method: &Method, uri: &Uri, connector: &Connector) -> Error {
    let error = match error.downcast::<ConnectFailure>() {
        Ok(failure) => return failure.into_error(),
        Err(error) => error,
    };
    // The request's own body may fail, with an error of this crate.
    if find::<Error>(&*error).is_some() {
        return Error::Request {
            what: format!("the body of {method} {} failed", uri.path()),
            source: Some(error),
        };
    }
    let host = uri.authority().map_or("", |authority| authority.as_str());
    if let Some(stalled) = find::<WriteStalled>(&*error) {
        let what = format!("{method} {host}{}", uri.path());
        return Error::Timeout { wait: Wait::Write, after: stalled.0, what };
    }
    // With TLS 1.3 a server judges the client's certificate only after the client believes the handshake done.
    if let Some(tls) = find::<rustls::Error>(&*error) {
        let what = format!("no TLS connection to {host}: {}", connector.explain(tls));
        return Error::Transport { kind: TransportKind::Tls, what, source: Some(tls.clone().into()) };
    }
    let what = format!("the connection to {host} broke during {method} {}", uri.path());
    Error::Transport { kind: TransportKind::Broken, what, source: Some(error) }
}
