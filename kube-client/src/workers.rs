//! The number of worker threads for decoding, and tasks that are aborted on drop.
//!
//! This module is public only because kube-runtime uses it. It is not part of the crate's stable interface.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::{JoinError, JoinHandle},
};

/// The maximum number of threads that decode one body. A single task reads and splits the body; more threads would wait
/// for that task.
const MAX_WORKERS: usize = 16;

/// The current tokio runtime, and the number of its worker threads that may decode one body: at most 16. `None` outside
/// of a runtime, or if the runtime has fewer than two worker threads.
#[must_use]
pub fn workers() -> Option<(Handle, usize)> {
    let runtime = Handle::try_current().ok()?;
    if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
        return None;
    }
    let workers = runtime.metrics().num_workers().min(MAX_WORKERS);
    (workers > 1).then_some((runtime, workers))
}

/// A task that is aborted on drop.
#[derive(Debug)]
pub struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> AbortOnDrop<T> {
    /// Wraps the handle of a spawned task.
    #[must_use]
    pub fn new(task: JoinHandle<T>) -> Self {
        Self(task)
    }

    /// Whether the task has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_multi_threaded_runtime_has_as_many_workers_as_threads() {
        assert_eq!(workers().map(|(_, count)| count), Some(2));
    }

    #[tokio::test]
    async fn a_current_thread_runtime_has_no_workers() {
        assert!(workers().is_none());
    }

    #[test]
    fn there_are_no_workers_outside_of_a_runtime() {
        assert!(workers().is_none());
    }

    #[tokio::test]
    async fn drop_aborts_the_task() {
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        drop(AbortOnDrop::new(tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(sender);
        })));
        assert!(receiver.await.is_err());
    }
}
