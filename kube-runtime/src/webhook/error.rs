//! `Error`: the reason that a webhook server cannot start.

use super::CertificateError;
use std::io;

/// The reason that a [`Server`](super::Server) cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The certificate or its key cannot be used.
    #[error("load the certificate of the webhook server")]
    Certificate(#[from] CertificateError),
    /// The server cannot listen on an address.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: String,
        /// The cause.
        source: io::Error,
    },
    /// A path does not begin with `/`, has a query or a fragment, or has two webhooks.
    #[error("the path {path:?} of a webhook {problem}")]
    Path {
        /// The path.
        path: String,
        /// The problem.
        problem: &'static str,
    },
}
