//! `Dispatcher`: owns the controller's state. It queues keys from the sources, starts reconciles and emits their
//! results. It must not run reconciles; the `executor` does.

mod deleted_objects;
mod observation;

use super::action::NextReconcile;
use super::deletion::Deletions;
use super::error::SourceError;
use super::executor::{Executor, ReconcileResult};
use super::failure::FailureClass;
use super::gate::{GateDropped, Gates};
use super::monitor::Monitor;
use super::shutdown::{Phase, Shutdown};
use super::source::TriggerStream;
use super::sync_timer::SyncTimer;
use super::trigger::{ReconcileReason, Trigger};
use super::{Action, Config, Error, Key};
use crate::metrics::Outcome;
use crate::queue::{Due, Limiter, Request, WorkQueue};
use crate::reflector::{ObjectRef, Store};
use futures::stream::SelectAll;
use futures::{Stream, StreamExt};
use kube_client::Resource;
use kube_client::core::ObjectMeta;
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::task::coop;
use tokio::time::{Instant, Sleep};

/// The maximum number of keys to take from the sources before reconciles are started and results emitted.
const MAX_KEYS_PER_POLL: usize = 128;
/// After this number of consecutive results, the dispatcher yields to the runtime, and polls the sources and the tasks.
/// The limit is equal to tokio's coop budget, so that it causes no additional yields.
const MAX_CONSECUTIVE_RESULTS: u32 = 128;

/// If the queue has at least this number of keys, the dispatcher may remove the keys of objects that are not in the store;
/// see `Dispatcher::sweep_queue`.
const MIN_KEYS_TO_SWEEP: usize = 1024;

/// Whether the results or the sources are polled first. The value alternates, because a continuous flow of results
/// would otherwise starve the sources and the tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PollFirst {
    /// Results of reconciles, to free their memory and concurrency slots. The value counts the consecutive results.
    Results(u32),
    /// The sources and the executor's tasks. If the results were always first, the results of tasks would
    /// wait behind the results of reconciles that end inline.
    Sources,
}

/// The state of a running controller. As a stream, it emits the results of the reconciles and the errors of the
/// sources.
pub(super) struct Dispatcher<'a, K: Resource, E: std::error::Error + 'static> {
    sources: SelectAll<TriggerStream>,
    store: Store<K>,
    gates: Gates,
    /// The timer of [`Config::sync_timeout`].
    sync: SyncTimer,
    /// The time at which the last source ended; `None` while a source remains, and after [`Error::SourcesEnded`].
    sources_ended: Option<Instant>,
    /// The error of a gate that can never open again; `None` without such a gate, and after the stream has emitted the
    /// error.
    dropped_gate: Option<GateDropped>,
    queue: WorkQueue<Key, ReconcileReason>,
    /// The number of queued keys at which [`sweep_queue`](Self::sweep_queue) removes keys. It is twice the number of
    /// keys that the last sweep left in the queue, and at least [`MIN_KEYS_TO_SWEEP`], so that the amortized cost of
    /// sweeps is constant per key.
    sweep_at: usize,
    executor: Executor<'a, K, E>,
    deletions: Deletions,
    /// Wakes the task when the next delayed key is due.
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether the next poll polls the results or the sources first.
    poll_first: PollFirst,
    config: Config,
    monitor: Monitor,
    /// The inspectors' requests for the state of the controller; `None` without an inspector.
    #[cfg(feature = "manager")]
    inspection_requests: Option<tokio::sync::mpsc::Receiver<super::inspect::InspectionRequest>>,
    shutdown: Shutdown,
    /// Whether the in-flight reconciles were cancelled.
    cancelled: bool,
}

impl<'a, K, E> Dispatcher<'a, K, E>
where
    K: Resource + Send + Sync + 'static,
    K::DynamicType: Clone,
    E: std::error::Error + Send + 'static,
{
    pub(super) fn new(
        sources: Vec<TriggerStream>,
        gates: Gates,
        store: Store<K>,
        executor: Executor<'a, K, E>,
        limiter: Limiter<Key>,
        (name, config): (&str, Config),
        shutdown: Shutdown,
    ) -> Self {
        Self {
            sources: sources.into_iter().collect(),
            gates,
            sync: SyncTimer::new(config.sync_timeout),
            sources_ended: None,
            dropped_gate: None,
            store,
            queue: WorkQueue::new(limiter),
            sweep_at: MIN_KEYS_TO_SWEEP,
            executor,
            deletions: Deletions::default(),
            timer: None,
            poll_first: PollFirst::Results(0),
            monitor: Monitor::new(name, config.stall_limit, config.concurrency),
            #[cfg(feature = "manager")]
            inspection_requests: None,
            config,
            shutdown,
            cancelled: false,
        }
    }

    pub(super) fn with_deletions(self, deletions: Deletions) -> Self {
        Self { deletions, ..self }
    }

    /// Queues the keys of the sources' triggers, and records deletions. Returns the first error of a source; `None`
    /// after `MAX_KEYS_PER_POLL` items without an error; `Pending` if no source has a further item.
    fn poll_sources(&mut self, cx: &mut Context<'_>) -> Poll<Option<SourceError>> {
        for _ in 0..MAX_KEYS_PER_POLL {
            match self.sources.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(Trigger { key, forgets: true, .. }))) => self.record_deletion(key),
                Poll::Ready(Some(Ok(Trigger { key, reason: cause, priority, forgets: false }))) => {
                    let due = match self.config.debounce {
                        wait if wait.is_zero() => Due::Now,
                        wait => Due::after(Instant::now(), wait),
                    };
                    self.monitor.metrics.record_added_key(&key, self.config.debounce);
                    self.queue.add(key, Request { due, priority, cause });
                    self.sweep_queue();
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(error)),
                Poll::Ready(None) => {
                    self.sources_ended.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(None)
    }

    /// Bounds the queue. If the queue has many keys, and no snapshot of the store is in progress, removes the keys of
    /// objects that are not in the store, such as owners that do not exist. No other code removes such keys while a gate is
    /// closed or the keys are delayed. The keys that the deletion handler has to receive remain.
    fn sweep_queue(&mut self) {
        if self.queue.len() < self.sweep_at || !self.store.is_settled() {
            return;
        }
        let (store, deletions) = (&self.store, &self.deletions);
        let is_needed = |key: &Key| {
            store.contains((key.namespace().unwrap_or_default(), key.name())) || deletions.contains(key)
        };
        self.queue.retain(is_needed);
        self.monitor.metrics.retain_keys(is_needed);
        self.sweep_at = MIN_KEYS_TO_SWEEP.max(2 * self.queue.len());
    }

    /// Starts reconciles and deletion handlers up to the concurrency limit, if all gates are open. Begins the shutdown
    /// if a gate can never open again.
    fn start_reconciles(&mut self, cx: &mut Context<'_>) {
        match self.gates.poll_open(cx) {
            Poll::Ready(Ok(())) => self.sync.end(),
            Poll::Ready(Err(dropped)) => {
                self.shutdown.begin();
                self.dropped_gate = Some(dropped);
                cx.waker().wake_by_ref();
                return;
            }
            Poll::Pending => return,
        }
        // Stops when a result is available: `poll_next` takes the result, and `emit_result` calls this function again.
        while !self.executor.has_result()
            && self.executor.running_task_count() < self.config.concurrency
            && let Some((key, Request { priority, cause, .. }, failures)) =
                self.queue.take_key(Instant::now())
        {
            match self.store.get_by_key((key.namespace().unwrap_or_default(), key.name())) {
                // An owner reference contains no namespace. Therefore a key with a namespace may refer to a
                // cluster-scoped owner. The store finds this owner, because the store ignores the namespace for a
                // cluster-scoped object. Replace the key: otherwise two keys of one object could be reconciled
                // concurrently.
                Some(object) if namespace_of(object.meta()) != key.namespace() => {
                    self.deletions.forget(&key);
                    self.queue.finish(&key, None);
                    self.monitor.metrics.record_dropped_key(&key);
                    let key = Key::new(object.meta().namespace.as_deref(), key.name());
                    self.monitor.metrics.record_added_key(&key, Duration::ZERO);
                    self.queue.add(key, Request { due: Due::Now, priority, cause });
                }
                Some(object) => {
                    self.deletions.forget(&key);
                    self.monitor.record_reconcile_start(&key);
                    self.executor.start_reconcile(key, &cause, object, failures.saturating_add(1));
                }
                None => self.process_absent_object(key, failures.saturating_add(1)),
            }
        }
        self.monitor.metrics.set_load_gauges(self.queue.ready_len(), self.executor.running_task_count());
        self.wake_when_due(cx);
    }

    /// Whether all sources have ended and all objects from the sources are reconciled.
    fn has_finished(&self) -> bool {
        let Some(ended) = self.sources_ended else { return false };
        // A debounced change keeps the controller running; a scheduled requeue does not. Both are delayed keys.
        let debounced = |due: Instant| due.saturating_duration_since(ended) <= self.config.debounce;
        !self.queue.has_ready()
            && !self.queue.next_due().is_some_and(debounced)
            && self.executor.running_task_count() == 0
            && !self.executor.has_result()
    }

    /// Sets a timer that wakes the task when the next delayed key is due.
    fn wake_when_due(&mut self, cx: &mut Context<'_>) {
        let Some(due) = self.queue.next_due() else {
            self.timer = None;
            return;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        if timer.as_mut().poll(cx).is_ready() {
            // The key is due. If a concurrency slot is free, poll again immediately; otherwise the end of a reconcile
            // wakes this task.
            self.timer = None;
            if self.executor.running_task_count() < self.config.concurrency {
                cx.waker().wake_by_ref();
            }
        }
    }

    /// Ends the processing of the reconciled key: the queue requeues or removes the key. Returns the stream's item for the
    /// result.
    fn finish_key(&mut self, ended: ReconcileResult<K, E>) -> Result<(ObjectRef<K>, Action), Error<E>> {
        self.record_deletion_handler_retry(&ended);
        let ReconcileResult { key, object, action, error, class, .. } = ended;
        let cause = match &error {
            None => ReconcileReason::ReconcilerRequestedRetry,
            Some(_) => ReconcileReason::ErrorPolicyRequestedRetry,
        };
        self.monitor.record_reconcile_end(&key, outcome_of(error.as_ref(), class, action.next));
        match action.next {
            // The queue does not requeue a key whose object was deleted during the reconcile.
            NextReconcile::After(wait) => {
                let next = (Due::after(Instant::now(), wait), cause);
                if self.queue.finish(&key, Some(next)).is_some() {
                    self.monitor.metrics.record_added_key(&key, wait);
                }
            }
            NextReconcile::Backoff if class != FailureClass::Terminal => {
                let now = Instant::now();
                let wait = match class {
                    FailureClass::Conflict => self.queue.finish_with_conflict(&key, now, cause),
                    FailureClass::Terminal | FailureClass::Other => {
                        self.queue.finish_with_failure(&key, now, cause)
                    }
                };
                if let Some(wait) = wait {
                    self.monitor.metrics.record_added_key(&key, wait);
                    self.monitor.metrics.count_retry();
                    tracing::debug!(object.ref = %object, ?wait, ?class, "requeueing after a failure");
                }
            }
            NextReconcile::Change | NextReconcile::Backoff => drop(self.queue.finish(&key, None)),
        }
        match error {
            Some(error) if class != FailureClass::Conflict => Err(error),
            Some(error) => {
                tracing::debug!(object.ref = %object, %error, "a conflict: the reconciled object was outdated");
                Ok((object, action))
            }
            None => Ok((object, action)),
        }
    }

    /// Returns the stream's item for a finished reconcile, and starts further reconciles.
    fn emit_result(
        &mut self,
        ended: ReconcileResult<K, E>,
        consecutive: u32,
        cx: &mut Context<'_>,
    ) -> <Self as Stream>::Item {
        self.poll_first = PollFirst::Results(consecutive);
        let item = self.finish_key(ended);
        self.start_reconciles(cx);
        item
    }

    /// Polls the shutdown and returns its phase. Drops the sources when the shutdown begins, and cancels the in-flight
    /// reconciles in the phase [`Phase::Cancelling`].
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Phase {
        let phase = self.shutdown.poll_phase(self.config.drain_timeout, cx);
        if phase != Phase::Running && !self.sources.is_empty() {
            self.sources.clear();
            self.timer = None;
        }
        if phase == Phase::Cancelling && !self.cancelled {
            self.cancelled = true;
            self.executor.cancel_all();
        }
        phase
    }

    /// Polls in-flight reconciles during a shutdown, and starts no further reconciles. Ready with `None` after the last
    /// result.
    fn poll_draining(&mut self, cx: &mut Context<'_>) -> Poll<Option<<Self as Stream>::Item>> {
        if let Poll::Ready(Some(ended)) = self.executor.poll_result(cx) {
            return Poll::Ready(Some(self.finish_key(ended)));
        }
        let idle = self.executor.running_task_count() == 0 && !self.executor.has_result();
        if idle { Poll::Ready(None) } else { Poll::Pending }
    }
}

impl<K: Resource, E: std::error::Error + 'static> Unpin for Dispatcher<'_, K, E> {}

impl<K, E> Stream for Dispatcher<'_, K, E>
where
    K: Resource + Send + Sync + 'static,
    K::DynamicType: Clone,
    E: std::error::Error + Send + 'static,
{
    type Item = Result<(ObjectRef<K>, Action), Error<E>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(GateDropped { gate }) = this.dropped_gate.take() {
            this.poll_shutdown(cx);
            return Poll::Ready(Some(Err(Error::GateDropped { gate })));
        }
        if this.poll_shutdown(cx) != Phase::Running {
            return this.poll_draining(cx);
        }
        if let PollFirst::Results(n) = this.poll_first
            && n < MAX_CONSECUTIVE_RESULTS
            && let Poll::Ready(Some(ended)) = this.executor.poll_result(cx)
        {
            return Poll::Ready(Some(this.emit_result(ended, n + 1, cx)));
        }
        // Yield to the runtime before the sources and tasks are polled. The next poll has a new coop budget.
        // With an exhausted budget, tokio's resources would return `Pending`.
        if this.poll_first == PollFirst::Results(MAX_CONSECUTIVE_RESULTS) || !coop::has_budget_remaining() {
            this.poll_first = PollFirst::Sources;
            if this.monitor.take_due_check() {
                this.run_checks();
            }
            #[cfg(feature = "manager")]
            this.answer_inspectors_unconstrained(cx);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let consecutive = match std::mem::replace(&mut this.poll_first, PollFirst::Results(0)) {
            PollFirst::Results(n) => n,
            PollFirst::Sources => {
                this.executor.reap_finished_tasks(cx);
                0
            }
        };
        let taken = this.poll_sources(cx);
        this.start_reconciles(cx);
        if let Poll::Ready(Some(error)) = taken {
            return Poll::Ready(Some(Err(error.into())));
        }
        // `start_reconciles` may have finished reconciles inline: emit their results.
        if let Poll::Ready(Some(ended)) = this.executor.poll_result(cx) {
            // This task has emitted `consecutive` results without yielding. It has still not yielded, so this
            // result also counts as consecutive.
            return Poll::Ready(Some(this.emit_result(ended, consecutive + 1, cx)));
        }
        if let Poll::Ready(error) = this.sync.poll(&this.gates, cx) {
            return Poll::Ready(Some(Err(error)));
        }
        let is_busy = this.executor.running_task_count() > 0 || this.queue.has_ready();
        while this.monitor.poll_due_check(is_busy, cx).is_ready() {
            this.run_checks();
        }
        #[cfg(feature = "manager")]
        this.answer_inspectors(cx);
        if this.has_finished() {
            tracing::warn!("all sources of the controller have ended: shutting down");
            this.sources_ended = None;
            this.shutdown.begin();
            return Poll::Ready(Some(Err(Error::SourcesEnded)));
        }
        if taken.is_ready() {
            // The sources may have more items: yield, then continue.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// The outcome of a reconcile, for its metrics.
fn outcome_of<E: std::error::Error>(
    error: Option<&Error<E>>,
    class: FailureClass,
    next: NextReconcile,
) -> Outcome {
    match (error, class, next) {
        (Some(Error::ReconcilerPanicked(..)), ..) => Outcome::Panic,
        (Some(Error::ReconcilerTimedOut(..)), ..) => Outcome::Timeout,
        (Some(_), FailureClass::Conflict, _) => Outcome::Conflict,
        (Some(_), FailureClass::Terminal, _) => Outcome::TerminalError,
        (Some(_), FailureClass::Other, _) => Outcome::Error,
        (None, _, NextReconcile::Change) => Outcome::Success,
        (None, _, NextReconcile::After(_)) => Outcome::RequeueAfter,
        (None, _, NextReconcile::Backoff) => Outcome::Requeue,
    }
}

/// The namespace; `None` for a cluster-scoped object, and for an empty namespace, as in a [`Key`].
fn namespace_of(meta: &ObjectMeta) -> Option<&str> {
    meta.namespace.as_deref().filter(|namespace| !namespace.is_empty())
}
