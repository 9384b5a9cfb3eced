//! `Action`: what a reconciler wants next.

use std::{sync::Arc, time::Duration};

/// When an object is to be reconciled again if nothing changes before.
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
    /// Again after a while, even if nothing changes. A change before that counts at once.
    pub const fn requeue(duration: Duration) -> Self {
        Self { next: Next::After(duration) }
    }

    /// Again when something changes.
    pub const fn await_change() -> Self {
        Self { next: Next::Change }
    }

    /// Again after a wait that doubles each time in a row, as [`Config::failure_backoff`](super::Config::failure_backoff) says;
    /// a change counts at once, as always. Any other action of a later reconcile ends the row.
    pub const fn requeue_with_backoff() -> Self {
        Self { next: Next::Backoff }
    }
}

/// An error policy: tries again after a wait that grows with each failure of the object.
///
/// Hand it to [`Controller::run`](super::Controller::run).
pub fn backoff_on_error<K, E, Ctx>(_object: Arc<K>, _error: &E, _context: Arc<Ctx>) -> Action {
    Action::requeue_with_backoff()
}
