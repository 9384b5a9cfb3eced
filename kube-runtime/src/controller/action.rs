//! `Action`: the time of the next reconcile of an object.

use std::{sync::Arc, time::Duration};

/// The result of a reconcile: the time at which the controller reconciles the object again. An earlier change of the
/// object also triggers a reconcile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    pub(super) next: NextReconcile,
}

/// The time of the next reconcile of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextReconcile {
    /// The next reconcile starts at the next change of the object.
    Change,
    /// The next reconcile starts after this wait, or at the next change of the object if the change is earlier.
    After(Duration),
    /// The next reconcile starts after the delay that the rate limiter returns, or at the next change of the object if
    /// the change is earlier.
    Backoff,
}

impl Action {
    /// Requeues the object after `duration`. An earlier change of the object triggers a reconcile without this wait.
    pub const fn requeue(duration: Duration) -> Self {
        Self { next: NextReconcile::After(duration) }
    }

    /// Does not requeue the object. The controller reconciles the object at its next change.
    pub const fn await_change() -> Self {
        Self { next: NextReconcile::Change }
    }

    /// Requeues the object after the delay that the controller's [`RateLimiter`](super::RateLimiter) returns. By default
    /// the delay doubles with each consecutive use of this action, within the limits of
    /// [`Config::failure_backoff`](super::Config::failure_backoff). An earlier change of the object triggers a
    /// reconcile without this delay. Any other action resets the delay.
    pub const fn requeue_with_backoff() -> Self {
        Self { next: NextReconcile::Backoff }
    }
}

/// An error policy that requeues the object with backoff: the wait increases with each consecutive failure. If the first
/// failure is a conflict, the object is requeued at once. After a [`TerminalError`](super::TerminalError), the object is not
/// requeued.
///
/// Pass this function to [`Controller::run`](super::Controller::run).
pub fn backoff_on_error<K, E, Ctx>(_object: Arc<K>, _error: &E, _context: Arc<Ctx>) -> Action {
    Action::requeue_with_backoff()
}
