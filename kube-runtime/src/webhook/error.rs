//! `Error`: the reason why a webhook server cannot start.

use super::CertificateError;
use std::io;

/// The reason why a [`Server`](super::Server) cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The certificate or its key cannot be used, or TLS cannot be configured.
    #[error("load the certificate of the webhook server")]
    Certificate(#[from] CertificateError),
    /// The server cannot listen on an address.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address that the program requested, or the default address. After a successful bind, the
        /// address of the listener.
        address: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A path does not begin with `/`, has a query or a fragment, or has two webhooks.
    #[error("the path {path:?} of a webhook {problem}")]
    Path {
        /// The path that the program set for the webhook.
        path: String,
        /// The problem of the path. The text of the error ends with this problem.
        problem: &'static str,
    },
}
