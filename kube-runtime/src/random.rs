//! The one source of randomness: jitter comes from here, so that a run can be replayed exactly.

use std::time::Duration;

/// Adds up to the same again at random.
pub(crate) fn jitter(wait: Duration) -> Duration {
    wait.saturating_add(Duration::try_from_secs_f64(wait.as_secs_f64() * fastrand::f64()).unwrap_or(wait))
}

/// Takes up to half away at random.
pub(crate) fn shortened(limit: Duration) -> Duration {
    limit.mul_f64(1.0 - fastrand::f64() / 2.0)
}

/// Seeds the randomness of the calling thread.
///
/// With a single-threaded runtime, a paused clock and an in-process server, two runs with the same seed are the same.
///
/// ```
/// kube_runtime::seed(7);
/// ```
pub fn seed(seed: u64) {
    fastrand::seed(seed);
}
