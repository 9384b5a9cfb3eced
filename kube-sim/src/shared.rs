//! The shared state of a simulation: the storage under one lock, the settings, the clock, the random number generator,
//! the journal and the faults.
//!
//! This module must not depend on the handlers or the watches.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Random};
use crate::containers::Handlers;
use crate::fault::Faults;
use crate::journal::Journal;
use crate::store::State;

/// How the server handles a watch that requests the initial list (`sendInitialEvents`, KEP-3157).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatchList {
    /// Sends the initial list, then the bookmark that marks its end.
    #[default]
    Offered,
    /// Returns 422, as a server with the WatchList feature gate disabled does.
    Refused,
    /// Ignores the parameter and never sends the bookmark, as a server that does not know the parameter does.
    Ignored,
}

/// The settings of a simulation that request handling needs.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) watch_list: WatchList,
    pub(crate) bookmark_interval: Duration,
    pub(crate) handlers: Handlers,
    pub(crate) services: Vec<ServiceAddress>,
}

/// The address of the server behind a service that webhooks refer to.
#[derive(Clone, Debug)]
pub(crate) struct ServiceAddress {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
}

/// The state that all handles of a simulation share.
#[derive(Debug)]
pub(crate) struct Inner {
    state: Mutex<State>,
    random: Mutex<Random>,
    pub(crate) clock: Clock,
    pub(crate) settings: Settings,
    pub(crate) journal: Journal,
    pub(crate) faults: Faults,
}

impl Inner {
    pub(crate) fn new(state: State, random: Random, settings: Settings) -> Self {
        Self {
            clock: state.clock,
            state: Mutex::new(state),
            random: Mutex::new(random),
            settings,
            journal: Journal::default(),
            faults: Faults::default(),
        }
    }

    /// Locks the storage.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Only a bug in this crate panics while it holds the lock. Ignoring the poisoned lock keeps the state
        // readable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the random number generator. A caller may hold the lock of the state when it calls this method, but must
    /// not lock the state while it holds this lock.
    pub(crate) fn random(&self) -> MutexGuard<'_, Random> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
