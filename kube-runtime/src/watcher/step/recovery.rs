//! `Recovery`: how a watcher recovers from a failed watch. The error or the status of the failure determines the recovery.
//! This module performs no IO.

use kube_client::core::Status;
use kube_client::{Error as ClientError, TransportKind};

/// The maximum number of consecutive resumptions after lost connections. After the next lost connection, the
/// watcher relists, because the resource version itself may cause the failures.
pub(super) const MAX_CONNECTION_FAILURES: u8 = 3;

/// The recovery of a watcher from a failed watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recovery {
    /// Resume from the same version: the server is unreachable or overloaded, and a list would fail or add load.
    Resume,
    /// Resume from the same version, because connections of healthy watches fail too. After
    /// [`MAX_CONNECTION_FAILURES`] consecutive resumptions, relist instead.
    ResumeLimited,
    /// Relist: the server cannot watch from the version, because the version expired (410) or is ahead of the server.
    Expired,
    /// Relist after any other failure, because the failure may recur for each watch from this version.
    Relist,
}

/// The recovery after a failed request or response of a watch.
pub(super) fn recovery_from_error(error: &ClientError) -> Recovery {
    match error {
        ClientError::Api(status) => recovery_from_status(status),
        ClientError::Transport { kind: TransportKind::Connect, .. } => Recovery::Resume,
        ClientError::Transport { .. } | ClientError::Timeout { .. } => Recovery::ResumeLimited,
        _ => Recovery::Relist,
    }
}

/// The recovery after the server reported this status.
pub(super) fn recovery_from_status(status: &Status) -> Recovery {
    if status.is_gone() || status.is_resource_version_too_large() {
        Recovery::Expired
    } else if status.is_too_many_requests() {
        Recovery::Resume
    } else {
        Recovery::Relist
    }
}
