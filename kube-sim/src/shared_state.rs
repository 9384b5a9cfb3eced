//! The shared state of a simulation, such as the storage under one lock, the settings, the clock, the random number
//! generator, the journal and the faults.
//!
//! This module must not depend on the handlers or the watches.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{Clock, Random};
use crate::containers::Handlers;
use crate::counters::RequestCounters;
use crate::fault::Faults;
use crate::journal::Journal;
use crate::service_range::ServiceRange;
use crate::status::SimError;
use crate::store::State;
use crate::usage::Usages;

/// The handling of a watch that requests the initial list (`sendInitialEvents`, KEP-3157).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatchList {
    /// Sends the initial list, then the bookmark that marks its end.
    #[default]
    Offered,
    /// Returns 422, as a server does if its feature gate `WatchList` is disabled.
    Refused,
    /// Ignores `sendInitialEvents` and never sends the bookmark, like a server that does not know this parameter.
    Ignored,
}

/// The settings that the handling of requests needs.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) watch_list: WatchList,
    pub(crate) bookmark_interval: Duration,
    pub(crate) handlers: Handlers,
    pub(crate) services: Vec<ServiceAddress>,
    /// The range of the cluster IPs of services.
    pub(crate) service_range: ServiceRange,
    /// The seed for the random numbers of the server and the fault rules.
    pub(crate) seed: u64,
    /// Whether role-based access control (RBAC) authorizes requests.
    pub(crate) rbac: bool,
    /// The maximum size of a body in the journal in bytes; `None` if the journal records no bodies.
    pub(crate) body_limit: Option<usize>,
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
    usages: Mutex<Usages>,
    pub(crate) clock: Clock,
    pub(crate) settings: Settings,
    pub(crate) journal: Journal,
    pub(crate) counters: RequestCounters,
    pub(crate) faults: Faults,
    /// The number of calls of [`Self::restart`]. Each call restarts all API servers and ends all connections.
    restarts: watch::Sender<u64>,
}

impl Inner {
    pub(crate) fn new(state: State, settings: Settings) -> Self {
        let clock = state.clock.clone();
        Self {
            state: Mutex::new(state),
            random: Mutex::new(Random::seeded(settings.seed)),
            usages: Mutex::default(),
            journal: Journal::new(settings.body_limit),
            counters: RequestCounters::default(),
            faults: Faults::new(settings.seed, clock.clone()),
            restarts: watch::Sender::new(0),
            clock,
            settings,
        }
    }

    /// Locks the storage.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Only a bug in this crate causes a panic under this lock. The poisoning is ignored, so that the state remains
        // readable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the usages that a test has set. A caller may hold the lock of the state when it calls this method.
    pub(crate) fn lock_usages(&self) -> MutexGuard<'_, Usages> {
        self.usages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Restarts all API servers: ends all watches and connections, and removes past changes from the watch caches.
    pub(crate) fn restart(&self) {
        self.lock().restart_servers();
        self.restarts.send_modify(|restarts| *restarts += 1);
    }

    /// A receiver that is notified of each restart.
    pub(crate) fn subscribe_to_restarts(&self) -> watch::Receiver<u64> {
        self.restarts.subscribe()
    }

    /// Undoes the latest changes of the store. `changes` is the number of changes to undo.
    ///
    /// # Errors
    /// 400 when the history no longer contains these changes.
    pub(crate) fn rewind(&self, changes: u64) -> Result<(), SimError> {
        let mut state = self.lock();
        let version = state.version().saturating_sub(changes).max(1);
        state.rewind(version).map_err(|compacted| {
            SimError::bad_request(format!(
                "cannot undo the changes after resource version {version}: the history begins at resource version {}",
                compacted.oldest
            ))
        })
    }

    /// Locks the random number generator. A caller may hold the lock of the state when it calls this method, but must
    /// not lock the state while it holds this lock.
    pub(crate) fn lock_random(&self) -> MutexGuard<'_, Random> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
