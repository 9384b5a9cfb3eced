//! `Executor`: runs reconciles, and tells how each has ended.
//!
//! A reconcile that has nothing to wait for, as most have when nothing is to be done, ends where it is started. Any other one
//! goes on as a task.

use super::{Action, Error, panic};
use crate::reflector::ObjectRef;
use foldhash::HashMap;
use kube_client::Resource;
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};
use tokio::task::{Id, JoinError, JoinSet, coop};
use tokio::time::Instant;
use tracing::Instrument;

/// How long a reconcile may compute before it waits for something, and still be begun where it is started.
const SHORT: Duration = Duration::from_micros(50);
/// How many reconciles are left to tasks from the beginning after one that has computed for longer.
const LEFT_TO_TASKS: u32 = 100;
/// How many tasks are reaped at once: a part of what tokio lets a task take in one go, which is 128.
const REAPED: usize = 32;

/// The user's functions, and what they are working on. Dropping it cancels every task.
pub(super) struct Executor<K: Resource, R, P, Ctx, E: std::error::Error + 'static> {
    reconciler: R,
    error_policy: P,
    context: Arc<Ctx>,
    tasks: JoinSet<(Arc<K>, Result<Action, E>)>,
    running: HashMap<Id, ObjectRef<K>>,
    /// What has ended where it was started, and what was reaped.
    ended: VecDeque<ReconcileResult<K, E>>,
    /// How many reconciles are still to be tasks from the beginning.
    left_to_tasks: u32,
}

/// How a reconcile has ended.
pub(super) struct ReconcileResult<K: Resource, E: std::error::Error + 'static> {
    pub(super) object: ObjectRef<K>,
    pub(super) action: Action,
    pub(super) error: Option<Error<E>>,
}

impl<K, R, P, Ctx, E, Fut> Executor<K, R, P, Ctx, E>
where
    K: Resource + Send + Sync + 'static,
    K::DynamicType: Clone,
    R: FnMut(Arc<K>, Arc<Ctx>) -> Fut,
    Fut: Future<Output = Result<Action, E>> + Send + 'static,
    P: Fn(Arc<K>, &E, Arc<Ctx>) -> Action,
    E: std::error::Error + Send + 'static,
{
    pub(super) fn new(reconciler: R, error_policy: P, context: Arc<Ctx>) -> Self {
        Self {
            reconciler,
            error_policy,
            context,
            tasks: JoinSet::new(),
            running: HashMap::default(),
            ended: VecDeque::new(),
            left_to_tasks: 0,
        }
    }

    pub(super) fn start(&mut self, key: ObjectRef<K>, object: Arc<K>) {
        let span = tracing::info_span!("reconciling object", object.ref = %key);
        let call = || (self.reconciler)(object.clone(), self.context.clone());
        let mut reconcile = match panic::catch(call) {
            Ok(reconcile) => Box::pin(reconcile.instrument(span)),
            Err(message) => return self.ended.push_back(panicked(key, message)),
        };
        match self.begin(reconcile.as_mut()) {
            Ok(Poll::Ready(result)) => {
                let ended = self.returned(key, object, result);
                self.ended.push_back(ended);
            }
            Ok(Poll::Pending) => {
                let handle = self.tasks.spawn(async move { (object, reconcile.await) });
                self.running.insert(handle.id(), key);
            }
            Err(message) => self.ended.push_back(panicked(key, message)),
        }
    }

    /// Polls a reconcile for the first time, unless such take long. Nobody is woken for it: as a task it is polled again.
    fn begin<F: Future>(&mut self, reconcile: Pin<&mut F>) -> Result<Poll<F::Output>, String> {
        if self.left_to_tasks > 0 {
            self.left_to_tasks -= 1;
            return Ok(Poll::Pending);
        }
        let begun = Instant::now();
        // What it uses up must not count as the controller's own.
        let mut reconcile = coop::unconstrained(reconcile);
        let poll = || Pin::new(&mut reconcile).poll(&mut Context::from_waker(Waker::noop()));
        let polled = panic::catch(poll);
        if begun.elapsed() > SHORT {
            self.left_to_tasks = LEFT_TO_TASKS;
        }
        polled
    }

    /// How many reconciles go on as tasks.
    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    /// Whether one has ended and waits to be taken.
    pub(super) fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// The next reconcile that has ended; `None` if none is running.
    pub(super) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Option<ReconcileResult<K, E>>> {
        if !self.ended.is_empty() {
            // Others have to run at times, however much there is to do.
            ready!(coop::poll_proceed(cx)).made_progress();
            return Poll::Ready(self.ended.pop_front());
        }
        self.poll_tasks(cx)
    }

    /// Takes tasks that have ended, also while there is something that has ended where it was started: they come out behind it.
    pub(super) fn reap(&mut self, cx: &mut Context<'_>) {
        for _ in 0..REAPED {
            let Poll::Ready(Some(ended)) = self.poll_tasks(cx) else { return };
            self.ended.push_back(ended);
        }
    }

    fn poll_tasks(&mut self, cx: &mut Context<'_>) -> Poll<Option<ReconcileResult<K, E>>> {
        Poll::Ready(match ready!(self.tasks.poll_join_next_with_id(cx)) {
            None => None,
            Some(Ok((id, (object, result)))) => {
                self.running.remove(&id).map(|key| self.returned(key, object, result))
            }
            Some(Err(error)) => self.running.remove(&error.id()).map(|key| lost(key, error)),
        })
    }

    /// Cancels everything that runs. Each still comes out of [`poll_ended`](Self::poll_ended).
    pub(super) fn cancel(&mut self) {
        self.tasks.abort_all();
    }

    fn returned(
        &self,
        key: ObjectRef<K>,
        object: Arc<K>,
        result: Result<Action, E>,
    ) -> ReconcileResult<K, E> {
        match result {
            Ok(action) => ReconcileResult { object: key, action, error: None },
            Err(error) => {
                // It runs on the controller's own task: a panic in it is the object's failure, too.
                let policy = || (self.error_policy)(object, &error, self.context.clone());
                match panic::catch(policy) {
                    Ok(action) => {
                        let error = Error::ReconcilerFailed(error, Box::new(key.clone().erase()));
                        ReconcileResult { object: key, action, error: Some(error) }
                    }
                    Err(message) => panicked(key, message),
                }
            }
        }
    }
}

/// A task that has not returned.
fn lost<K: Resource, E: std::error::Error>(key: ObjectRef<K>, error: JoinError) -> ReconcileResult<K, E>
where
    K::DynamicType: Clone,
{
    if let Ok(panic) = error.try_into_panic() {
        return panicked(key, panic::message(&*panic));
    }
    let error = Error::ReconcilerCancelled(Box::new(key.clone().erase()));
    ReconcileResult { object: key, action: Action::requeue_with_backoff(), error: Some(error) }
}

fn panicked<K: Resource, E: std::error::Error>(key: ObjectRef<K>, message: String) -> ReconcileResult<K, E>
where
    K::DynamicType: Clone,
{
    let error = Error::ReconcilerPanicked(Box::new(key.clone().erase()), message);
    ReconcileResult { object: key, action: Action::requeue_with_backoff(), error: Some(error) }
}
