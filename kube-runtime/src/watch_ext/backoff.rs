//! `StreamBackoff`: waits after errors.

use crate::watcher::Backoff;
use futures::Stream;
use futures::TryStream;
use pin_project_lite::pin_project;
use std::{
    any::Any,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::time::{Sleep, sleep};

pin_project! {
    /// The stream of [`backoff`](super::WatchStreamExt::backoff): emits an error, then waits before it polls the
    /// inner stream again. A success resets the backoff. There is no wait after an undecodable object, because the
    /// watch continues.
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct StreamBackoff<S, B> {
        #[pin]
        stream: S,
        backoff: B,
        #[pin]
        state: State,
    }
}

pin_project! {
    /// Whether the stream polls the inner stream, waits, or has ended.
    #[derive(Debug)]
    #[project = StateProj]
    enum State {
        Awake,
        Waiting { #[pin] timer: Sleep },
        /// The backoff has ended, so the stream has ended.
        GivenUp,
    }
}

impl<S: TryStream, B: Backoff> StreamBackoff<S, B> {
    /// Creates the stream that [`stream.backoff(backoff)`](super::WatchStreamExt::backoff) returns.
    pub fn new(stream: S, backoff: B) -> Self {
        Self { stream, backoff, state: State::Awake }
    }
}

impl<S: TryStream<Error: 'static>, B: Backoff> Stream for StreamBackoff<S, B> {
    type Item = Result<S::Ok, S::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        match this.state.as_mut().project() {
            StateProj::Awake => {}
            StateProj::Waiting { timer } => {
                ready!(timer.poll(cx));
                this.state.set(State::Awake);
            }
            StateProj::GivenUp => return Poll::Ready(None),
        }
        let item = ready!(this.stream.as_mut().try_poll_next(cx));
        match &item {
            Some(Ok(_)) => this.backoff.reset(),
            Some(Err(error)) if is_undecodable_object(error) => {}
            Some(Err(_)) => this.state.set(match this.backoff.next() {
                Some(wait) => State::Waiting { timer: sleep(wait) },
                None => State::GivenUp,
            }),
            None => {}
        }
        Poll::Ready(item)
    }
}

/// Whether the error reports an undecodable object. The watch continues after this error.
fn is_undecodable_object<E: 'static>(error: &E) -> bool {
    matches!((error as &dyn Any).downcast_ref(), Some(crate::watcher::Error::Object(_)))
}

#[cfg(test)]
mod tests {
    use crate::WatchStreamExt;
    use crate::watcher::{Error, ExponentialBackoff};
    use futures::{StreamExt, stream};
    use kube_client::core::{ObjectOrigin, UndecodableObject};
    use std::time::Duration;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn the_wait_grows_with_each_error_and_a_success_resets_it() {
        let seconds = Duration::from_secs;
        let items = [Err("a"), Err("b"), Ok(1), Err("c"), Ok(2)];
        let backoff = ExponentialBackoff::new(seconds(1), seconds(9), 2.0, false);
        let start = Instant::now();
        let times: Vec<_> =
            stream::iter(items).backoff(backoff).map(|_| start.elapsed().as_secs()).collect().await;
        assert_eq!(times, [0, 1, 3, 3, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_stream_does_not_wait_after_an_undecodable_object() {
        let undecodable = |_| {
            let source = serde_json::from_str::<u8>("x").unwrap_err();
            let object = UndecodableObject::new("ConfigMap", ObjectOrigin::List, source);
            Err::<u8, _>(Error::Object(object.into()))
        };
        let failure = Err(Error::WatchTooShort { resource: "/api/v1/pods".into() });
        let items = (0..50).map(undecodable).chain([failure, Ok(1)]);
        let start = Instant::now();
        let waits = ExponentialBackoff::new(Duration::from_secs(1), Duration::from_secs(9), 2.0, false);
        let times: Vec<_> =
            stream::iter(items).backoff(waits).map(|_| start.elapsed().as_secs()).collect().await;
        assert_eq!(times.iter().filter(|time| **time == 0).count(), 51);
        assert_eq!(times[51], 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_stream_ends_when_the_backoff_ends() {
        #[derive(Debug)]
        struct OneWait(Option<Duration>);
        impl Iterator for OneWait {
            type Item = Duration;
            fn next(&mut self) -> Option<Duration> {
                self.0.take()
            }
        }
        impl crate::watcher::Backoff for OneWait {
            fn reset(&mut self) {}
        }
        let errors = stream::repeat_with(|| Err::<u8, _>("no"));
        let backoff = OneWait(Some(Duration::from_secs(1)));
        assert_eq!(errors.backoff(backoff).count().await, 2);
    }
}
