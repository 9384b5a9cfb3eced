//! `Config`: the options of a controller.

use crate::queue::FailureBackoff;
use std::time::Duration;

/// The options of a controller.
///
/// ```
/// use kube_runtime::controller::Config;
/// use std::time::Duration;
///
/// let config = Config::default().concurrency(4).debounce(Duration::from_millis(100));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Config {
    pub(super) debounce: Duration,
    pub(super) concurrency: usize,
    pub(super) failures: FailureBackoff,
    pub(super) drain_timeout: Duration,
    pub(super) sync_timeout: Duration,
    pub(super) reconcile_timeout: Duration,
    pub(super) stall_limit: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            debounce: Duration::ZERO,
            concurrency: 32,
            failures: FailureBackoff::new(Duration::from_millis(5), Duration::from_secs(1000)),
            drain_timeout: Duration::from_secs(30),
            sync_timeout: Duration::from_secs(120),
            reconcile_timeout: Duration::MAX,
            stall_limit: Duration::from_secs(600),
        }
    }
}

impl Config {
    /// The wait between a change and the reconcile of the object. Further changes during the wait are part of the same
    /// reconcile, and do not extend the wait. Zero by default.
    pub fn debounce(mut self, debounce: Duration) -> Self {
        self.debounce = debounce;
        self
    }

    /// The maximum number of concurrent reconciles; 0 for no limit. 32 by default.
    pub fn concurrency(mut self, concurrency: u16) -> Self {
        self.concurrency = if concurrency == 0 { usize::MAX } else { usize::from(concurrency) };
        self
    }

    /// The wait between a failure and the next reconcile of the object: `base` after the first failure, then doubled with
    /// each consecutive failure, up to `max`. 5 ms and 1000 s by default.
    /// [`Controller::rate_limiter`](crate::Controller::rate_limiter) replaces this backoff.
    pub fn failure_backoff(mut self, base: Duration, max: Duration) -> Self {
        self.failures = FailureBackoff::new(base, max);
        self
    }

    /// The time for which in-flight reconciles may continue after a shutdown begins. After this time, the controller
    /// cancels the remaining reconciles. 30 s by default.
    pub fn drain_timeout(mut self, limit: Duration) -> Self {
        self.drain_timeout = limit;
        self
    }

    /// The time limit on the first snapshots of the controller's kind, and of the owned and watched kinds. Reconciles
    /// wait for these snapshots: if a kind does not exist, or its list is forbidden, no reconcile starts.
    ///
    /// After this time, the stream of [`Controller::run`](crate::Controller::run) yields an
    /// [`Error::SyncTimeout`](super::Error::SyncTimeout) for each store without a complete snapshot, and one warning is
    /// logged. The controller continues, and reconciles start when the snapshots are complete: a
    /// CustomResourceDefinition may be installed later. A program with controller-runtime ends after its
    /// `CacheSyncTimeout`; to get the same behaviour, end the program at this error. Two minutes by default;
    /// `Duration::MAX` for no limit.
    pub fn sync_timeout(mut self, limit: Duration) -> Self {
        self.sync_timeout = limit;
        self
    }

    /// The time limit of a reconcile, and of a call of the deletion handler. After this time, the controller drops the
    /// future, yields [`Error::ReconcilerTimedOut`](super::Error::ReconcilerTimedOut), and requeues the object after
    /// the backoff. With the Cargo feature `metrics`, `controller_runtime_reconcile_timeouts_total` counts these
    /// failures. A reconciler that blocks its thread instead of awaiting cannot be cancelled; see
    /// [`stall_limit`](Self::stall_limit).
    ///
    /// `Duration::MAX` by default, which means no limit, as in controller-runtime.
    pub fn reconcile_timeout(mut self, limit: Duration) -> Self {
        self.reconcile_timeout = limit;
        self
    }

    /// The time after which the controller logs one warning for a reconcile that has not ended, or for an object that is
    /// due but not reconciled although all gates are open. The warning contains the name of the object. With the Cargo
    /// feature `metrics`, `kube_runtime_stuck_reconciles_total` and `kube_runtime_stuck_keys_total` count the warnings.
    /// The controller does not cancel the reconcile. The controller checks every five seconds. Ten minutes by default.
    pub fn stall_limit(mut self, limit: Duration) -> Self {
        self.stall_limit = limit;
        self
    }
}
