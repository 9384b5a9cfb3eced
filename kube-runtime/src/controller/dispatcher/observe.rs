//! The checks of the dispatcher's state, and the answers to an [`Inspector`](super::super::inspect::Inspector). They
//! change neither the queue nor the reconciles.

use super::Dispatcher;
#[cfg(feature = "manager")]
use crate::controller::inspect::{Inspection, InspectionRequest};
use kube_client::Resource;
#[cfg(feature = "manager")]
use {std::task::Context, std::task::Poll, tokio::sync::mpsc};

impl<K, E> Dispatcher<'_, K, E>
where
    K: Resource + Send + Sync + 'static,
    K::DynamicType: Clone,
    E: std::error::Error + Send + 'static,
{
    /// Checks for keys that wait or run for too long, and for hot loops.
    pub(super) fn check(&mut self) {
        self.monitor.check_running(self.executor.running());
        if self.gates.are_open() {
            self.monitor.check_waiting(self.queue.oldest_ready(), self.queue.last_arrival());
        } else {
            self.monitor.pause_waiting();
        }
        self.monitor.metrics.set_load(self.queue.ready_len(), self.executor.running_tasks());
        let store = &self.store;
        self.monitor.check_hot_loops(|key| {
            let object = store.get_by((key.namespace().unwrap_or_default(), key.name()));
            object.map(|object| object.meta().clone())
        });
    }

    /// Sets the receiver of requests for the state.
    #[cfg(feature = "manager")]
    pub(in crate::controller) fn with_inspections(
        self,
        inspections: Option<mpsc::Receiver<InspectionRequest>>,
    ) -> Self {
        Self { inspections, ..self }
    }

    /// Answers the requests of the inspectors. Wakes the task at the next request.
    #[cfg(feature = "manager")]
    pub(super) fn answer(&mut self, cx: &mut Context<'_>) {
        let Some(mut inspections) = self.inspections.take() else { return };
        loop {
            match inspections.poll_recv(cx) {
                Poll::Ready(Some(request)) => drop(request.send(self.inspection())),
                // All inspectors were dropped.
                Poll::Ready(None) => return,
                Poll::Pending => break,
            }
        }
        self.inspections = Some(inspections);
    }

    /// Like [`answer`](Self::answer), also if the coop budget is exhausted.
    #[cfg(feature = "manager")]
    pub(super) fn answer_unconstrained(&mut self, cx: &mut Context<'_>) {
        let answering = std::future::poll_fn(|cx| {
            self.answer(cx);
            Poll::Ready(())
        });
        let _ = std::pin::pin!(tokio::task::coop::unconstrained(answering)).poll(cx);
    }

    #[cfg(feature = "manager")]
    fn inspection(&self) -> Inspection {
        let (ready, running) = (self.queue.ready_len(), self.executor.running_tasks());
        let stuck = self.queue.oldest_ready().filter(|_| self.monitor.waits_too_long());
        Inspection {
            ready,
            delayed: self.queue.len().saturating_sub(ready + running),
            stuck: stuck.map(|(_, key)| key.to_string()),
            running: self.monitor.running_keys(self.executor.running()),
            closed_gates: self.gates.closed_names(),
        }
    }
}
