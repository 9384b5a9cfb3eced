//! What is asked of a contender, and what it answers.

use serde::{Deserialize, Serialize};

use super::{Digest, Measure};
use crate::peer::{Client, Config};

/// One run of one row.
#[derive(Debug, Deserialize)]
pub(crate) struct Job {
    /// The row's name.
    pub(crate) row: String,
    /// The load source, as `127.0.0.1:1234`.
    pub(crate) source: String,
    /// The name of this run at the load source.
    pub(crate) session: String,
    /// How many gets or reconciles, for rows that do such.
    pub(crate) calls: usize,
}

impl Job {
    /// A client with nothing but the address set, as it comes.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let url = format!("http://{}/{}", self.source, self.session).parse()?;
        Ok(Client::try_from(Config::new(url))?)
    }
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Report {
    /// The work is done.
    Done(Outcome),
    /// The contender has nothing of the kind.
    Absent {
        /// Why.
        reason: String,
    },
}

/// What the work has cost.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    /// Objects, events, calls: whatever the row counts.
    pub(crate) units: u64,
    /// Wall time.
    pub(crate) wall_ns: u64,
    /// Processor time of all threads, in user mode and in the kernel.
    pub(crate) cpu_ns: u64,
    /// Resident memory before the work.
    pub(crate) before_kib: u64,
    /// The most memory that was resident meanwhile.
    pub(crate) peak_kib: u64,
    /// Resident memory after the work, with its result still held.
    pub(crate) after_kib: u64,
    /// By how much the process's data has grown.
    pub(crate) kept_kib: u64,
    /// What the objects add up to that were read back afterwards.
    pub(crate) digest: Option<Digest>,
}

impl Outcome {
    /// So many units of work, and what they have cost.
    pub(crate) fn new(units: usize, measure: &Measure) -> Self {
        Self {
            units: units as u64,
            wall_ns: nanoseconds(measure.wall),
            cpu_ns: nanoseconds(measure.cpu),
            before_kib: measure.before.resident,
            peak_kib: measure.after.peak,
            after_kib: measure.after.resident,
            kept_kib: measure.after.data.saturating_sub(measure.before.data),
            digest: None,
        }
    }

    /// With what the result adds up to. It is read after everything was measured.
    pub(crate) fn digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }
}

fn nanoseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
