//! `RequestLine`: the method and URI of a request, for error texts.

use http::{Method, Uri};
use std::fmt;

/// The method and URI of a request. `Display` shows only the method and the path.
#[derive(Clone, Debug)]
pub(super) struct RequestLine {
    pub(super) method: Method,
    pub(super) uri: Uri,
}

impl RequestLine {
    /// Copies the method and URI of a request.
    pub(super) fn of<B>(request: &http::Request<B>) -> Self {
        Self { method: request.method().clone(), uri: request.uri().clone() }
    }
}

impl fmt::Display for RequestLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.uri.path())
    }
}
