//! The attempt number of a reconcile. A reconciler, an error policy and a deletion handler can read this number. This
//! module must not count attempts; the `queue` does.

use super::panic;
use pin_project_lite::pin_project;
use std::{
    cell::Cell,
    pin::Pin,
    task::{Context, Poll},
};

thread_local! {
    /// The attempt number of the reconciler, error policy or deletion handler that this thread runs; 1 while the thread
    /// runs none of them.
    static ATTEMPT: Cell<u32> = const { Cell::new(1) };
}

/// The number of the current attempt to reconcile the object: 1 plus the number of consecutive earlier attempts after
/// which the object was requeued with backoff.
///
/// The controller requeues the object with backoff if the reconciler or the error policy returns
/// [`Action::requeue_with_backoff`](super::Action::requeue_with_backoff), if the deletion handler returns an error,
/// after a panic, and after a timeout. Any other [`Action`], a [`TerminalError`](super::TerminalError) and the deletion
/// of the object reset the number. A change of the object does not reset the number, so a reconciler can stop an
/// expensive strategy after some attempts. The span of the reconcile contains the number as `attempt`.
///
/// Call this function in a reconciler, an error policy or a deletion handler. It returns 1 elsewhere: in tests that
/// call the reconciler directly, and in tasks that the reconciler spawns.
///
/// [`Action`]: super::Action
///
/// ```
/// use kube_runtime::controller::{self, Action};
/// use std::{convert::Infallible, sync::Arc};
///
/// async fn reconcile<K>(_: Arc<K>, _: Arc<()>) -> Result<Action, Infallible> {
///     if controller::attempt() > 3 {
///         println!("it has failed three times");
///     }
///     Ok(Action::await_change())
/// }
///
/// assert_eq!(controller::attempt(), 1);
/// # drop(reconcile::<()>);
/// ```
pub fn attempt() -> u32 {
    ATTEMPT.get()
}

/// Calls `f`. During the call, [`attempt`] returns `number`. If `f` panics, the error is the panic message.
pub(super) fn catch_in_attempt<T>(number: u32, f: impl FnOnce() -> T) -> Result<T, String> {
    let before = ATTEMPT.replace(number);
    let result = panic::catch(f);
    ATTEMPT.set(before);
    result
}

pin_project! {
    /// Wraps a future: while the future is polled, [`attempt`] returns `number`.
    pub(super) struct AttemptFuture<F> {
        #[pin]
        future: F,
        number: u32,
    }
}

impl<F> AttemptFuture<F> {
    pub(super) fn new(number: u32, future: F) -> Self {
        Self { future, number }
    }
}

impl<F: Future> Future for AttemptFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        /// Sets the attempt number of the thread to the previous number when the poll returns or panics.
        struct RestoreGuard(u32);
        impl Drop for RestoreGuard {
            fn drop(&mut self) {
                ATTEMPT.set(self.0);
            }
        }
        let this = self.project();
        let _restore = RestoreGuard(ATTEMPT.replace(*this.number));
        this.future.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attempt_number_is_set_only_during_a_call_or_poll() {
        assert_eq!(catch_in_attempt(3, attempt), Ok(3));
        assert!(catch_in_attempt(3, || panic!("boom")).is_err());
        assert_eq!(attempt(), 1);
        let mut future = Box::pin(AttemptFuture::new(4, async { attempt() }));
        let poll = future.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()));
        assert_eq!((poll, attempt()), (Poll::Ready(4), 1));
    }
}
