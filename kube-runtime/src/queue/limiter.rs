//! `RateLimiter`: decides how long a key waits after a failure.

use std::time::Duration;
use tokio::time::Instant;

/// Decides how long a key waits after a failure. [`MaxOf`] combines two limiters.
///
/// A limiter receives the number of consecutive failures, so that a limit per key needs no state per key. A limiter must
/// not read a clock: `now` is the current time.
///
/// ```
/// use kube_runtime::controller::{FailureBackoff, Key, MaxOf, RateLimiter, TokenBucket};
/// use std::time::Duration;
/// use tokio::time::Instant;
///
/// // The defaults of client-go: 5 ms to 1000 s per object, and 10 failures per second for all objects.
/// let per_key = FailureBackoff::new(Duration::from_millis(5), Duration::from_secs(1000));
/// let mut limiter = MaxOf(per_key, TokenBucket::new(10.0, 100));
/// let delay = limiter.delay(&Key::new(None, "a"), 3, Instant::now());
/// assert_eq!(delay, Duration::from_millis(20));
/// ```
pub trait RateLimiter<K>: Send {
    /// The delay before the retry of `key`, after `failures` consecutive failures.
    fn delay(&mut self, key: &K, failures: u32, now: Instant) -> Duration;
}

/// Two limiters: the longer delay applies.
#[derive(Debug, Clone, Copy)]
pub struct MaxOf<A, B>(
    /// The first limiter.
    pub A,
    /// The second limiter.
    pub B,
);

impl<K, A: RateLimiter<K>, B: RateLimiter<K>> RateLimiter<K> for MaxOf<A, B> {
    fn delay(&mut self, key: &K, failures: u32, now: Instant) -> Duration {
        let (one, other) = (self.0.delay(key, failures, now), self.1.delay(key, failures, now));
        one.max(other)
    }
}

/// A rate limiter with a separate delay for each key, like client-go's `ItemExponentialFailureRateLimiter`.
/// The delay of a key doubles with each consecutive failure of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureBackoff {
    base: Duration,
    max: Duration,
}

impl FailureBackoff {
    /// A limiter whose delay is `base` after the first failure, and doubles with each further consecutive failure, up to
    /// `max`.
    pub fn new(base: Duration, max: Duration) -> Self {
        Self { base, max: max.max(base) }
    }

    /// The delay after the given number of consecutive failures.
    pub(super) fn delay_after(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.max)
    }
}

impl<K> RateLimiter<K> for FailureBackoff {
    fn delay(&mut self, _: &K, failures: u32, _: Instant) -> Duration {
        self.delay_after(failures)
    }
}

/// A limit for all keys together, like client-go's `BucketRateLimiter`: up to `burst` failures have no delay. After each
/// further failure, the key waits until the rate permits its retry.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    /// The time after which the next token is added.
    interval: Duration,
    burst: u32,
    /// The time at which the bucket is full again; `None` before the first failure.
    full_at: Option<Instant>,
}

impl TokenBucket {
    /// A full bucket of `burst` tokens, to which `per_second` tokens are added each second. A rate that is not positive
    /// permits one token in about 30 years.
    pub fn new(per_second: f64, burst: u32) -> Self {
        /// The longest time per token: about 30 years.
        const MAX_INTERVAL: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
        let interval =
            Duration::try_from_secs_f64(per_second.recip()).unwrap_or(MAX_INTERVAL).min(MAX_INTERVAL);
        Self { interval, burst, full_at: None }
    }
}

impl<K> RateLimiter<K> for TokenBucket {
    fn delay(&mut self, _: &K, _: u32, now: Instant) -> Duration {
        let full_at = self.full_at.unwrap_or(now).max(now);
        // If the addition overflows, `full_at` keeps its value. The retries after all further failures are
        // then due at the same time.
        let full_at = full_at.checked_add(self.interval).unwrap_or(full_at);
        self.full_at = Some(full_at);
        (full_at - now).saturating_sub(self.interval.saturating_mul(self.burst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_permits_a_burst_and_then_the_rate() {
        let mut bucket = TokenBucket::new(10.0, 3);
        let now = Instant::now();
        let mut delay = |after: u64| bucket.delay(&(), 1, now + Duration::from_millis(after)).as_millis();
        assert_eq!([delay(0), delay(0), delay(0), delay(0), delay(0)], [0, 0, 0, 100, 200]);
        // At 300 ms, one token is available. At 60 s, the bucket is full.
        assert_eq!(
            [delay(300), delay(60_000), delay(60_000), delay(60_000), delay(60_000)],
            [0, 0, 0, 0, 100]
        );
    }

    #[test]
    fn a_rate_of_any_value_does_not_overflow() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE] {
            let mut bucket = TokenBucket::new(rate, 1);
            for _ in 0..100 {
                bucket.delay(&(), 1, Instant::now());
            }
        }
        assert_eq!(TokenBucket::new(f64::INFINITY, 0).delay(&(), 1, Instant::now()), Duration::ZERO);
    }

    #[test]
    fn many_failures_do_not_overflow() {
        let backoff = FailureBackoff::new(Duration::from_millis(5), Duration::from_secs(1000));
        assert_eq!(backoff.delay_after(1), Duration::from_millis(5));
        assert_eq!(backoff.delay_after(u32::MAX), Duration::from_secs(1000));
    }
}
