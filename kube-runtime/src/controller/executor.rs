//! `Executor`: runs reconciles and returns their results. It must not decide which object is reconciled; the
//! `dispatcher` does.
//!
//! The executor polls a reconcile once inline, on the controller's task, unless a recent inline poll took too long. Most
//! reconciles have nothing to do and finish in this poll; the others continue as tasks.

use super::attempt::{AttemptFuture, catch_in_attempt};
use super::deletion::DeletionHandler;
use super::failure::FailureClass;
use super::trigger::ReconcileReason;
use super::{Action, Error, Key, panic};
use crate::reflector::ObjectRef;
use foldhash::HashMap;
use futures::future::BoxFuture;
use kube_client::core::DynamicObject;
use kube_client::{BoxError, Resource};
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};
use tokio::task::{Id, JoinError, JoinSet, coop};
use tokio::time::Instant;
use tracing::{Instrument, Span};

/// If the first poll of a reconcile takes longer than this, the following reconciles are spawned without an inline
/// poll.
const MAX_INLINE_POLL: Duration = Duration::from_micros(50);
/// After an inline poll took longer than [`MAX_INLINE_POLL`], this number of reconciles is spawned without an
/// inline poll.
const DIRECT_SPAWNS_AFTER_LONG_POLL: u32 = 100;
/// The maximum number of results that one call of [`Executor::reap_finished_tasks`] takes from finished tasks. The
/// limit is less than tokio's coop budget of 128, so that the controller can also poll its sources before it yields.
const MAX_REAPED_TASKS: usize = 32;

/// A user's reconciler with its context. Boxed, so that the executor and the dispatcher are not generic over the types of
/// the closure, its future and the context. The `Span` argument is the span of the reconcile.
pub(super) type Reconciler<'a, K, E> =
    Box<dyn FnMut(Arc<K>, Span) -> BoxFuture<'static, Result<Action, E>> + Send + 'a>;

/// A user's error policy with its context.
pub(super) type ErrorPolicy<'a, K, E> = Box<dyn Fn(Arc<K>, &E) -> Action + Send + 'a>;

/// The output of a task that runs the reconciler or the deletion handler.
enum TaskOutput<K, E> {
    Reconcile(Arc<K>, ReturnValue<E>),
    /// The result of the deletion handler; `None` if its future was dropped at the time limit.
    Deletion(Option<Result<(), BoxError>>),
}

/// The return value of a reconcile; `None` if its future was dropped at the time limit.
type ReturnValue<E> = Option<Result<Action, E>>;

/// A call of the reconciler or of the deletion handler that is in flight.
struct InFlightCall {
    key: Key,
    /// The number of the attempt; see [`attempt`](super::attempt).
    attempt: u32,
    /// Whether the deletion handler was called, instead of the reconciler.
    is_deletion: bool,
}

/// Runs reconciles and deletion handlers. Dropping the executor cancels the reconciles and handlers that are in flight.
pub(super) struct Executor<'a, K: Resource, E: std::error::Error + 'static> {
    reconciler: Reconciler<'a, K, E>,
    error_policy: ErrorPolicy<'a, K, E>,
    dyntype: K::DynamicType,
    /// The time limit of a reconcile, and of a call of the deletion handler; `Duration::MAX` for none.
    timeout: Duration,
    tasks: JoinSet<TaskOutput<K, E>>,
    /// The calls that run as tasks, by the id of the task.
    running: HashMap<Id, InFlightCall>,
    /// The results that are available without a poll of the tasks, and that the dispatcher has not received.
    ended: VecDeque<ReconcileResult<K, E>>,
    /// The number of further reconciles to spawn without an inline poll.
    direct_spawns: u32,
}

/// The result of a reconcile, or of a call of the deletion handler.
pub(super) struct ReconcileResult<K: Resource, E: std::error::Error + 'static> {
    pub(super) key: Key,
    /// The reconciled object, with the uid and the version of the reconciled state if they are known.
    pub(super) object: ObjectRef<K>,
    pub(super) action: Action,
    pub(super) error: Option<Error<E>>,
    /// The class of `error`; `Other` without an error.
    pub(super) class: FailureClass,
    /// Whether this is the result of the deletion handler.
    pub(super) is_deletion: bool,
}

impl<'a, K, E> Executor<'a, K, E>
where
    K: Resource + Send + Sync + 'static,
    K::DynamicType: Clone,
    E: std::error::Error + Send + 'static,
{
    pub(super) fn new<Ctx, Fut>(
        mut reconciler: impl FnMut(Arc<K>, Arc<Ctx>) -> Fut + Send + 'a,
        error_policy: impl Fn(Arc<K>, &E, Arc<Ctx>) -> Action + Send + 'a,
        context: Arc<Ctx>,
        dyntype: K::DynamicType,
    ) -> Self
    where
        Ctx: Send + Sync + 'a,
        Fut: Future<Output = Result<Action, E>> + Send + 'static,
    {
        let policy_context = context.clone();
        Self {
            reconciler: Box::new(move |object, span| {
                Box::pin(reconciler(object, context.clone()).instrument(span))
            }),
            error_policy: Box::new(move |object, error| error_policy(object, error, policy_context.clone())),
            dyntype,
            timeout: Duration::MAX,
            tasks: JoinSet::new(),
            running: HashMap::default(),
            ended: VecDeque::new(),
            direct_spawns: 0,
        }
    }

    /// Sets the time limit of a reconcile, and of a call of the deletion handler; `Duration::MAX` for none.
    pub(super) fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Starts a reconcile of `object`. Polls the reconcile once inline, unless a recent inline poll took too long. Spawns
    /// a task for the reconcile if it has not finished.
    pub(super) fn start_reconcile(
        &mut self,
        key: Key,
        reason: &ReconcileReason,
        object: Arc<K>,
        attempt: u32,
    ) {
        let kind = K::kind(&self.dyntype);
        let named = format_args!("{kind} {key}");
        let span =
            tracing::info_span!("reconciling object", object.ref = %named, object.reason = %reason, attempt);
        let mut reconcile = match catch_in_attempt(attempt, || (self.reconciler)(object.clone(), span)) {
            Ok(reconcile) => AttemptFuture::new(attempt, reconcile),
            Err(message) => {
                let ended = self.result_of_panic(key, message);
                return self.ended.push_back(ended);
            }
        };
        let in_flight = InFlightCall { key, attempt, is_deletion: false };
        match self.poll_inline(Pin::new(&mut reconcile)) {
            Ok(Poll::Ready(result)) => {
                let ended = self.result_of_reconcile(in_flight, object, Some(result));
                self.ended.push_back(ended);
            }
            Ok(Poll::Pending) => {
                let limit = self.timeout;
                let handle = if limit == Duration::MAX {
                    self.tasks.spawn(async move { TaskOutput::Reconcile(object, Some(reconcile.await)) })
                } else {
                    self.tasks.spawn(async move {
                        let returned = tokio::time::timeout(limit, reconcile).await;
                        TaskOutput::Reconcile(object, returned.ok())
                    })
                };
                self.running.insert(handle.id(), in_flight);
            }
            Err(message) => {
                let ended = self.result_of_panic(in_flight.key, message);
                self.ended.push_back(ended);
            }
        }
    }

    /// Starts the deletion handler for a key, as a task.
    pub(super) fn start_deletion_handler(&mut self, key: Key, attempt: u32, handler: &mut DeletionHandler) {
        let named = format_args!("{} {key}", K::kind(&self.dyntype));
        let span = tracing::info_span!("handling deletion", object.ref = %named, attempt);
        let handling = match catch_in_attempt(attempt, || handler(key.clone())) {
            Ok(handling) => AttemptFuture::new(attempt, handling.instrument(span)),
            Err(message) => {
                let ended = self.result_of_panic(key, message);
                return self.ended.push_back(ReconcileResult { is_deletion: true, ..ended });
            }
        };
        let limit = self.timeout;
        let handle = self.tasks.spawn(async move {
            TaskOutput::Deletion(if limit == Duration::MAX {
                Some(handling.await)
            } else {
                tokio::time::timeout(limit, handling).await.ok()
            })
        });
        self.running.insert(handle.id(), InFlightCall { key, attempt, is_deletion: true });
    }

    /// Polls a reconcile inline. Does not poll, and returns `Pending`, if a recent inline poll took too long. The error
    /// is the message of a panic. The waker is a no-op, because the spawned task polls the reconcile again.
    fn poll_inline<F: Future + ?Sized>(&mut self, reconcile: Pin<&mut F>) -> Result<Poll<F::Output>, String> {
        if self.direct_spawns > 0 {
            self.direct_spawns -= 1;
            return Ok(Poll::Pending);
        }
        let started = Instant::now();
        // The reconcile must not consume the controller's coop budget.
        let mut reconcile = coop::unconstrained(reconcile);
        let poll = || Pin::new(&mut reconcile).poll(&mut Context::from_waker(Waker::noop()));
        let polled = panic::catch(poll);
        if started.elapsed() > MAX_INLINE_POLL {
            self.direct_spawns = DIRECT_SPAWNS_AFTER_LONG_POLL;
        }
        polled
    }

    /// The number of reconciles and deletion handlers that run as tasks.
    pub(super) fn running_task_count(&self) -> usize {
        self.running.len()
    }

    /// The task id and the key of each reconcile and of each deletion handler that runs as a task.
    pub(super) fn running_ids_and_keys(&self) -> impl Iterator<Item = (&Id, &Key)> {
        self.running.iter().map(|(id, in_flight)| (id, &in_flight.key))
    }

    /// Whether a result is available without a poll of the tasks.
    pub(super) fn has_result(&self) -> bool {
        !self.ended.is_empty()
    }

    /// The next result; `None` if neither a reconcile nor a deletion handler is in flight.
    pub(super) fn poll_result(&mut self, cx: &mut Context<'_>) -> Poll<Option<ReconcileResult<K, E>>> {
        if !self.ended.is_empty() {
            // Consumes coop budget, so that the controller yields to the runtime during a continuous flow of results.
            ready!(coop::poll_proceed(cx)).made_progress();
            return Poll::Ready(self.ended.pop_front());
        }
        self.poll_tasks(cx)
    }

    /// Queues the results of up to [`MAX_REAPED_TASKS`] finished tasks behind the results of inline reconciles.
    pub(super) fn reap_finished_tasks(&mut self, cx: &mut Context<'_>) {
        for _ in 0..MAX_REAPED_TASKS {
            let Poll::Ready(Some(ended)) = self.poll_tasks(cx) else { return };
            self.ended.push_back(ended);
        }
    }

    /// Polls for the result of a finished task; ready with `None` if no task is left.
    fn poll_tasks(&mut self, cx: &mut Context<'_>) -> Poll<Option<ReconcileResult<K, E>>> {
        Poll::Ready(match ready!(self.tasks.poll_join_next_with_id(cx)) {
            None => None,
            Some(Ok((id, ended))) => self.running.remove(&id).map(|in_flight| match ended {
                TaskOutput::Reconcile(object, result) => self.result_of_reconcile(in_flight, object, result),
                TaskOutput::Deletion(result) => self.result_of_deletion_handler(in_flight, result),
            }),
            Some(Err(error)) => {
                self.running.remove(&error.id()).map(|InFlightCall { key, is_deletion, .. }| {
                    ReconcileResult { is_deletion, ..self.result_of_lost_task(key, error) }
                })
            }
        })
    }

    /// The result of a deletion handler. `returned` is the value that the handler returned; `None` if the
    /// handler reached the time limit.
    fn result_of_deletion_handler(
        &self,
        InFlightCall { key, attempt, .. }: InFlightCall,
        returned: Option<Result<(), BoxError>>,
    ) -> ReconcileResult<K, E> {
        let result = match returned {
            None => {
                let limit = self.timeout;
                self.result_without_error_policy(key, |object| Error::ReconcilerTimedOut(object, limit))
            }
            Some(Ok(())) => {
                let object = key.to_object_ref(self.dyntype.clone());
                let (action, class) = (Action::await_change(), FailureClass::Other);
                ReconcileResult { key, object, action, error: None, class, is_deletion: true }
            }
            Some(Err(error)) => match catch_in_attempt(attempt, || FailureClass::of(&*error)) {
                Ok(class) => {
                    let failed = |object| Error::DeletionFailed(error, object);
                    ReconcileResult { class, ..self.result_without_error_policy(key, failed) }
                }
                Err(message) => self.result_of_panic(key, message),
            },
        };
        ReconcileResult { is_deletion: true, ..result }
    }

    /// Cancels all in-flight reconciles and deletion handlers. [`poll_result`](Self::poll_result) still returns a
    /// result for each of them.
    pub(super) fn cancel_all(&mut self) {
        self.tasks.abort_all();
    }

    /// The result of a reconcile. `returned` is the return value of the reconciler, or `None` if the
    /// reconcile reached the time limit. If the reconciler returned an error, calls the error policy.
    fn result_of_reconcile(
        &self,
        InFlightCall { key, attempt, .. }: InFlightCall,
        object: Arc<K>,
        returned: ReturnValue<E>,
    ) -> ReconcileResult<K, E> {
        let Some(result) = returned else {
            let limit = self.timeout;
            return self.result_without_error_policy(key, |object| Error::ReconcilerTimedOut(object, limit));
        };
        let reference = ObjectRef::from_obj_with(&*object, self.dyntype.clone());
        match result {
            Ok(action) => {
                let class = FailureClass::Other;
                ReconcileResult { key, object: reference, action, error: None, class, is_deletion: false }
            }
            Err(error) => {
                // The error policy, and the methods of the error, run on the controller's task. Catch their panics, so
                // that a panic affects only this object.
                let classify = || (FailureClass::of(&error), (self.error_policy)(object, &error));
                match catch_in_attempt(attempt, classify) {
                    Ok((class, action)) => {
                        let error = Error::ReconcilerFailed(error, Box::new(reference.clone().erase()));
                        let error = Some(error);
                        ReconcileResult { key, object: reference, action, error, class, is_deletion: false }
                    }
                    Err(message) => self.result_of_panic(key, message),
                }
            }
        }
    }

    /// The result of a task that panicked or was cancelled.
    fn result_of_lost_task(&self, key: Key, error: JoinError) -> ReconcileResult<K, E> {
        match error.try_into_panic() {
            Ok(panic) => self.result_of_panic(key, panic::message(&*panic)),
            Err(_) => self.result_without_error_policy(key, Error::ReconcilerCancelled),
        }
    }

    /// The result of a reconcile or deletion handler that panicked with `message`.
    fn result_of_panic(&self, key: Key, message: String) -> ReconcileResult<K, E> {
        self.result_without_error_policy(key, |object| Error::ReconcilerPanicked(object, message))
    }

    /// The result of a failure for which the error policy is not called. The action requeues the object with backoff.
    fn result_without_error_policy(
        &self,
        key: Key,
        error: impl FnOnce(Box<ObjectRef<DynamicObject>>) -> Error<E>,
    ) -> ReconcileResult<K, E> {
        let object = key.to_object_ref(self.dyntype.clone());
        let error = error(Box::new(object.clone().erase()));
        let (action, class) = (Action::requeue_with_backoff(), FailureClass::Other);
        ReconcileResult { key, object, action, error: Some(error), class, is_deletion: false }
    }
}
