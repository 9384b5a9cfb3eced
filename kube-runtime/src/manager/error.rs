//! `Error`: the failure of a manager.

use crate::informer::InformerEnd;
use crate::serving::CertificateError;
use std::io;

/// The reason that a [`Manager`](crate::Manager) could not start, ended without a request to shut down, or could not
/// release its lease.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server cannot listen on an address.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address that the program requested, or the default address.
        address: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The certificate of the server cannot be used.
    #[error("cannot serve with TLS")]
    Certificate(#[source] CertificateError),
    /// A webhook server cannot start.
    #[cfg(feature = "webhook")]
    #[error("cannot start the webhook server")]
    Webhooks {
        /// The error of the webhook server.
        source: crate::webhook::Error,
    },
    /// Another recorder of metrics is installed. Use [`Manager::render_metrics`](crate::Manager::render_metrics).
    #[error(
        "cannot serve metrics: the program has installed another recorder; use `Manager::render_metrics`"
    )]
    Recorder,
    /// The leadership was lost. Restart the process, as other programs with a leader election do.
    #[error("the leadership for the lease {lease} was lost")]
    LeadershipLost {
        /// The name of the lease.
        lease: String,
    },
    /// A controller ended, for instance because its sources ended, one of its gates was dropped, or its task panicked.
    /// The log contains the reason, except for a panic, which the panic hook of the program reports.
    #[error("the controller {name} ended")]
    ControllerEnded {
        /// The name of the controller.
        name: String,
    },
    /// The watch of a shared informer ended, so that its store does not change any more.
    #[error("the watch of the shared informer {name} ended: {reason}")]
    InformerEnded {
        /// The path of the collection of the informer.
        name: String,
        /// The reason that the watch ended.
        reason: InformerEnd,
    },
    /// The lease could not be released; it expires after its duration.
    #[error("cannot release the lease {lease}")]
    Release {
        /// The name of the lease.
        lease: String,
        /// The error of the release.
        source: kube_client::Error,
    },
}
