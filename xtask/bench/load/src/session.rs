//! `Session`: the state of one run of a contender. The first path segment of a request is the session's name. Watches
//! block at the session's gate until the contender requests the events or the expiry of the watches.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// The time limit for every wait. Without it, a failed contender would block a thread forever.
const WAIT_LIMIT: Duration = Duration::from_secs(300);

/// The state of a session's gate, which determines the next action of the session's watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// The watches wait.
    Closed,
    /// The watches send the prepared events.
    Events,
    /// The watches send `410 Expired`. Each later list request returns the relisted pods.
    Expired,
    /// The watches end, because the session is over.
    Over,
}

/// The state of one contender run.
#[derive(Debug)]
pub(crate) struct Session {
    state: Mutex<State>,
    changed: Condvar,
    /// Sends `true` at the end of the session, to the tasks of watches over TLS.
    over: watch::Sender<bool>,
}

/// The part of a session that its mutex protects.
#[derive(Debug)]
struct State {
    gate: Gate,
    /// The number of watches that block at the gate.
    waiting: usize,
    /// The time of the first list request after the expiry of the watches.
    relist: Option<Instant>,
    /// The sequence numbers of the TLS connections that have carried requests of the session.
    connections: HashSet<u64>,
}

impl Session {
    fn new() -> Self {
        Self {
            state: Mutex::new(State {
                gate: Gate::Closed,
                waiting: 0,
                relist: None,
                connections: HashSet::new(),
            }),
            changed: Condvar::new(),
            over: watch::Sender::new(false),
        }
    }

    /// Locks the state. Poisoning is ignored: every critical section leaves the state consistent.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the gate and wakes all waiters.
    pub(crate) fn set_gate(&self, gate: Gate) {
        self.state().gate = gate;
        self.changed.notify_all();
        self.over.send_replace(gate == Gate::Over);
    }

    /// A receiver whose value becomes `true` at the end of the session. An asynchronous task uses this receiver,
    /// because [`Self::wait_at_gate`] would block the thread of the task.
    pub(crate) fn end_receiver(&self) -> watch::Receiver<bool> {
        self.over.subscribe()
    }

    /// Records that the TLS connection with this number has carried a request of the session.
    pub(crate) fn record_connection(&self, connection: u64) {
        self.state().connections.insert(connection);
    }

    /// The number of TLS connections that have carried requests of the session.
    pub(crate) fn connection_count(&self) -> usize {
        self.state().connections.len()
    }

    /// Blocks a watch until the gate opens, and returns the gate's state. Returns [`Gate::Over`] after [`WAIT_LIMIT`].
    /// If `ignores_events` is true, only [`Gate::Over`] opens the gate. This is necessary for a watch of a kind other
    /// than pods, for a watch that starts after the initial list of pods, and for a watch that has sent the events.
    pub(crate) fn wait_at_gate(&self, ignores_events: bool) -> Gate {
        let mut state = self.state();
        state.waiting += 1;
        self.changed.notify_all();
        let held = |state: &mut State| {
            state.gate == Gate::Closed
                || (ignores_events && matches!(state.gate, Gate::Events | Gate::Expired))
        };
        let (mut state, waited) =
            self.changed.wait_timeout_while(state, WAIT_LIMIT, held).unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        if waited.timed_out() { Gate::Over } else { state.gate }
    }

    /// Blocks until at least `count` watches wait at the gate. Returns `false` if this takes longer than
    /// [`WAIT_LIMIT`].
    pub(crate) fn wait_for_watches(&self, count: usize) -> bool {
        let few = |state: &mut State| state.waiting < count;
        let (_state, waited) = self
            .changed
            .wait_timeout_while(self.state(), WAIT_LIMIT, few)
            .unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    /// Call this method for each list request for pods. Returns whether the watches have expired; after their expiry, the
    /// response has the relisted pods. Records the time of the first list request after the expiry.
    pub(crate) fn record_list_request(&self) -> bool {
        let mut state = self.state();
        let is_expired = state.gate == Gate::Expired;
        if is_expired {
            state.relist.get_or_insert_with(Instant::now);
        }
        is_expired
    }

    /// The time since the first list request after the expiry of the watches; `None` before that request.
    pub(crate) fn time_since_relist(&self) -> Option<Duration> {
        self.state().relist.map(|at| at.elapsed())
    }
}

#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_name: Mutex<HashMap<String, Arc<Session>>>,
}

impl Sessions {
    /// Returns the session with this name. The first request of a session creates the session.
    pub(crate) fn get(&self, name: &str) -> Arc<Session> {
        let mut sessions = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.entry(name.to_owned()).or_insert_with(|| Arc::new(Session::new())).clone()
    }

    /// Ends a session and its watches.
    pub(crate) fn end(&self, name: &str) {
        let session = self.by_name.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        if let Some(session) = session {
            session.set_gate(Gate::Over);
        }
    }
}
