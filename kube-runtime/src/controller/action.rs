//! `Action`: when an object is reconciled again.

use std::{sync::Arc, time::Duration};

/// The result of a reconcile: when the object is requeued if it does not change before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    pub(super) next: Next,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Change,
    After(Duration),
    Backoff,
}

impl Action {
    /// Requeues the object after `duration`. An earlier change reconciles it immediately.
    pub const fn requeue(duration: Duration) -> Self {
        Self { next: Next::After(duration) }
    }

    /// Does not requeue the object: the next change reconciles it.
    pub const fn await_change() -> Self {
        Self { next: Next::Change }
    }

    /// Requeues the object with the rate limit of [`Config::failure_backoff`](super::Config::failure_backoff): the wait
    /// doubles with each consecutive use. A change reconciles it immediately. Any other action resets the wait.
    pub const fn requeue_with_backoff() -> Self {
        Self { next: Next::Backoff }
    }
}

/// An error policy that requeues the object with a wait that increases with each consecutive failure.
///
/// Pass it to [`Controller::run`](super::Controller::run).
pub fn backoff_on_error<K, E, Ctx>(_object: Arc<K>, _error: &E, _context: Arc<Ctx>) -> Action {
    Action::requeue_with_backoff()
}
