//! `Executor`: runs reconciles as tasks, and tells how each has ended.

use super::{Action, Error};
use crate::reflector::ObjectRef;
use ahash::AHashMap;
use kube_client::Resource;
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::Instrument;

/// The user's functions, and what they are working on. Dropping it cancels every task.
pub(super) struct Executor<K: Resource, R, P, Ctx, E> {
    reconciler: R,
    error_policy: P,
    context: Arc<Ctx>,
    tasks: JoinSet<(Arc<K>, Result<Action, E>)>,
    running: AHashMap<Id, ObjectRef<K>>,
}

/// How a reconcile has ended.
pub(super) struct Ended<K: Resource, E: std::error::Error + 'static> {
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
        Self { reconciler, error_policy, context, tasks: JoinSet::new(), running: AHashMap::new() }
    }

    pub(super) fn start(&mut self, key: ObjectRef<K>, object: Arc<K>) {
        let span = tracing::info_span!("reconciling object", object.ref = %key);
        let call = AssertUnwindSafe(|| (self.reconciler)(object.clone(), self.context.clone()));
        let handle = match catch_unwind(call) {
            Ok(reconcile) => self.tasks.spawn(async move { (object, reconcile.await) }.instrument(span)),
            // It panicked before there was a future: let a task fail in its place, as for every other panic.
            Err(panic) => self.tasks.spawn(async move { resume_unwind(panic) }),
        };
        self.running.insert(handle.id(), key);
    }

    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    /// The next reconcile that has ended; `None` if none is running.
    pub(super) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Option<Ended<K, E>>> {
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

    fn returned(&self, key: ObjectRef<K>, object: Arc<K>, result: Result<Action, E>) -> Ended<K, E> {
        match result {
            Ok(action) => Ended { object: key, action, error: None },
            Err(error) => {
                // It runs on the controller's own task: a panic in it is the object's failure, too.
                let policy = AssertUnwindSafe(|| (self.error_policy)(object, &error, self.context.clone()));
                let action = catch_unwind(policy);
                let named = Box::new(key.clone().erase());
                let (action, error) = match action {
                    Ok(action) => (action, Error::ReconcilerFailed(error, named)),
                    Err(panic) => {
                        (Action::requeue_with_backoff(), Error::ReconcilerPanicked(named, message(&*panic)))
                    }
                };
                Ended { object: key, action, error: Some(error) }
            }
        }
    }
}

/// A task that has not returned.
fn lost<K: Resource, E: std::error::Error>(key: ObjectRef<K>, error: JoinError) -> Ended<K, E>
where
    K::DynamicType: Clone,
{
    let object = Box::new(key.clone().erase());
    let error = match error.try_into_panic() {
        Ok(panic) => Error::ReconcilerPanicked(object, message(&*panic)),
        Err(_) => Error::ReconcilerCancelled(object),
    };
    Ended { object: key, action: Action::requeue_with_backoff(), error: Some(error) }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}
