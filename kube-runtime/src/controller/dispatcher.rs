//! `Dispatcher`: the one owner of a controller's state. It takes what sources name, decides what runs when, and tells how it
//! ended.

use super::action::Next;
use super::error::SourceError;
use super::executor::{Executor, ReconcileResult};
use super::shutdown::{Phase, Shutdown};
use super::source::Source;
use super::{Action, Config, Error};
use crate::queue::{Due, WorkQueue};
use crate::reflector::{ObjectRef, Store};
use futures::stream::SelectAll;
use futures::{Stream, StreamExt, future::BoxFuture};
use kube_client::Resource;
use std::{
    hash::Hash,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::task::coop;
use tokio::time::{Instant, Sleep};

/// How many names are taken from the sources before it is looked at what can run and what has ended.
const BATCH: usize = 128;
/// How many reconciles may come out in a row before others run, and then the sources and the tasks have their turn. As many as
/// tokio lets a task take in one go, so that nothing is interrupted more often than it would be anyway.
const IN_A_ROW: u32 = 128;

/// Who is asked first. While something has always ended, nobody else would ever be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// What has ended: it makes room, and its memory is free again. So many came out in a row.
    ReconcileResult(u32),
    /// The sources, and the tasks behind what has ended where it was started.
    Others,
}

pub(super) struct Dispatcher<K: Resource, R, P, Ctx, E: std::error::Error + 'static> {
    sources: SelectAll<Source<K>>,
    store: Store<K>,
    /// Until the store is complete for the first time.
    loading: Option<BoxFuture<'static, ()>>,
    queue: WorkQueue<ObjectRef<K>>,
    executor: Executor<K, R, P, Ctx, E>,
    timer: Option<Pin<Box<Sleep>>>,
    turn: Turn,
    config: Config,
    shutdown: Shutdown,
    cancelled: bool,
}

impl<K, R, P, Ctx, E, Fut> Dispatcher<K, R, P, Ctx, E>
where
    K: Resource + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone,
    R: FnMut(Arc<K>, Arc<Ctx>) -> Fut,
    Fut: Future<Output = Result<Action, E>> + Send + 'static,
    P: Fn(Arc<K>, &E, Arc<Ctx>) -> Action,
    E: std::error::Error + Send + 'static,
{
    pub(super) fn new(
        sources: Vec<Source<K>>,
        store: Store<K>,
        executor: Executor<K, R, P, Ctx, E>,
        config: Config,
        shutdown: Shutdown,
    ) -> Self {
        let loading = store.clone();
        Self {
            sources: sources.into_iter().collect(),
            // A writer that is gone was dropped with the sources, at a shutdown.
            loading: Some(Box::pin(async move { loading.wait_until_ready().await.unwrap_or_default() })),
            store,
            queue: WorkQueue::new(config.failures),
            executor,
            timer: None,
            turn: Turn::ReconcileResult(0),
            config,
            shutdown,
            cancelled: false,
        }
    }

    /// Takes what the sources name; the first failure of one. `Pending`: none has anything at present.
    fn poll_sources(&mut self, cx: &mut Context<'_>) -> Poll<Option<SourceError>> {
        for _ in 0..BATCH {
            match self.sources.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(key))) => {
                    let due = match self.config.debounce {
                        wait if wait.is_zero() => Due::Now,
                        wait => Due::after(Instant::now(), wait),
                    };
                    self.queue.add(key, due);
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(error)),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(None)
    }

    /// Starts what may run.
    fn start(&mut self, cx: &mut Context<'_>) {
        if let Some(loading) = &mut self.loading {
            if loading.as_mut().poll(cx).is_pending() {
                return;
            }
            self.loading = None;
        }
        // What has ended comes out before anything else is started: whoever takes it polls again.
        while !self.executor.has_ended()
            && self.executor.running() < self.config.concurrency
            && let Some(key) = self.queue.take(Instant::now())
        {
            match self.store.get(&key) {
                // An object of the cluster is found by a name within a namespace, too: whoever owns a child is taken to live
                // where that does. It has one key all the same, or else it could be reconciled twice at a time.
                Some(object) if object.meta().namespace != key.namespace => {
                    self.queue.done(&key, None);
                    self.queue.add(ObjectRef::from_obj_with(&*object, key.dyntype), Due::Now);
                }
                Some(object) => self.executor.start(key, object),
                // It is gone, and so is the need for work.
                None => self.queue.done(&key, None),
            }
        }
        self.wake_when_due(cx);
    }

    /// Arranges to be polled when the next delayed object is due.
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
            // Due already, and waiting for a place: the end of a reconcile will wake us. If there is a place, go on at once.
            self.timer = None;
            if self.executor.running() < self.config.concurrency {
                cx.waker().wake_by_ref();
            }
        }
    }

    fn settle(&mut self, ended: ReconcileResult<K, E>) -> Result<(ObjectRef<K>, Action), Error<E>> {
        let ReconcileResult { object, action, error } = ended;
        match action.next {
            Next::Change => self.queue.done(&object, None),
            Next::After(wait) => self.queue.done(&object, Some(Due::after(Instant::now(), wait))),
            Next::Backoff => {
                let wait = self.queue.failed(&object, Instant::now());
                tracing::debug!(object.ref = %object, ?wait, "trying again after a wait");
            }
        }
        match error {
            Some(error) => Err(error),
            None => Ok((object, action)),
        }
    }

    /// What to tell of a reconcile that has ended. It makes room for others.
    fn come_out(
        &mut self,
        ended: ReconcileResult<K, E>,
        in_a_row: u32,
        cx: &mut Context<'_>,
    ) -> <Self as Stream>::Item {
        self.turn = Turn::ReconcileResult(in_a_row);
        let item = self.settle(ended);
        self.start(cx);
        item
    }

    /// A shutdown's order: the sources, the queue, what runs.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Phase {
        let phase = self.shutdown.poll_phase(self.config.drain_timeout, cx);
        if phase != Phase::Running && !self.sources.is_empty() {
            self.sources.clear();
            self.timer = None;
        }
        if phase == Phase::Cancelling && !self.cancelled {
            self.cancelled = true;
            self.executor.cancel();
        }
        phase
    }

    /// What still runs when nothing more is started.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Option<<Self as Stream>::Item>> {
        if let Poll::Ready(Some(ended)) = self.executor.poll_ended(cx) {
            return Poll::Ready(Some(self.settle(ended)));
        }
        let idle = self.executor.running() == 0 && !self.executor.has_ended();
        if idle { Poll::Ready(None) } else { Poll::Pending }
    }
}

impl<K: Resource, R, P, Ctx, E: std::error::Error + 'static> Unpin for Dispatcher<K, R, P, Ctx, E> {}

impl<K, R, P, Ctx, E, Fut> Stream for Dispatcher<K, R, P, Ctx, E>
where
    K: Resource + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone,
    R: FnMut(Arc<K>, Arc<Ctx>) -> Fut,
    Fut: Future<Output = Result<Action, E>> + Send + 'static,
    P: Fn(Arc<K>, &E, Arc<Ctx>) -> Action,
    E: std::error::Error + Send + 'static,
{
    type Item = Result<(ObjectRef<K>, Action), Error<E>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.poll_shutdown(cx) != Phase::Running {
            return this.poll_rest(cx);
        }
        if let Turn::ReconcileResult(n) = this.turn
            && n < IN_A_ROW
            && let Poll::Ready(Some(ended)) = this.executor.poll_ended(cx)
        {
            return Poll::Ready(Some(this.come_out(ended, n + 1, cx)));
        }
        // Sources and tasks are asked after others have run: to a task that has done its share, all that is tokio's pretends to
        // have nothing.
        if this.turn == Turn::ReconcileResult(IN_A_ROW) || !coop::has_budget_remaining() {
            this.turn = Turn::Others;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let in_a_row = match std::mem::replace(&mut this.turn, Turn::ReconcileResult(0)) {
            Turn::ReconcileResult(n) => n,
            Turn::Others => {
                this.executor.reap(cx);
                0
            }
        };
        let taken = this.poll_sources(cx);
        this.start(cx);
        if let Poll::Ready(Some(error)) = taken {
            return Poll::Ready(Some(Err(error.into())));
        }
        // What was started has not been asked yet whether it has ended.
        if let Poll::Ready(Some(ended)) = this.executor.poll_ended(cx) {
            // One more, since nobody else has run in between.
            return Poll::Ready(Some(this.come_out(ended, in_a_row + 1, cx)));
        }
        if taken.is_ready() {
            // There is more: let others run in between.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
