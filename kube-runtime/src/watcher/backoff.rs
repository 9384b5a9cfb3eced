//! `Backoff`: the durations of the waits after failures.

use crate::random;
use std::time::Duration;
use tokio::time::Instant;

/// An iterator over the waits between attempts. The waits increase until [`reset`](Backoff::reset). When the iterator
/// ends, the retries end.
pub trait Backoff: Iterator<Item = Duration> + Send + Sync + Unpin {
    /// Restarts with the first wait. Called after a success.
    fn reset(&mut self);
}

/// A backoff whose waits grow exponentially up to a limit. With jitter, clients retry at different times.
///
/// ```
/// use kube_runtime::watcher::{Backoff, ExponentialBackoff};
/// use std::time::Duration;
///
/// let mut backoff = ExponentialBackoff::new(Duration::from_secs(1), Duration::from_secs(3), 2.0, false);
/// let waits: Vec<_> = backoff.by_ref().take(3).map(|wait| wait.as_secs()).collect();
/// assert_eq!(waits, [1, 2, 3]);
/// backoff.reset();
/// assert_eq!(backoff.next(), Some(Duration::from_secs(1)));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ExponentialBackoff {
    min: Duration,
    max: Duration,
    factor: f64,
    jitter: bool,
    next: Duration,
}

impl ExponentialBackoff {
    /// A backoff with waits of `min`, `min * factor`, ... up to `max`. `jitter` adds a random duration to each wait: up to
    /// 100 % of the wait.
    ///
    /// A factor below 1 becomes 1, and a `max` below `min` becomes `min`.
    pub fn new(min: Duration, max: Duration, factor: f64, jitter: bool) -> Self {
        Self { min, max: max.max(min), factor: factor.max(1.0), jitter, next: min }
    }
}

impl Iterator for ExponentialBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.next;
        self.next =
            Duration::try_from_secs_f64(wait.as_secs_f64() * self.factor).unwrap_or(self.max).min(self.max);
        Some(if self.jitter { random::add_jitter(wait) } else { wait })
    }
}

impl Backoff for ExponentialBackoff {
    fn reset(&mut self) {
        self.next = self.min;
    }
}

impl<B: Backoff + ?Sized> Backoff for Box<B> {
    fn reset(&mut self) {
        B::reset(self);
    }
}

/// A backoff that restarts with its first wait if a given time has passed since the caller requested the last wait.
///
/// Uses tokio's clock, which a test can pause.
///
/// ```
/// use kube_runtime::watcher::{ExponentialBackoff, ResetTimerBackoff};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// tokio::time::pause();
/// let exponential = ExponentialBackoff::new(Duration::from_secs(1), Duration::from_secs(60), 2.0, false);
/// let mut backoff = ResetTimerBackoff::new(exponential, Duration::from_secs(120));
/// assert_eq!(backoff.next(), Some(Duration::from_secs(1)));
/// assert_eq!(backoff.next(), Some(Duration::from_secs(2)));
/// tokio::time::advance(Duration::from_secs(121)).await;
/// assert_eq!(backoff.next(), Some(Duration::from_secs(1)));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ResetTimerBackoff<B> {
    backoff: B,
    reset_after: Duration,
    last_wait: Option<Instant>,
}

impl<B: Backoff> ResetTimerBackoff<B> {
    /// A backoff that resets `backoff` if more than `reset_duration` has passed since the caller requested the previous
    /// wait.
    pub fn new(backoff: B, reset_duration: Duration) -> Self {
        Self { backoff, reset_after: reset_duration, last_wait: None }
    }
}

impl<B: Backoff> Iterator for ResetTimerBackoff<B> {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = Instant::now();
        if self.last_wait.replace(now).is_some_and(|last| now.duration_since(last) > self.reset_after) {
            self.backoff.reset();
        }
        self.backoff.next()
    }
}

impl<B: Backoff> Backoff for ResetTimerBackoff<B> {
    fn reset(&mut self) {
        self.backoff.reset();
    }
}

/// The type of a watcher's backoff. Its default value is the backoff of client-go's reflector: 800 ms, doubling up to 30 s,
/// plus up to 100 % jitter.
pub type DefaultBackoff = ExponentialBackoff;

impl Default for ExponentialBackoff {
    fn default() -> Self {
        Self::new(Duration::from_millis(800), Duration::from_secs(30), 2.0, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_backoff_stays_within_its_bounds() {
        let backoff = ExponentialBackoff::default();
        for (n, wait) in backoff.take(50).enumerate() {
            let base = Duration::from_millis(800 << n.min(20)).min(Duration::from_secs(30));
            assert!(wait >= base && wait <= base * 2, "wait {n} is {wait:?}");
        }
    }

    #[test]
    fn exponential_backoff_accepts_extreme_bounds() {
        let mut backoff = ExponentialBackoff::new(Duration::MAX, Duration::ZERO, f64::NAN, true);
        assert_eq!(backoff.nth(2), Some(Duration::MAX));
    }
}
