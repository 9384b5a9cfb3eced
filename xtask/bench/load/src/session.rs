//! Sessions: one for each run of a contender, named by the first segment of the path. Watches wait at the session's gate
//! until the contender is ready for what follows.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long anyone waits: a contender that has not come by then never will.
const PATIENCE: Duration = Duration::from_secs(300);

/// What watches may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Nothing yet.
    Closed,
    /// The prepared events.
    Events,
    /// That their version is too old; lists show the later state.
    Gone,
    /// Nothing more: the session is over.
    Over,
}

/// One run of a contender.
#[derive(Debug)]
pub(crate) struct Session {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    gate: Gate,
    /// How many watches wait.
    waiting: usize,
    /// When the first list of the later state was asked for.
    relist: Option<Instant>,
}

impl Session {
    fn new() -> Self {
        Self {
            state: Mutex::new(State { gate: Gate::Closed, waiting: 0, relist: None }),
            changed: Condvar::new(),
        }
    }

    /// Nothing that holds the lock can leave the state half-changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the gate.
    pub(crate) fn open(&self, gate: Gate) {
        self.state().gate = gate;
        self.changed.notify_all();
    }

    /// Waits at the gate; how it opened. `fresh`: the watch goes on from the later state, so that only the end concerns it.
    pub(crate) fn wait_at_gate(&self, fresh: bool) -> Gate {
        let mut state = self.state();
        state.waiting += 1;
        self.changed.notify_all();
        let held = |state: &mut State| {
            state.gate == Gate::Closed || (fresh && matches!(state.gate, Gate::Events | Gate::Gone))
        };
        let (mut state, waited) =
            self.changed.wait_timeout_while(state, PATIENCE, held).unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        if waited.timed_out() { Gate::Over } else { state.gate }
    }

    /// Waits until so many watches wait; whether they came.
    pub(crate) fn wait_for_watches(&self, count: usize) -> bool {
        let few = |state: &mut State| state.waiting < count;
        let (_state, waited) = self
            .changed
            .wait_timeout_while(self.state(), PATIENCE, few)
            .unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    /// Whether lists show the later state; if so, this list counts as asked for.
    pub(crate) fn lists_later_state(&self) -> bool {
        let mut state = self.state();
        let later = state.gate == Gate::Gone;
        if later {
            state.relist.get_or_insert_with(Instant::now);
        }
        later
    }

    /// How long ago the first list of the later state was asked for.
    pub(crate) fn since_relist(&self) -> Option<Duration> {
        self.state().relist.map(|at| at.elapsed())
    }
}

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_name: Mutex<HashMap<String, Arc<Session>>>,
}

impl Sessions {
    /// The session of that name, which begins with its first request.
    pub(crate) fn get(&self, name: &str) -> Arc<Session> {
        let mut sessions = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.entry(name.to_owned()).or_insert_with(|| Arc::new(Session::new())).clone()
    }

    /// Ends a session: its watches end.
    pub(crate) fn end(&self, name: &str) {
        let session = self.by_name.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        if let Some(session) = session {
            session.open(Gate::Over);
        }
    }
}
