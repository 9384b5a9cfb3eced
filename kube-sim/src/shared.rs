//! What the parts of a simulation share: its state under one lock, its settings, the journal and the faults.
//!
//! Requests are answered, and watches fed, by the modules above; nothing here knows them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::fault::Faults;
use crate::journal::Journal;
use crate::store::State;

/// How a simulation answers a watch that asks for the initial state (`sendInitialEvents`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatchList {
    /// It sends the state, and then the bookmark that marks its end.
    #[default]
    Offered,
    /// It refuses with 422, as a server does whose feature gate is off.
    Refused,
    /// It ignores the parameter and never sends the marked bookmark, as a server does that does not know it.
    Ignored,
}

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) watch_list: WatchList,
    pub(crate) bookmark_interval: Duration,
}

/// What all handles of a simulation share.
#[derive(Debug)]
pub(crate) struct Inner {
    state: Mutex<State>,
    pub(crate) settings: Settings,
    pub(crate) journal: Journal,
    pub(crate) faults: Faults,
}

impl Inner {
    pub(crate) fn new(state: State, settings: Settings) -> Self {
        Self { state: Mutex::new(state), settings, journal: Journal::default(), faults: Faults::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock is a defect of this crate; the state itself stays readable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
