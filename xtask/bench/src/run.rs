//! Has contenders do rows, each time in a new process, and checks what they say.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde_json::json;

use super::contender::Contender;
use super::figures::{Digest, Figures, Outcome, Report};
use super::report::{Cell, Table};
use super::rows::Row;
use super::source::Source;
use super::{process, touch};
use xtask_process::Scratch;

/// A run that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is needed to run contenders.
#[derive(Debug)]
pub(super) struct Runner<'a> {
    scratch: &'a Scratch,
    source: &'a Source,
    /// How many MiB each contender's last run of a row took at its peak.
    peaks: BTreeMap<(&'static str, Contender), usize>,
    digests: BTreeMap<&'static str, Digest>,
    sessions: usize,
}

/// What came of a row so far.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    done: BTreeMap<Contender, Vec<Outcome>>,
    /// Who has failed is not asked again.
    failed: BTreeMap<Contender, Cell>,
}

impl Outcomes {
    /// Puts the medians into a table.
    pub(super) fn settle(self, table: &mut Table, row: &'static Row) {
        for (contender, outcomes) in self.done {
            if let Some(figures) = Figures::of(&outcomes) {
                table.set(row.name, contender, Cell::Measured(figures));
            }
        }
        for (contender, cell) in self.failed {
            table.set(row.name, contender, cell);
        }
    }
}

impl<'a> Runner<'a> {
    /// Nothing has been run yet.
    pub(super) fn new(scratch: &'a Scratch, source: &'a Source) -> Self {
        Self { scratch, source, peaks: BTreeMap::new(), digests: BTreeMap::new(), sessions: 0 }
    }

    /// Does a row: in each round every contender once, another one first each time.
    ///
    /// # Errors
    /// When the load source fails. A contender that fails is a cell of the table.
    ///
    /// # Cancel safety
    /// Cancelling ends the contender that runs.
    pub(super) async fn row(
        &mut self,
        table: &mut Table,
        row: &'static Row,
        contenders: &[(Contender, Result<PathBuf, String>)],
        rounds: usize,
    ) -> anyhow::Result<()> {
        let mut outcomes = Outcomes::default();
        for round in 0..rounds {
            self.round(&mut outcomes, row, contenders, round).await?;
        }
        outcomes.settle(table, row);
        Ok(())
    }

    /// Does a row once with every contender; which one comes first depends on the number of the round.
    ///
    /// # Errors
    /// When the load source fails.
    ///
    /// # Cancel safety
    /// Cancelling ends the contender that runs.
    pub(super) async fn round(
        &mut self,
        outcomes: &mut Outcomes,
        row: &'static Row,
        contenders: &[(Contender, Result<PathBuf, String>)],
        round: usize,
    ) -> anyhow::Result<()> {
        if row.prepared {
            self.source.prepare()?;
        }
        for turn in 0..contenders.len() {
            let (contender, program) = &contenders[(round + turn) % contenders.len()];
            if outcomes.failed.contains_key(contender) {
                continue;
            }
            let peak = self.peaks.get(&(row.name, *contender)).copied();
            touch::touch(peak.unwrap_or_else(|| touch::guess(self.source.pods())));
            match self.once(row, program.as_deref()).await? {
                Ok(outcome) => {
                    self.peaks.insert((row.name, *contender), touch::mib(outcome.peak_kib));
                    outcomes.done.entry(*contender).or_default().push(outcome);
                }
                Err(cell) => drop(outcomes.failed.insert(*contender, cell)),
            }
        }
        Ok(())
    }

    async fn once(
        &mut self,
        row: &'static Row,
        program: Result<&Path, &String>,
    ) -> anyhow::Result<Result<Outcome, Cell>> {
        let program = match program {
            Ok(program) => program,
            Err(reason) => return Ok(Err(Cell::Absent(reason.clone()))),
        };
        self.sessions += 1;
        let session = format!("{}-{}", row.name, self.sessions);
        let job = json!({
            "row": row.name,
            "source": self.source.address(),
            "session": session,
            "calls": row.amount.of(self.source.pods()),
        });
        let output =
            process::output(self.scratch, program, PATIENCE, |launch| launch.args([job.to_string()])).await;
        self.source.end(&session)?;
        let report = output.and_then(|output| {
            serde_json::from_str(&output.stdout).context("cannot read what the contender printed")
        });
        Ok(match report {
            Ok(Report::Done(outcome)) => self.checked(row, outcome)?,
            Ok(Report::Absent { reason }) => Err(Cell::Absent(reason)),
            Err(error) => Err(Cell::Wrong(format!("{error:#}"))),
        })
    }

    /// Compares what a contender has read back with what was sent.
    fn checked(&mut self, row: &'static Row, outcome: Outcome) -> anyhow::Result<Result<Outcome, Cell>> {
        let Some(of) = row.digest else { return Ok(Ok(outcome)) };
        let expected = match self.digests.get(of) {
            Some(expected) => *expected,
            None => *self.digests.entry(of).or_insert(self.source.digest(of)?),
        };
        Ok(judge(outcome, expected))
    }
}

/// Takes figures only from a contender that has kept what it was sent.
fn judge(outcome: Outcome, expected: Digest) -> Result<Outcome, Cell> {
    match outcome.digest {
        Some(digest) if digest == expected => Ok(outcome),
        Some(digest) if digest.count != expected.count => {
            Err(Cell::Wrong(format!("{} objects were read back instead of {}", digest.count, expected.count)))
        }
        Some(_) => Err(Cell::Wrong("the objects that were read back are not those of the source".to_owned())),
        None => Err(Cell::Wrong("nothing was read back".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_is_won_by_leaving_work_out() {
        let outcome = |digest| Outcome {
            units: 2,
            wall_ns: 1,
            cpu_ns: 1,
            before_kib: 1,
            peak_kib: 1,
            after_kib: 1,
            kept_kib: 1,
            digest,
        };
        let expected = Digest { count: 2, sum: 99 };
        assert!(judge(outcome(Some(expected)), expected).is_ok());
        for (digest, reason) in [
            (None, "nothing was read back"),
            (Some(Digest { count: 1, sum: 99 }), "1 objects were read back instead of 2"),
            (Some(Digest { count: 2, sum: 98 }), "not those of the source"),
        ] {
            match judge(outcome(digest), expected) {
                Err(Cell::Wrong(text)) => assert!(text.contains(reason), "{text}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
