//! The only source of times and random numbers for a `Sim`.
//!
//! Other modules must not read the system clock or generate random numbers: a run is reproducible only if all its times
//! and random numbers come from this module. Timers use tokio's clock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The source of timestamps. Clones are handles to the same clock.
#[derive(Clone, Debug)]
pub(crate) struct Clock(Arc<Mutex<Source>>);

#[derive(Clone, Copy, Debug)]
enum Source {
    /// The system clock plus the time that [`Clock::advance`] has added.
    Wall(SignedDuration),
    /// The time `start`, plus the time that tokio's clock has advanced since the instant `since`. [`Clock::advance`] moves
    /// `start`. If tokio's clock is paused, the run is reproducible.
    Tokio { start: Timestamp, since: Instant },
}

impl Clock {
    /// The system clock.
    pub(crate) fn system() -> Self {
        Self::of(Source::Wall(SignedDuration::ZERO))
    }

    /// A clock that shows `start` now and advances with tokio's clock.
    pub(crate) fn starting_at(start: Timestamp) -> Self {
        Self::of(Source::Tokio { start, since: Instant::now() })
    }

    fn of(source: Source) -> Self {
        Self(Arc::new(Mutex::new(source)))
    }

    fn source(&self) -> MutexGuard<'_, Source> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Timestamp {
        let (base, passed) = match *self.source() {
            #[expect(clippy::disallowed_methods, reason = "the one reader of the clock")]
            Source::Wall(added) => (Timestamp::now(), added),
            Source::Tokio { start, since } => {
                (start, SignedDuration::try_from(since.elapsed()).unwrap_or_default())
            }
        };
        base.checked_add(passed).unwrap_or(Timestamp::MAX)
    }

    /// Moves the clock forward by `time`.
    pub(crate) fn advance(&self, time: SignedDuration) {
        match &mut *self.source() {
            Source::Wall(added) => *added = added.saturating_add(time),
            Source::Tokio { start, .. } => *start = start.checked_add(time).unwrap_or(Timestamp::MAX),
        }
    }

    /// The current time as `metav1.Time`: RFC 3339 in whole seconds.
    pub(crate) fn stamp(&self) -> String {
        format_seconds(self.now())
    }

    /// The current time plus `after`, as `metav1.Time`.
    pub(crate) fn stamp_after(&self, after: Duration) -> String {
        let passed = SignedDuration::try_from(after).unwrap_or_default();
        format_seconds(self.now().checked_add(passed).unwrap_or(Timestamp::MAX))
    }
}

/// Formats `at` as `metav1.Time`: RFC 3339 in whole seconds.
pub(crate) fn format_seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Formats `at` as `metav1.MicroTime`: RFC 3339 with six digits after the decimal point.
pub(crate) fn format_micros(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// A random number generator of a simulation. The simulation uses random numbers for uids, generated names, cluster IPs,
/// node ports, timeouts of watches, fault rules and the workload.
#[derive(Clone, Debug)]
#[expect(clippy::disallowed_types, reason = "the one source of randomness")]
pub(crate) struct Random(fastrand::Rng);

/// The characters of generated names, as in Kubernetes: no vowels and no ambiguous characters.
const NAME_CHARACTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

impl Random {
    #[expect(clippy::disallowed_types, reason = "the one source of randomness")]
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A generator for one of many streams of random numbers. The numbers depend on the seed and on `stream`, which
    /// identifies the stream.
    pub(crate) fn for_stream(seed: u64, stream: u64) -> Self {
        // Because of the multiplier, neighbouring values of `stream` lead to seeds that are far apart.
        Self::seeded(seed ^ stream.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Returns true with the probability `probability`.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.0.f64() < probability
    }

    /// A random UUID of version 4.
    pub(crate) fn uid(&mut self) -> String {
        let bits = (self.0.u128(..) & !(0xf000 << 64) & !(0xc000 << 48)) | (0x4000 << 64) | (0x8000 << 48);
        let hex = format!("{bits:032x}");
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// A random suffix of `length` characters. The server appends such a suffix to `generateName`.
    pub(crate) fn suffix(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(NAME_CHARACTERS[self.0.usize(..NAME_CHARACTERS.len())])).collect()
    }

    /// A random number less than `end`; zero if `end` is zero.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.0.u64(..end) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_version_four_and_the_seed_determines_their_sequence() {
        let (mut a, mut b) = (Random::seeded(7), Random::seeded(7));
        let uid = a.uid();
        assert_eq!(uid, b.uid());
        assert_ne!(uid, a.uid());
        assert_eq!(uid.len(), 36);
        assert_eq!(&uid[14..15], "4");
        assert!("89ab".contains(&uid[19..20]), "{uid}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_with_a_start_time_advances_with_tokio() {
        let clock = Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(clock.stamp(), "2026-01-01T00:00:00Z");
        tokio::time::advance(Duration::from_millis(61_500)).await;
        assert_eq!(clock.stamp(), "2026-01-01T00:01:01Z");
        assert_eq!(clock.stamp_after(Duration::from_secs(30)), "2026-01-01T00:01:31Z");
        clock.clone().advance(SignedDuration::from_hours(1));
        assert_eq!(clock.stamp(), "2026-01-01T01:01:01Z");
    }
}
