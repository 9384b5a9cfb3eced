//! The tasks of one connection: the tasks that hyper spawns for HTTP/2, or the task of the session after an upgrade.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hyper::rt::Executor;
use tokio::task::JoinSet;

/// The tasks of a connection. Dropping this value aborts the tasks.
#[derive(Default)]
pub(super) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    /// Waits until all tasks have ended. Dropping the future aborts the tasks.
    pub(super) async fn finish(self) {
        let mut tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
    }

    /// The executor that spawns the tasks. The executor has only a weak reference to the tasks, because a task that hyper
    /// spawns contains a clone of the executor: a strong reference would keep the tasks alive.
    pub(super) fn executor(&self) -> Spawner {
        Spawner(Arc::downgrade(&self.0))
    }
}

/// Spawns the tasks of a connection. Drops a new task if the connection has ended.
#[derive(Clone)]
pub(super) struct Spawner(Weak<Mutex<JoinSet<()>>>);

impl<F> Executor<F> for Spawner
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        let Some(tasks) = self.0.upgrade() else { return };
        let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}
