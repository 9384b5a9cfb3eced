//! Deadlines beyond the range of the clock.

use std::time::Duration;
use tokio::time::Instant;

/// Further away than any process lives, and within the range of every clock.
const NEVER: Duration = Duration::from_secs(86_400 * 365 * 30);

/// The time `wait` after `start`. A time beyond the range of the clock becomes one that is never reached.
pub(super) fn after(start: Instant, wait: Duration) -> Instant {
    start.checked_add(wait).unwrap_or_else(|| start + NEVER)
}
