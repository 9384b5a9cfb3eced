//! `Action`: the time of the next reconcile of an object.

use std::{sync::Arc, time::Duration};

/// The result of a reconcile. It sets when the controller reconciles the object again if the object does not change
/// earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    pub(super) next: Next,
}

/// The time of the next reconcile of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The next reconcile starts at the next change of the object.
    Change,
    /// The next reconcile starts after this wait, or at the next change of the object if that is earlier.
    After(Duration),
    /// The next reconcile starts after a backoff that doubles with each consecutive use, or at the next change of the
    /// object if that is earlier.
    Backoff,
}

impl Action {
    /// Requeues the object after `duration`. A change of the object before then triggers a reconcile without this wait.
    pub const fn requeue(duration: Duration) -> Self {
        Self { next: Next::After(duration) }
    }

    /// Does not requeue the object. The controller reconciles it at its next change.
    pub const fn await_change() -> Self {
        Self { next: Next::Change }
    }

    /// Requeues the object after the wait of the controller's [`RateLimiter`](super::RateLimiter). By default the wait
    /// doubles with each consecutive use of this action, within the limits of
    /// [`Config::failure_backoff`](super::Config::failure_backoff). A change of the object before then triggers a
    /// reconcile without this wait. Any other action resets the wait.
    pub const fn requeue_with_backoff() -> Self {
        Self { next: Next::Backoff }
    }
}

/// An error policy that requeues the object with a wait that increases with each consecutive failure. A first conflict
/// requeues the object at once, and a [`TerminalError`](super::TerminalError) not at all.
///
/// Pass it to [`Controller::run`](super::Controller::run).
pub fn backoff_on_error<K, E, Ctx>(_object: Arc<K>, _error: &E, _context: Arc<Ctx>) -> Action {
    Action::requeue_with_backoff()
}
