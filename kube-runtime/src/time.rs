//! Timestamps of events, leases and conditions. All other modules must get timestamps from this module, so
//! that a run can be replayed.
//!
//! Durations are measured with tokio's clock, and never with timestamps.

use k8s_openapi::jiff::Timestamp;
use std::cell::Cell;
use tokio::time::Instant;

thread_local! {
    /// The timestamp at which this thread's timestamps start, and the instant on tokio's clock that corresponds to this
    /// timestamp; `None` for the system clock.
    static START: Cell<Option<(Timestamp, Instant)>> = const { Cell::new(None) };
}

/// The current time.
pub(crate) fn now() -> Timestamp {
    match START.get() {
        Some((start, since)) => start.checked_add(since.elapsed()).unwrap_or(Timestamp::MAX),
        None => Timestamp::now(),
    }
}

/// Replaces the system clock for the timestamps of events, leases and conditions that the calling thread writes: the
/// timestamps start at `start`, and advance with tokio's clock.
///
/// With [`seed`](crate::seed()), a single-threaded runtime and a paused clock, two runs write the same bytes. Call this
/// function inside the tokio runtime, at the beginning of the run.
///
/// ```
/// use kube_runtime::status::condition;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// kube_runtime::start_time("2026-01-01T00:00:00Z".parse()?);
/// tokio::time::advance(std::time::Duration::from_secs(5)).await;
/// let ready = condition("Ready", true, "Started", "all parts run");
/// assert_eq!(ready.last_transition_time.0.to_string(), "2026-01-01T00:00:05Z");
/// # Ok(())
/// # }
/// ```
pub fn start_time(start: Timestamp) {
    START.set(Some((start, Instant::now())));
}
