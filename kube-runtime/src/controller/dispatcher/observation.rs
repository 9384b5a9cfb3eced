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
    /// Reports keys that wait for too long, reconciles that run for too long, and hot loops. Updates the metrics of the
    /// load: the numbers of ready keys and of running reconciles.
    pub(super) fn run_checks(&mut self) {
        self.monitor.check_running_reconciles(self.executor.running_ids_and_keys());
        if self.gates.are_open() {
            self.monitor.check_oldest_ready_key(self.queue.oldest_ready(), self.queue.last_arrival());
        } else {
            self.monitor.reset_check_of_ready_keys();
        }
        self.monitor.metrics.set_load_gauges(self.queue.ready_len(), self.executor.running_task_count());
        let store = &self.store;
        self.monitor.check_hot_loops(|key| {
            let object = store.get_by_key((key.namespace().unwrap_or_default(), key.name()));
            object.map(|object| object.meta().clone())
        });
    }

    /// Sets the receiver of the inspectors' requests; `None` without an inspector.
    #[cfg(feature = "manager")]
    pub(in crate::controller) fn with_inspection_requests(
        self,
        inspection_requests: Option<mpsc::Receiver<InspectionRequest>>,
    ) -> Self {
        Self { inspection_requests, ..self }
    }

    /// Answers the requests of the inspectors. Registers the waker of `cx` for the next request.
    #[cfg(feature = "manager")]
    pub(super) fn answer_inspectors(&mut self, cx: &mut Context<'_>) {
        let Some(mut requests) = self.inspection_requests.take() else { return };
        loop {
            match requests.poll_recv(cx) {
                Poll::Ready(Some(request)) => drop(request.send(self.inspection())),
                // All inspectors were dropped.
                Poll::Ready(None) => return,
                Poll::Pending => break,
            }
        }
        self.inspection_requests = Some(requests);
    }

    /// Like [`answer_inspectors`](Self::answer_inspectors), but ignores tokio's coop budget.
    #[cfg(feature = "manager")]
    pub(super) fn answer_inspectors_unconstrained(&mut self, cx: &mut Context<'_>) {
        let answering = std::future::poll_fn(|cx| {
            self.answer_inspectors(cx);
            Poll::Ready(())
        });
        let _ = std::pin::pin!(tokio::task::coop::unconstrained(answering)).poll(cx);
    }

    #[cfg(feature = "manager")]
    fn inspection(&self) -> Inspection {
        let (ready, running) = (self.queue.ready_len(), self.executor.running_task_count());
        let stuck = self.queue.oldest_ready().filter(|_| self.monitor.has_stuck_key());
        Inspection {
            ready,
            delayed: self.queue.len().saturating_sub(ready + running),
            stuck: stuck.map(|(_, key)| key.to_string()),
            running: self.monitor.running_keys(self.executor.running_ids_and_keys()),
            closed_gates: self.gates.closed_names(),
        }
    }
}
