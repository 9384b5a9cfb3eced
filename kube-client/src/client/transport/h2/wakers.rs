//! `Wakers`: selects the task that polls a connection.
//!
//! The task of the connection polls the connection for all requests. If there is only one request, the task of this
//! request polls the connection until the head of the response has arrived: no wake-up then crosses threads. The time in
//! which the task of a request polls the connection is the [`Turn`] of the request.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Wake, Waker},
};

/// The wakers of the tasks that poll a connection. This type is itself the waker of the connection: it passes a wake-up to
/// at most one of these tasks.
#[derive(Debug, Default)]
pub(super) struct Wakers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The waker of the connection's task; `None` before the first poll of the task.
    driver: Option<Waker>,
    /// The single request that polls the connection.
    single: Option<SingleRequest>,
    /// The number of turns so far. It identifies the current turn.
    turns: u64,
    /// Whether the connection was woken since the last call of [`Turn::begin_poll`].
    is_poll_due: bool,
}

/// The request whose task polls the connection.
#[derive(Debug)]
struct SingleRequest {
    turn: u64,
    /// `None` before the first poll by the request, and during each poll: a wake-up then only sets
    /// `is_poll_due`.
    waker: Option<Waker>,
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let waker = {
            let mut state = self.state();
            state.is_poll_due = true;
            match &state.single {
                Some(single) => single.waker.clone(),
                None => state.driver.clone(),
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Wakers {
    /// Sets the waker of the connection's task.
    pub(super) fn set_driver(&self, waker: &Waker) {
        match &mut self.state().driver {
            Some(driver) => driver.clone_from(waker),
            driver @ None => *driver = Some(waker.clone()),
        }
    }

    /// Wakes the task of the connection.
    pub(super) fn wake_driver(&self) {
        wake_driver(self.state());
    }

    /// Starts the turn of a request if `is_single` reports that the connection has no other request. Otherwise ends the
    /// current turn and wakes the task of the connection: no request may depend on the task of another request.
    pub(super) fn start_turn(&self, is_single: impl FnOnce() -> bool) -> Option<Turn<'_>> {
        let mut state = self.state();
        // `is_single` runs under the lock: if two requests start at the same time, the later request sees the earlier one.
        if !is_single() {
            if state.single.take().is_some() {
                wake_driver(state);
            }
            return None;
        }
        state.turns += 1;
        let turn = state.turns;
        state.single = Some(SingleRequest { turn, waker: None });
        Some(Turn { wakers: self, turn })
    }

    /// Locks the state. Ignores poisoning: no code that holds the lock panics.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the task of the connection. Unlocks `state` first, because a waker may run code that locks `state`.
fn wake_driver(state: MutexGuard<'_, State>) {
    let driver = state.driver.clone();
    drop(state);
    if let Some(driver) = driver {
        driver.wake();
    }
}

/// A turn of a request: the time in which the task of this request polls the connection. Dropping this value
/// ends the turn. A later wake-up of the connection wakes the task of the connection again.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    wakers: &'a Wakers,
    turn: u64,
}

impl Turn<'_> {
    /// Must be called before a poll of the connection: until [`end_poll`](Self::end_poll), a wake-up of the connection only
    /// sets `is_poll_due`. Returns `false` if the turn has ended.
    pub(super) fn begin_poll(&self) -> bool {
        let mut state = self.wakers.state();
        let Some(single) = state.single.as_mut().filter(|single| single.turn == self.turn) else {
            return false;
        };
        single.waker = None;
        state.is_poll_due = false;
        true
    }

    /// Must be called after each poll of the connection. Stores `waker`, which the next wake-up of the
    /// connection wakes. If the connection was woken during the poll, wakes `waker` immediately.
    /// Does nothing if the turn has ended.
    pub(super) fn end_poll(&self, waker: &Waker) {
        let mut state = self.wakers.state();
        let is_poll_due = state.is_poll_due;
        if let Some(single) = state.single.as_mut().filter(|single| single.turn == self.turn) {
            single.waker = Some(waker.clone());
            drop(state);
            if is_poll_due {
                waker.wake_by_ref();
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.wakers.state();
        if state.single.take_if(|single| single.turn == self.turn).is_some() && state.is_poll_due {
            wake_driver(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    /// A waker that counts its wake-ups.
    #[derive(Default)]
    struct WakeCounter(AtomicUsize);

    impl Wake for WakeCounter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    /// Returns the wakers of a connection, and two wake-up counters. The first counter is for the task of the
    /// connection, the second counter is for the task of a request.
    fn wakers() -> (Arc<Wakers>, Arc<WakeCounter>, Arc<WakeCounter>) {
        let (wakers, driver) = (Arc::new(Wakers::default()), Arc::new(WakeCounter::default()));
        wakers.set_driver(&Waker::from(driver.clone()));
        (wakers, driver, Arc::default())
    }

    #[test]
    fn a_single_request_is_woken_instead_of_the_driver() {
        let (wakers, driver, request) = wakers();
        wakers.wake_by_ref();
        assert_eq!(driver.0.load(SeqCst), 1);
        let turn = wakers.start_turn(|| true).unwrap();
        // A wake-up before the first poll wakes no task: the poll that follows writes the request.
        wakers.wake_by_ref();
        assert!(turn.begin_poll());
        turn.end_poll(&Waker::from(request.clone()));
        assert_eq!(request.0.load(SeqCst), 0);
        wakers.wake_by_ref();
        assert_eq!((request.0.load(SeqCst), driver.0.load(SeqCst)), (1, 1));
        // Bytes arrive during the poll.
        assert!(turn.begin_poll());
        wakers.wake_by_ref();
        turn.end_poll(&Waker::from(request.clone()));
        assert_eq!((request.0.load(SeqCst), driver.0.load(SeqCst)), (2, 1));
    }

    #[test]
    fn the_driver_continues_after_the_turn_of_a_request() {
        let (wakers, driver, request) = wakers();
        let turn = wakers.start_turn(|| true).unwrap();
        assert!(turn.begin_poll());
        turn.end_poll(&Waker::from(request.clone()));
        drop(turn);
        assert_eq!(driver.0.load(SeqCst), 0, "the request has polled everything");
        let turn = wakers.start_turn(|| true).unwrap();
        wakers.wake_by_ref();
        drop(turn);
        assert_eq!(driver.0.load(SeqCst), 1, "the wake-up of a cancelled request is lost");
        wakers.wake_by_ref();
        assert_eq!((driver.0.load(SeqCst), request.0.load(SeqCst)), (2, 0));
    }

    #[test]
    fn a_second_request_ends_the_turn_of_the_first() {
        let (wakers, driver, request) = wakers();
        let turn = wakers.start_turn(|| true).unwrap();
        assert!(turn.begin_poll());
        turn.end_poll(&Waker::from(request.clone()));
        assert!(wakers.start_turn(|| false).is_none());
        assert_eq!(driver.0.load(SeqCst), 1);
        assert!(!turn.begin_poll());
        turn.end_poll(&Waker::from(request.clone()));
        wakers.wake_by_ref();
        drop(turn);
        assert_eq!((driver.0.load(SeqCst), request.0.load(SeqCst)), (2, 0));
    }
}
