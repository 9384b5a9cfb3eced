//! The result that a contender reports for a row, the medians over the rounds, and the metrics derived from them.

use serde::{Deserialize, Serialize};

/// The result that a contender prints as JSON.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Report {
    /// The row was executed.
    Done(Outcome),
    /// The contender does not have the row.
    Absent {
        /// The reason that the table shows.
        reason: String,
    },
}

/// The measured cost of one run.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Outcome {
    /// The number of processed units of the row, such as objects, events or MiB.
    pub(super) units: u64,
    /// Wall time.
    pub(super) wall_ns: u64,
    /// CPU time, user and system.
    pub(super) cpu_ns: u64,
    /// Resident memory before the work.
    pub(super) before_kib: u64,
    /// Peak resident memory.
    pub(super) peak_kib: u64,
    /// Resident memory after the work.
    pub(super) after_kib: u64,
    /// Growth of anonymous resident memory (`RssAnon`).
    pub(super) kept_kib: u64,
    /// The number of times that a thread of the contender was resumed after a wait.
    pub(super) wakeups: u64,
    /// The digest of the objects that the contender has read; `None` if the contender reports no digest.
    pub(super) digest: Option<Digest>,
    /// The number of TLS connections that the contender opened. The mock API server counts them.
    #[serde(skip)]
    pub(super) connections: u64,
}

/// The number of objects and the sum of their hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Digest {
    /// The number of objects.
    pub(super) count: u64,
    /// The wrapping sum of the objects' hashes.
    pub(super) sum: u64,
}

/// Medians over the rounds, computed for each figure independently.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Figures {
    /// The number of processed units of the row, such as objects, events or MiB.
    pub(super) units: f64,
    /// Wall time in seconds.
    pub(super) wall_s: f64,
    /// CPU time in seconds.
    pub(super) cpu_s: f64,
    /// Resident bytes before the work.
    pub(super) before_bytes: f64,
    /// Peak resident bytes.
    pub(super) peak_bytes: f64,
    /// Resident bytes after the work.
    pub(super) after_bytes: f64,
    /// Growth of anonymous resident memory in bytes.
    pub(super) kept_bytes: f64,
    /// The number of TLS connections that the contender opened.
    pub(super) connections: f64,
    /// The number of times that a thread of the contender was resumed after a wait.
    pub(super) wakeups: f64,
}

impl Figures {
    /// The medians of `rounds`; `None` if there are no rounds.
    pub(super) fn medians_of(rounds: &[Outcome]) -> Option<Self> {
        let median_of = |field: fn(&Outcome) -> u64| median(rounds.iter().map(field).collect());
        Some(Self {
            units: median_of(|round| round.units)?,
            wall_s: median_of(|round| round.wall_ns)? / 1e9,
            cpu_s: median_of(|round| round.cpu_ns)? / 1e9,
            before_bytes: median_of(|round| round.before_kib)? * 1024.0,
            peak_bytes: median_of(|round| round.peak_kib)? * 1024.0,
            after_bytes: median_of(|round| round.after_kib)? * 1024.0,
            kept_bytes: median_of(|round| round.kept_kib)? * 1024.0,
            connections: median_of(|round| round.connections)?,
            wakeups: median_of(|round| round.wakeups)?,
        })
    }

    /// Units per second.
    pub(super) fn rate(&self) -> f64 {
        self.units / self.wall_s
    }

    /// Wall time per unit, in seconds.
    pub(super) fn seconds_per_unit(&self) -> f64 {
        self.wall_s / self.units
    }

    /// Retained bytes per unit: the growth of anonymous memory, divided by the number of units.
    pub(super) fn kept_bytes_per_unit(&self) -> f64 {
        self.kept_bytes / self.units
    }

    /// Wake-ups per second.
    pub(super) fn wakeups_per_second(&self) -> f64 {
        self.wakeups / self.wall_s
    }

    /// The peak growth of resident memory, divided by the growth that remains after the work.
    pub(super) fn peak_to_final_ratio(&self) -> f64 {
        (self.peak_bytes - self.before_bytes) / (self.after_bytes - self.before_bytes)
    }
}

/// The median; `None` if there are no values. For an even number of values, it is the mean of the two middle values.
#[expect(clippy::cast_precision_loss, reason = "nanoseconds and KiB of a bench are far below 2^52")]
fn median(mut values: Vec<u64>) -> Option<f64> {
    values.sort_unstable();
    let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some(f64::midpoint(values[low] as f64, values[high] as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_is_the_mean_of_the_middle_two() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![7]), Some(7.0));
        assert_eq!(median(vec![9, 1, 5]), Some(5.0));
        assert_eq!(median(vec![9, 1, 5, 6]), Some(5.5));
    }

    #[test]
    fn rate_time_and_memory_follow_from_the_outcome() {
        let outcome = Outcome {
            units: 100,
            wall_ns: 500_000_000,
            cpu_ns: 1_000_000_000,
            before_kib: 1_000,
            peak_kib: 3_200,
            after_kib: 3_000,
            kept_kib: 1_900,
            wakeups: 40,
            digest: None,
            connections: 0,
        };
        let figures = Figures::medians_of(&[outcome]).unwrap();
        assert!((figures.rate() - 200.0).abs() < 1e-9);
        assert!((figures.seconds_per_unit() - 0.005).abs() < 1e-9);
        assert!((figures.wakeups_per_second() - 80.0).abs() < 1e-9);
        assert!((figures.kept_bytes_per_unit() - 19.0 * 1024.0).abs() < 1e-9);
        assert!((figures.peak_to_final_ratio() - 1.1).abs() < 1e-9);
    }
}
