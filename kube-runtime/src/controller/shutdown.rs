//! `Shutdown`: the triggers and the phase of a controller's shutdown.

use futures::future::{BoxFuture, FutureExt, select};
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Sleep;

/// The triggers and the phase of a shutdown.
#[derive(Default)]
pub(super) struct Shutdown {
    /// When this future completes, the graceful shutdown begins; `None` if there is no trigger.
    graceful: Option<BoxFuture<'static, ()>>,
    /// Completes when in-flight reconciles must be cancelled, at the second signal; `None` if signals are not handled.
    forced: Option<BoxFuture<'static, ()>>,
    /// The time limit of the phase `Draining`.
    drain: Option<Pin<Box<Sleep>>>,
    phase: Phase,
}

/// The phase of a shutdown.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No shutdown has begun.
    #[default]
    Running,
    /// In-flight reconciles may finish.
    Draining,
    /// In-flight reconciles are cancelled.
    Cancelling,
}

impl Shutdown {
    /// Adds a trigger of a graceful shutdown.
    pub(super) fn add_trigger(&mut self, trigger: impl Future<Output = ()> + Send + 'static) {
        let trigger = trigger.boxed();
        self.graceful = Some(match self.graceful.take() {
            Some(other) => select(other, trigger).map(drop).boxed(),
            None => trigger,
        });
    }

    /// Begins a graceful shutdown at the next poll.
    pub(super) fn begin(&mut self) {
        self.add_trigger(std::future::ready(()));
    }

    /// Makes the first signal a trigger of the graceful shutdown, and the second signal the trigger of the forced
    /// shutdown.
    pub(super) fn add_signals(&mut self) {
        self.add_trigger(wait_for_signal());
        self.forced = Some(
            async {
                wait_for_signal().await;
                wait_for_signal().await;
            }
            .boxed(),
        );
    }

    /// Polls the triggers and returns the current phase. `limit` is the time limit of the phase `Draining`.
    pub(super) fn poll_phase(&mut self, limit: Duration, cx: &mut Context<'_>) -> Phase {
        let is_ready = |future: &mut Option<BoxFuture<'static, ()>>, cx: &mut Context<'_>| {
            let ready = future.as_mut().is_some_and(|future| future.poll_unpin(cx).is_ready());
            if ready {
                *future = None;
            }
            ready
        };
        if self.phase == Phase::Running && is_ready(&mut self.graceful, cx) {
            tracing::debug!("shutting down: waiting for in-flight reconciles");
            self.phase = Phase::Draining;
            self.drain = Some(Box::pin(tokio::time::sleep(limit)));
        }
        let drain_expired = self.drain.as_mut().is_some_and(|drain| drain.poll_unpin(cx) == Poll::Ready(()));
        if self.phase == Phase::Draining && (drain_expired || is_ready(&mut self.forced, cx)) {
            tracing::debug!("shutting down: cancelling in-flight reconciles");
            self.phase = Phase::Cancelling;
            self.drain = None;
        }
        // Poll `forced` even while the controller runs: otherwise `forced` would miss the first signal and then
        // complete only at the third signal.
        if self.phase == Phase::Running && is_ready(&mut self.forced, cx) {
            self.phase = Phase::Cancelling;
        }
        self.phase
    }
}

/// Waits for SIGINT or SIGTERM; on Windows, for Ctrl-C.
pub(crate) async fn wait_for_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                let _ = select(Box::pin(interrupt), Box::pin(terminate.recv())).await;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot listen for SIGTERM");
                let _ = interrupt.await;
            }
        }
    }
    #[cfg(not(unix))]
    let _ = interrupt.await;
}
