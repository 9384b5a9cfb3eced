//! `Config`: the limits of a `Recorder`.

use std::time::Duration;

/// The limits of a [`Recorder`](super::Recorder). The defaults are those of client-go.
///
/// ```
/// use kube_runtime::events::Config;
/// use std::time::Duration;
///
/// let config = Config::default().burst(5).refill(Duration::from_secs(60));
/// assert_eq!(config.capacity, 4096);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The burst of the rate limit: the maximum number of events that may be written for one object at once; 25 by
    /// default.
    pub burst: u32,
    /// The time after which one more event may be written for an object; 5 minutes by default.
    pub refill: Duration,
    /// The maximum number of series in memory, and also the maximum number of objects whose rate limits are in memory;
    /// 4096 by default.
    pub capacity: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { burst: 25, refill: Duration::from_secs(300), capacity: 4096 }
    }
}

impl Config {
    /// Sets the maximum number of events that may be written for one object at once.
    #[must_use]
    pub fn burst(mut self, burst: u32) -> Self {
        self.burst = burst;
        self
    }

    /// Sets the time after which one more event may be written for an object. Zero removes the rate limit.
    #[must_use]
    pub fn refill(mut self, refill: Duration) -> Self {
        self.refill = refill;
        self
    }

    /// Sets the maximum number of series in memory, and also the maximum number of objects whose rate limits are in
    /// memory. Zero counts as one.
    #[must_use]
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }
}
