//! `NoiseDetector`: detects a server that repeats earlier events, or that sends bookmarks at a high rate and no changes.
//! `NoiseDetector` only observes: it must not influence the watcher.

use std::time::Duration;
use tokio::time::Instant;

/// [`NoiseDetector`] reports repeated events when it has counted this number of consecutive repeated events.
/// It checks the rate of bookmarks each time that it has counted this number of bookmarks.
const MIN_EVENTS: u32 = 100;
/// Bookmarks are reported if the average time between two bookmarks is shorter than this. Servers send a bookmark about
/// every minute.
const MIN_BOOKMARK_INTERVAL: Duration = Duration::from_secs(1);

/// The resource version of a snapshot or of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Version {
    Number(u128),
    /// A version that is not a number. Such versions have no order.
    Opaque(String),
}

impl Version {
    fn new(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Opaque(text.to_owned()), Self::Number)
    }

    /// Whether this version is newer than `other`. An opaque version has no order: if `self` or `other` is
    /// opaque, returns whether the two versions differ.
    fn is_newer_than(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(version), Self::Number(other)) => version > other,
            _ => self != other,
        }
    }
}

/// A problem that [`NoiseDetector`] detected. `NoiseDetector` reports the problem again only after a newer event or another
/// snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// The server repeats events.
    Repeated { events: u32 },
    /// The server sends bookmarks at a high rate, and no changes.
    OnlyBookmarks { bookmarks: u32, within: Duration },
}

/// Observes the events that a watcher receives after a snapshot. Detects repeated events, and bookmarks at a
/// high rate without changes.
#[derive(Debug, Default)]
pub(super) struct NoiseDetector {
    /// The newest version among the snapshot and the events after it; `None` before the first snapshot.
    newest: Option<Version>,
    /// The number of consecutive events that are not newer than `newest`.
    repeated: u32,
    /// The current sample of bookmarks: their number, and the time of the first bookmark. `None` if the
    /// sample is empty. When the sample has [`MIN_EVENTS`] bookmarks, `record_bookmark` checks their rate and
    /// starts a new sample. A snapshot, or an event that is newer than `newest`, also starts a new sample.
    bookmarks: Option<(u32, Instant)>,
    /// Whether bookmarks were reported. A snapshot, or an event that is newer than `newest`, sets this field to
    /// false.
    is_reported: bool,
}

impl NoiseDetector {
    /// Restarts the observation after a snapshot with this version. Returns whether the version is a number; Kubernetes
    /// specifies that it is.
    pub(super) fn restart_observation(&mut self, version: &str) -> bool {
        let version = Version::new(version);
        let is_number = matches!(version, Version::Number(_));
        *self = Self { newest: Some(version), ..Self::default() };
        is_number
    }

    /// Records a change or a deletion. Returns whether the event is not newer than `newest`, and the finding
    /// to report, if any.
    pub(super) fn record_change(&mut self, version: &str) -> (bool, Option<Finding>) {
        let version = Version::new(version);
        if self.newest.as_ref().is_none_or(|newest| version.is_newer_than(newest)) {
            *self = Self { newest: Some(version), ..Self::default() };
            return (false, None);
        }
        self.repeated = self.repeated.saturating_add(1);
        let events = self.repeated;
        (true, (events == MIN_EVENTS).then_some(Finding::Repeated { events }))
    }

    /// Records a bookmark. Returns a finding if the server sends bookmarks at a high rate and no changes.
    /// Returns the next finding only after a newer event or another snapshot.
    pub(super) fn record_bookmark(&mut self) -> Option<Finding> {
        let now = Instant::now();
        let (count, since) = self.bookmarks.unwrap_or((0, now));
        let (bookmarks, within) = (count + 1, now.saturating_duration_since(since));
        if bookmarks < MIN_EVENTS {
            self.bookmarks = Some((bookmarks, since));
            return None;
        }
        self.bookmarks = None;
        let is_noise = within < MIN_BOOKMARK_INTERVAL * MIN_EVENTS;
        let is_first = is_noise && !std::mem::replace(&mut self.is_reported, is_noise);
        is_first.then_some(Finding::OnlyBookmarks { bookmarks, within })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    /// The number of findings after 300 rounds of these versions.
    fn finding_count(versions: &[&str]) -> usize {
        let mut noise = NoiseDetector::default();
        noise.restart_observation("5");
        let rounds = (0..300).flat_map(|_| versions);
        rounds.filter(|version| noise.record_change(version).1.is_some()).count()
    }

    #[test]
    fn repeated_events_are_reported_once_until_a_newer_event_arrives() {
        assert_eq!(finding_count(&["7"]), 1);
        assert_eq!(finding_count(&["5"]), 1, "the version of the snapshot");
        assert_eq!(finding_count(&["6", "7"]), 1, "older versions");
        assert_eq!(finding_count(&["x"]), 1);
        assert_eq!(finding_count(&["x", "y"]), 0, "opaque versions have no order");
        let mut noise = NoiseDetector::default();
        noise.restart_observation("5");
        let mut versions = (0..1000).map(|n: u32| (6 + n / 50).to_string());
        assert_eq!(versions.find_map(|version| noise.record_change(&version).1), None);
    }

    #[tokio::test(start_paused = true)]
    async fn bookmarks_at_a_high_rate_are_reported_once_until_a_change() {
        let mut noise = NoiseDetector::default();
        noise.restart_observation("5");
        for (interval, expected) in [(60_000, 0), (900, 1), (900, 0)] {
            let mut found = 0;
            for _ in 0..250 {
                advance(Duration::from_millis(interval)).await;
                found += usize::from(noise.record_bookmark().is_some());
            }
            assert_eq!(found, expected, "each {interval} ms");
        }
        assert_eq!(noise.record_change("6"), (false, None));
        let findings = (0..250).filter_map(|_| noise.record_bookmark()).count();
        assert_eq!(findings, 1, "after a change");
    }
}
