//! What a contender reports of a row, the medians of several rounds, and what follows from them.

use serde::{Deserialize, Serialize};

/// What a contender prints.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Report {
    /// The work is done.
    Done(Outcome),
    /// The contender has nothing of the kind.
    Absent {
        /// Why.
        reason: String,
    },
}

/// What the work of one run has cost.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Outcome {
    /// What the row counts.
    pub(super) units: u64,
    /// Wall time.
    pub(super) wall_ns: u64,
    /// Processor time, in user mode and in the kernel.
    pub(super) cpu_ns: u64,
    /// Resident memory before.
    pub(super) before_kib: u64,
    /// The most that was resident.
    pub(super) peak_kib: u64,
    /// Resident memory after.
    pub(super) after_kib: u64,
    /// By how much the process's data has grown.
    pub(super) kept_kib: u64,
    /// What the objects add up to that were read back.
    pub(super) digest: Option<Digest>,
}

/// How many objects, and what they add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Digest {
    /// How many.
    pub(super) count: u64,
    /// The sum of their hashes.
    pub(super) sum: u64,
}

/// Medians over the rounds, each figure by itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Figures {
    /// What the row counts.
    pub(super) units: f64,
    /// Seconds of wall time.
    pub(super) wall_s: f64,
    /// Seconds of processor time.
    pub(super) cpu_s: f64,
    /// Resident bytes before.
    pub(super) before_bytes: f64,
    /// The most bytes that were resident.
    pub(super) peak_bytes: f64,
    /// Resident bytes after.
    pub(super) after_bytes: f64,
    /// Bytes by which the process's data has grown.
    pub(super) kept_bytes: f64,
}

impl Figures {
    /// The medians of some rounds; `None` of none.
    pub(super) fn of(rounds: &[Outcome]) -> Option<Self> {
        let of = |field: fn(&Outcome) -> u64| median(rounds.iter().map(field).collect());
        Some(Self {
            units: of(|round| round.units)?,
            wall_s: of(|round| round.wall_ns)? / 1e9,
            cpu_s: of(|round| round.cpu_ns)? / 1e9,
            before_bytes: of(|round| round.before_kib)? * 1024.0,
            peak_bytes: of(|round| round.peak_kib)? * 1024.0,
            after_bytes: of(|round| round.after_kib)? * 1024.0,
            kept_bytes: of(|round| round.kept_kib)? * 1024.0,
        })
    }

    /// Units in a second.
    pub(super) fn rate(&self) -> f64 {
        self.units / self.wall_s
    }

    /// Seconds for a unit.
    pub(super) fn time(&self) -> f64 {
        self.wall_s / self.units
    }

    /// Bytes that stay for a unit.
    pub(super) fn kept(&self) -> f64 {
        self.kept_bytes / self.units
    }

    /// The peak in relation to what stays, both beyond what was there before.
    pub(super) fn peak_over_kept(&self) -> f64 {
        (self.peak_bytes - self.before_bytes) / (self.after_bytes - self.before_bytes)
    }
}

/// The middle one, or the mean of the two in the middle.
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
    fn takes_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![7]), Some(7.0));
        assert_eq!(median(vec![9, 1, 5]), Some(5.0));
        assert_eq!(median(vec![9, 1, 5, 6]), Some(5.5));
    }

    #[test]
    fn what_follows_from_the_figures() {
        let outcome = Outcome {
            units: 100,
            wall_ns: 500_000_000,
            cpu_ns: 1_000_000_000,
            before_kib: 1_000,
            peak_kib: 3_200,
            after_kib: 3_000,
            kept_kib: 1_900,
            digest: None,
        };
        let figures = Figures::of(&[outcome]).unwrap();
        assert!((figures.rate() - 200.0).abs() < 1e-9);
        assert!((figures.time() - 0.005).abs() < 1e-9);
        assert!((figures.kept() - 19.0 * 1024.0).abs() < 1e-9);
        assert!((figures.peak_over_kept() - 1.1).abs() < 1e-9);
    }
}
