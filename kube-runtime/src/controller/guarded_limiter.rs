//! `GuardedLimiter`: a user's rate limiter whose panics do not end the controller.

use super::{Key, panic};
use crate::log_limit::LogLimit;
use crate::queue::{FailureBackoff, RateLimiter};
use std::time::Duration;
use tokio::time::Instant;

/// Calls a user's limiter. If the limiter panics for a key, the key waits for the default backoff, and the panic is
/// logged, at most once a minute.
pub(super) struct GuardedLimiter<L> {
    limiter: L,
    fallback: FailureBackoff,
    log: LogLimit,
}

impl<L> GuardedLimiter<L> {
    pub(super) fn new(limiter: L, fallback: FailureBackoff) -> Self {
        Self { limiter, fallback, log: LogLimit::new(1, Duration::from_secs(60)) }
    }
}

impl<L: RateLimiter<Key>> RateLimiter<Key> for GuardedLimiter<L> {
    fn delay(&mut self, key: &Key, failures: u32, now: Instant) -> Duration {
        panic::catch(|| self.limiter.delay(key, failures, now)).unwrap_or_else(|message| {
            let delay = self.fallback.delay(key, failures, now);
            if let Some(suppressed) = self.log.permit_message() {
                tracing::error!(%key, failures, wait = ?delay, suppressed, "the rate limiter panicked: {message}");
            }
            delay
        })
    }
}
