//! `RecorderState`: decides whether an event is written, counted or dropped. This module performs no IO and does not wait.
//! The caller passes the time.

use super::config::Config;
use super::event::{Event, Reference, Reporter, SeriesKey};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use lru::LruCache;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::time::Duration;
use tokio::time::Instant;

/// A series ends if its event is not repeated for this time.
const SERIES_TIMEOUT: Duration = Duration::from_secs(6 * 60);

/// The interval at which the count of a series is written again. By default, the server deletes an event that is not
/// written for an hour.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30 * 60);

/// If the write of the last count of a series fails, the recorder retries the write for this time after the end of the
/// series.
const COUNT_RETRY_TIME: Duration = Duration::from_secs(10 * 60);

/// The series and the rate limits of a recorder.
#[derive(Debug)]
pub(super) struct RecorderState {
    config: Config,
    series: LruCache<SeriesKey, Series>,
    buckets: LruCache<Reference, TokenBucket>,
    /// The suffix of the last event's name.
    last_nanos: i128,
    /// The number of occurrences that the recorder discarded without a confirmed write. If a series was
    /// evicted during a write of this series, the server may still count some of these occurrences.
    dropped: u64,
}

/// An event and its repetitions. An event that occurred once is a series with one occurrence.
#[derive(Debug)]
struct Series {
    event: v1::Event,
    count: i32,
    /// The last count that was written to the server; 0 until the event is created.
    written: i32,
    /// The time of the last update of `written`, by tokio's clock; before the first update, the time of the first
    /// occurrence.
    written_at: Instant,
    /// The time of the last occurrence by the system's clock, for the field `lastObservedTime`.
    observed: MicroTime,
    /// The time of the last occurrence, by tokio's clock.
    observed_at: Instant,
    /// Whether a write of this series is in progress. The caller ends it with [`RecorderState::finish_write`] or
    /// [`RecorderState::release_series`].
    busy: bool,
}

/// A write to send. The series is busy until the caller calls [`RecorderState::finish_write`] or
/// [`RecorderState::release_series`].
#[derive(Debug)]
pub(super) struct EventWrite {
    pub(super) key: SeriesKey,
    /// The event. If it has been repeated, its field `series` contains the count.
    pub(super) event: v1::Event,
    /// The count of the series after the write.
    pub(super) count: i32,
    /// Whether the request creates the event; if not, it patches the series of the existing event.
    pub(super) create: bool,
}

impl RecorderState {
    pub(super) fn new(config: Config) -> Self {
        let capacity = config.capacity;
        let (series, buckets) = (lru_cache(capacity), lru_cache(capacity));
        Self { config, series, buckets, last_nanos: 0, dropped: 0 }
    }

    /// The number of occurrences that the recorder discarded without a confirmed write. If a series was
    /// evicted during a write of this series, the server may still count some of these occurrences.
    pub(super) fn dropped_count(&self) -> u64 {
        self.dropped
    }

    pub(super) fn has_series(&self) -> bool {
        !self.series.is_empty()
    }

    /// Records an occurrence. Returns the write that the occurrence requires, if any.
    ///
    /// The first occurrence creates the event, and the second one makes the event a series. Later occurrences are only
    /// counted; [`start_due_writes`](Self::start_due_writes) returns the write of the count.
    pub(super) fn record_occurrence(
        &mut self,
        event: &Event,
        reporter: &Reporter,
        regarding: &ObjectReference,
        now: Instant,
        time: Timestamp,
    ) -> Option<EventWrite> {
        let key = SeriesKey::new(event, regarding);
        if let Some(series) = self.series.get_mut(&key) {
            series.count = series.count.saturating_add(1);
            (series.observed, series.observed_at) = (MicroTime(time), now);
            if series.busy
                || series.written > 1
                || !take_token(&mut self.buckets, &key.regarding, &self.config, now)
            {
                return None;
            }
            return Some(series.start_write(&key));
        }
        if !take_token(&mut self.buckets, &key.regarding, &self.config, now) {
            self.dropped += 1;
            return None;
        }
        // Two events of one object in the same nanosecond need distinct names.
        self.last_nanos = time.as_nanosecond().max(self.last_nanos + 1);
        let event = event.to_api_object(reporter, regarding, time, self.last_nanos);
        let observed = MicroTime(time);
        let (count, written, busy) = (1, 0, false);
        let mut series = Series { event, count, written, written_at: now, observed, observed_at: now, busy };
        let write = series.start_write(&key);
        let evicted = self.series.push(key, series);
        self.dropped += evicted.map_or(0, |(_, series)| series.unwritten_count());
        Some(write)
    }

    /// Records that a write succeeded. Returns the next write if the event has become a series in the meantime.
    pub(super) fn finish_write(&mut self, written: &EventWrite, now: Instant) -> Option<EventWrite> {
        // Ignore a write whose series was evicted: a new series with the same key sends its own writes.
        let series = self.series_of(written)?;
        (series.written, series.written_at, series.busy) = (written.count, now, false);
        (written.count == 1 && series.count > 1).then(|| series.start_write(&written.key))
    }

    /// Marks the series of a failed or cancelled write as no longer busy.
    pub(super) fn release_series(&mut self, write: &EventWrite) {
        if let Some(series) = self.series_of(write) {
            series.busy = false;
        }
    }

    /// The series that a write belongs to; `None` if that series was evicted, even if a new series has the same key.
    fn series_of(&mut self, write: &EventWrite) -> Option<&mut Series> {
        let series = self.series.peek_mut(&write.key)?;
        (series.event.metadata.name == write.event.metadata.name).then_some(series)
    }

    /// Marks each series that has a due write as busy. Returns these writes: the final counts of series that
    /// ended, and the refreshes of series that continue. If `all` is `true`, returns the writes of all
    /// unwritten counts as well. Skips busy series. Removes the series that ended and need no further write.
    pub(super) fn start_due_writes(&mut self, now: Instant, all: bool) -> Vec<EventWrite> {
        let (mut writes, mut ended) = (Vec::new(), Vec::new());
        for (key, series) in self.series.iter_mut().filter(|(_, series)| !series.busy) {
            let silent = now.duration_since(series.observed_at);
            let unwritten = series.unwritten_count() > 0;
            let refresh = series.written > 1 && now.duration_since(series.written_at) >= REFRESH_INTERVAL;
            // As in client-go, a failed creation is not retried when the series ends. Only an occurrence before the end,
            // or a flush with `all`, retries the creation.
            let final_count = unwritten && series.written > 0 && silent < SERIES_TIMEOUT + COUNT_RETRY_TIME;
            if (silent >= SERIES_TIMEOUT && final_count)
                || (silent < SERIES_TIMEOUT && refresh)
                || (all && unwritten)
            {
                writes.push(series.start_write(key));
            } else if silent >= SERIES_TIMEOUT {
                ended.push(key.clone());
            }
        }
        for key in ended {
            self.dropped += self.series.pop(&key).map_or(0, |series| series.unwritten_count());
        }
        writes
    }
}

impl Series {
    /// The number of occurrences that are not written to the server.
    fn unwritten_count(&self) -> u64 {
        u64::try_from(self.count.saturating_sub(self.written)).unwrap_or(0)
    }

    /// Marks the series as busy and returns the write to send.
    fn start_write(&mut self, key: &SeriesKey) -> EventWrite {
        self.busy = true;
        let mut event = self.event.clone();
        let last_observed_time = self.observed.clone();
        event.series = (self.count > 1).then_some(v1::EventSeries { count: self.count, last_observed_time });
        EventWrite { key: key.clone(), event, count: self.count, create: self.written == 0 }
    }
}

/// The rate limit of one object, as a token bucket.
#[derive(Debug)]
struct TokenBucket {
    tokens: u32,
    /// Tokens have been added for the time up to this instant.
    filled: Instant,
}

/// Returns an empty cache for at most `capacity` entries; a capacity of 0 counts as 1. Allocates no memory in advance.
fn lru_cache<K: Hash + Eq, V>(capacity: usize) -> LruCache<K, V> {
    let mut cache = LruCache::unbounded();
    cache.resize(NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN));
    cache
}

/// Takes a token from the bucket of the object, unless `config` disables the rate limit. Returns `false` if the bucket is
/// empty.
fn take_token(
    buckets: &mut LruCache<Reference, TokenBucket>,
    object: &Reference,
    config: &Config,
    now: Instant,
) -> bool {
    if config.refill.is_zero() {
        return true;
    }
    // An evicted bucket starts again with all tokens, as in client-go.
    let full = || TokenBucket { tokens: config.burst, filled: now };
    buckets.get_or_insert_mut_ref(object, full).take_token(config, now)
}

impl TokenBucket {
    /// Takes a token. Returns `false` if the bucket is empty.
    fn take_token(&mut self, config: &Config, now: Instant) -> bool {
        let periods = now.duration_since(self.filled).as_nanos() / config.refill.as_nanos();
        let periods = u32::try_from(periods).unwrap_or(u32::MAX);
        if periods >= config.burst.saturating_sub(self.tokens) {
            (self.tokens, self.filled) = (config.burst, now);
        } else {
            self.tokens += periods;
            self.filled += config.refill * periods;
        }
        let allowed = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        allowed
    }
}
