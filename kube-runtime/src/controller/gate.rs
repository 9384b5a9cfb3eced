//! `Gate`: a condition that must hold before a controller starts reconciles.

use crate::reflector::Store;
use futures::FutureExt;
use futures::future::{BoxFuture, select_all};
use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::sync::watch;

/// A condition that must hold before a controller starts a reconcile: for instance that a store is complete, or that
/// this process is the leader.
///
/// A controller starts reconciles while all its gates are open. A gate may close again: the controller then starts no
/// further reconciles, keeps the queued keys and does not cancel the reconciles that are in flight.
///
/// ```
/// use kube_runtime::controller::Gate;
///
/// let (leadership, gate) = Gate::new("leadership");
/// assert!(!gate.is_open());
/// leadership.open();
/// assert!(gate.is_open());
/// drop(leadership);
/// assert!(!gate.is_open());
/// ```
#[derive(Clone)]
pub struct Gate {
    name: Arc<str>,
    open: watch::Receiver<bool>,
    /// Whether the gate may close after it opened.
    may_close: bool,
}

impl Gate {
    /// Creates a closed gate and its handle. The handle opens and closes the gate. `name` is the name of the
    /// gate in errors.
    pub fn new(name: &str) -> (GateHandle, Self) {
        let sender = watch::Sender::new(false);
        let gate = Self { name: name.into(), open: sender.subscribe(), may_close: true };
        (GateHandle { sender }, gate)
    }

    /// A gate that opens when the first snapshot of a store is complete. `name` is the name of the store in errors.
    pub fn of_store<K>(name: &str, store: &Store<K>) -> Self {
        Self { name: name.into(), open: store.readiness(), may_close: false }
    }

    /// Whether the gate is open.
    pub fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    /// The name of the gate in errors.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits until the gate is open. The error means that the gate can never open again: the handle was dropped, or the
    /// writer of the store was dropped before the store was complete.
    async fn wait_until_open(mut self) -> Result<(), GateDropped> {
        match self.open.wait_for(|open| *open).await {
            Ok(_) => Ok(()),
            Err(_) => Err(GateDropped { gate: self.name.to_string() }),
        }
    }

    /// If `was_open` is true, waits until the gate is closed. If not, waits until the gate is open, and fails like
    /// [`wait_until_open`](Self::wait_until_open).
    async fn wait_for_change(self, was_open: bool) -> Result<(), GateDropped> {
        if was_open {
            self.wait_until_closed().await;
            return Ok(());
        }
        self.wait_until_open().await
    }

    /// Waits until the gate is closed.
    async fn wait_until_closed(mut self) {
        // The error means that the handle was dropped, which closes the gate.
        let _ = self.open.wait_for(|open| !*open).await;
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("name", &self.name)
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}

/// Opens and closes a [`Gate`]. Dropping the handle closes the gate permanently, so that the gate does not stay open if
/// the owner of the handle fails.
#[derive(Debug)]
#[must_use = "dropping the handle closes the gate"]
pub struct GateHandle {
    sender: watch::Sender<bool>,
}

impl GateHandle {
    /// Opens the gate.
    pub fn open(&self) {
        self.sender.send_replace(true);
    }

    /// Closes the gate.
    pub fn close(&self) {
        self.sender.send_replace(false);
    }
}

impl Drop for GateHandle {
    fn drop(&mut self) {
        self.close();
    }
}

/// The error of a gate that can never open again, because its handle or the writer of its store was dropped.
#[derive(Debug)]
pub(super) struct GateDropped {
    /// The name of the gate.
    pub(super) gate: String,
}

/// The gates of a controller.
#[derive(Default)]
pub(super) struct Gates {
    gates: Vec<Gate>,
    state: State,
}

/// The last known state of the gates. A poll allocates futures only if the state is `Unknown`. The state is
/// `Unknown` before the first poll, after gates were added, and after a gate opened or closed.
#[derive(Default)]
enum State {
    /// The gates must be checked.
    #[default]
    Unknown,
    /// At least one gate is closed. The future completes when a gate opens or closes.
    Closed(BoxFuture<'static, Result<(), GateDropped>>),
    /// All gates are open. The future completes when a gate closes; `None` if no gate can close.
    Open(Option<BoxFuture<'static, ()>>),
}

impl Gates {
    pub(super) fn extend(&mut self, gates: impl IntoIterator<Item = Gate>) {
        self.gates.extend(gates);
        self.state = State::Unknown;
    }

    /// The names of the stores whose first snapshot is not complete. Several gates of a store count as one.
    pub(super) fn incomplete_stores(&self) -> Vec<String> {
        let mut stores: Vec<&Gate> = Vec::new();
        for gate in self.gates.iter().filter(|gate| !gate.may_close && !gate.is_open()) {
            if !stores.iter().any(|known| known.open.same_channel(&gate.open)) {
                stores.push(gate);
            }
        }
        stores.into_iter().map(|gate| gate.name.to_string()).collect()
    }

    /// The name and the readiness of each store that has a gate.
    #[cfg(feature = "manager")]
    pub(super) fn stores(&self) -> impl Iterator<Item = (String, watch::Receiver<bool>)> {
        let stores = self.gates.iter().filter(|gate| !gate.may_close);
        stores.map(|gate| (gate.name.to_string(), gate.open.clone()))
    }

    /// Whether all gates are open.
    pub(super) fn are_open(&self) -> bool {
        self.gates.iter().all(Gate::is_open)
    }

    /// The names of the closed gates.
    #[cfg(feature = "manager")]
    pub(super) fn closed_names(&self) -> Vec<String> {
        self.gates.iter().filter(|gate| !gate.is_open()).map(|gate| gate.name.to_string()).collect()
    }

    /// Ready with `Ok` while all gates are open, and with an error when a gate can never open again. Wakes the task
    /// when a gate opens or closes.
    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), GateDropped>> {
        loop {
            self.state = match &mut self.state {
                State::Closed(opened) => {
                    let opened = ready!(opened.poll_unpin(cx));
                    self.state = State::Unknown;
                    if opened.is_err() {
                        return Poll::Ready(opened);
                    }
                    State::Unknown
                }
                State::Open(None) => return Poll::Ready(Ok(())),
                State::Open(Some(closed)) => match closed.poll_unpin(cx) {
                    // If the coop budget is exhausted, the future is pending although a gate has closed.
                    Poll::Pending if self.gates.iter().all(Gate::is_open) => return Poll::Ready(Ok(())),
                    Poll::Pending | Poll::Ready(()) => State::Unknown,
                },
                State::Unknown => self.current_state(),
            };
        }
    }

    /// Checks each gate once, and returns the state of all gates. Another thread may open or close a gate
    /// after the check of this gate. The future in the returned state then completes at its first poll.
    fn current_state(&self) -> State {
        let gates: Vec<_> = self.gates.iter().map(|gate| (gate, gate.is_open())).collect();
        if gates.iter().any(|(_, is_open)| !is_open) {
            // Also watch the open gates that may close. If the handle of such a gate is dropped, the gate can
            // never open again. `poll_open` must then return an error, even while another gate is closed.
            let watched = gates.into_iter().filter(|(gate, is_open)| gate.may_close || !is_open);
            let first =
                select_all(watched.map(|(gate, is_open)| gate.clone().wait_for_change(is_open).boxed()));
            return State::Closed(first.map(|(changed, ..)| changed).boxed());
        }
        let closing: Vec<_> = self
            .gates
            .iter()
            .filter(|gate| gate.may_close)
            .map(|gate| gate.clone().wait_until_closed().boxed())
            .collect();
        State::Open((!closing.is_empty()).then(|| select_all(closing).map(drop).boxed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reflector::store;
    use crate::watcher::Event;
    use k8s_openapi::api::core::v1::ConfigMap;
    use std::future::poll_fn;

    /// Polls the gates once. Returns whether all of them are open; `None` if the handle of a gate was dropped.
    async fn poll_open_once(gates: &mut Gates) -> Option<bool> {
        poll_fn(|cx| {
            Poll::Ready(match gates.poll_open(cx) {
                Poll::Ready(Ok(())) => Some(true),
                Poll::Ready(Err(_)) => None,
                Poll::Pending => Some(false),
            })
        })
        .await
    }

    #[tokio::test]
    async fn poll_open_is_ready_while_all_gates_are_open() {
        let ((handle, gate), (reader, mut writer)) = (Gate::new("leadership"), store::<ConfigMap>());
        let mut gates = Gates::default();
        assert_eq!(poll_open_once(&mut gates).await, Some(true));
        gates.extend([gate]);
        gates.extend([Gate::of_store("config maps", &reader)]);
        assert_eq!(poll_open_once(&mut gates).await, Some(false));
        handle.open();
        assert_eq!(poll_open_once(&mut gates).await, Some(false));
        writer.apply_watcher_event(Event::InitDone);
        assert_eq!(poll_open_once(&mut gates).await, Some(true));
        handle.close();
        assert_eq!(poll_open_once(&mut gates).await, Some(false));
        handle.open();
        drop(writer);
        assert_eq!(poll_open_once(&mut gates).await, Some(true), "a complete store stays complete");
        drop(handle);
        assert_eq!(poll_open_once(&mut gates).await, None);
    }

    #[tokio::test]
    async fn a_gate_that_opens_or_closes_directly_after_its_check_is_noticed() {
        let ((reader, mut writer), (handle, leadership)) = (store::<ConfigMap>(), Gate::new("leadership"));
        let mut gates = Gates::default();
        gates.extend([Gate::of_store("config maps", &reader)]);
        let State::Closed(opened) = gates.current_state() else { panic!("the store is complete") };
        writer.apply_watcher_event(Event::InitDone);
        assert!(opened.now_or_never().is_some());
        handle.open();
        gates.extend([leadership]);
        let State::Open(Some(closed)) = gates.current_state() else { panic!("a gate is closed") };
        handle.close();
        assert!(closed.now_or_never().is_some());
    }

    #[tokio::test]
    async fn poll_open_notices_a_closed_gate_even_if_the_coop_budget_is_exhausted() {
        let (handle, gate) = Gate::new("leadership");
        handle.open();
        let mut gates = Gates::default();
        gates.extend([gate]);
        assert_eq!(poll_open_once(&mut gates).await, Some(true));
        handle.close();
        poll_fn(|cx| {
            while let Poll::Ready(unit) = tokio::task::coop::poll_proceed(cx) {
                unit.made_progress();
            }
            assert!(gates.poll_open(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    }

    #[tokio::test]
    async fn poll_open_notices_a_dropped_handle_while_another_gate_is_closed() {
        for open in [false, true] {
            let ((_closed, first), (dropped, second)) = (Gate::new("first"), Gate::new("second"));
            if open {
                dropped.open();
            }
            let mut gates = Gates::default();
            gates.extend([first, second]);
            assert_eq!(poll_open_once(&mut gates).await, Some(false));
            drop(dropped);
            assert_eq!(poll_open_once(&mut gates).await, None, "the gate was open: {open}");
        }
    }

    #[tokio::test]
    async fn a_gate_that_opens_wakes_the_waiting_task() {
        let (handle, gate) = Gate::new("leadership");
        let mut gates = Gates::default();
        gates.extend([gate]);
        let open = poll_fn(|cx| gates.poll_open(cx));
        let opening = async {
            tokio::task::yield_now().await;
            handle.open();
        };
        assert!(futures::join!(open, opening).0.is_ok());
    }
}
