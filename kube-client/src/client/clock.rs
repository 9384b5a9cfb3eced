//! Computes deadlines without overflow of the clock.

use std::time::Duration;
use tokio::time::Instant;

/// A duration longer than the lifetime of any process, and within the range of every platform's clock.
const FAR_FUTURE: Duration = Duration::from_secs(86_400 * 365 * 30);

/// Adds `duration` to `start`. If the sum overflows, adds `FAR_FUTURE` instead.
pub(super) fn add_or_far_future(start: Instant, duration: Duration) -> Instant {
    start.checked_add(duration).unwrap_or_else(|| start + FAR_FUTURE)
}
