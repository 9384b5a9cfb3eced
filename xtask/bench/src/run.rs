//! `Runner`: starts a new process for each run of a row, and verifies the objects that the contender returns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde_json::json;

use super::contender::Contender;
use super::figures::{Digest, Figures, Outcome, Report};
use super::mock_server::MockServer;
use super::report::{Cell, Table};
use super::rows::Row;
use super::{build, process, touch};
use xtask_process::Scratch;

/// The time limit for one run. A run that takes longer is assumed to hang.
const RUN_TIMEOUT: Duration = Duration::from_secs(300);

/// Runs contenders against one mock API server.
#[derive(Debug)]
pub(super) struct Runner<'a> {
    scratch: &'a Scratch,
    server: &'a MockServer,
    /// By row and contender: the MiB that [`touch::touch_pages`] touches before the next run, computed from the peak
    /// memory of the previous run.
    mib_to_touch: BTreeMap<(&'static str, Contender), usize>,
    digests: BTreeMap<&'static str, Digest>,
    /// The number of runs so far. It makes the name of each run's session with the mock API server unique.
    sessions: usize,
}

/// The results of a row so far.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    done: BTreeMap<Contender, Vec<Outcome>>,
    /// The cells of the contenders that failed, returned wrong objects, were not built or lack the feature. Later rounds
    /// skip these contenders.
    failed: BTreeMap<Contender, Cell>,
}

impl Outcomes {
    /// Stores the medians and failures in a table.
    pub(super) fn store_in(self, table: &mut Table, row: &'static Row) {
        for (contender, outcomes) in self.done {
            if let Some(figures) = Figures::medians_of(&outcomes) {
                table.set_cell(row.name, contender, Cell::Measured(figures));
            }
        }
        for (contender, cell) in self.failed {
            table.set_cell(row.name, contender, cell);
        }
    }
}

impl<'a> Runner<'a> {
    /// Creates a runner for the mock API server `server`.
    pub(super) fn new(scratch: &'a Scratch, server: &'a MockServer) -> Self {
        Self { scratch, server, mib_to_touch: BTreeMap::new(), digests: BTreeMap::new(), sessions: 0 }
    }

    /// Executes a row: calls [`Self::run_round`] for each round, and stores the medians and failures in `table`.
    ///
    /// # Errors
    /// If the mock API server fails. If a contender fails, this function stores the reason in `table`.
    ///
    /// # Cancel safety
    /// Cancelling terminates the running contender.
    pub(super) async fn run_row(
        &mut self,
        table: &mut Table,
        row: &'static Row,
        contenders: &[(Contender, Result<PathBuf, String>)],
        rounds: usize,
    ) -> anyhow::Result<()> {
        let mut outcomes = Outcomes::default();
        for round in 0..rounds {
            self.run_round(&mut outcomes, row, contenders, round).await?;
        }
        outcomes.store_in(table, row);
        Ok(())
    }

    /// Runs every contender once, except those in [`Outcomes::failed`]. The round number selects the contender that
    /// runs first.
    ///
    /// # Errors
    /// If the mock API server fails.
    ///
    /// # Cancel safety
    /// Cancelling terminates the running contender.
    pub(super) async fn run_round(
        &mut self,
        outcomes: &mut Outcomes,
        row: &'static Row,
        contenders: &[(Contender, Result<PathBuf, String>)],
        round: usize,
    ) -> anyhow::Result<()> {
        if row.needs_preparation {
            self.server.prepare_data(row.is_protobuf())?;
        }
        for turn in 0..contenders.len() {
            let (contender, program) = &contenders[(round + turn) % contenders.len()];
            if outcomes.failed.contains_key(contender) {
                continue;
            }
            let mib = self.mib_to_touch.get(&(row.name, *contender)).copied();
            touch::touch_pages(mib.unwrap_or_else(|| touch::mib_for_first_run(self.server.pod_count())));
            let program = program.as_ref().map(|program| program_for(row, *contender, program));
            match self.run_once(row, program).await? {
                Ok(outcome) => {
                    self.mib_to_touch
                        .insert((row.name, *contender), touch::mib_for_repeated_run(outcome.peak_kib));
                    outcomes.done.entry(*contender).or_default().push(outcome);
                }
                Err(cell) => drop(outcomes.failed.insert(*contender, cell)),
            }
        }
        Ok(())
    }

    /// Runs a contender once. The inner error is the [`Cell`] that the table shows if the contender failed, returned wrong
    /// objects, was not built or lacks the feature.
    async fn run_once(
        &mut self,
        row: &'static Row,
        program: Result<PathBuf, &String>,
    ) -> anyhow::Result<Result<Outcome, Cell>> {
        let program = match program {
            Ok(program) => program,
            Err(reason) => return Ok(Err(Cell::Absent(reason.clone()))),
        };
        self.sessions += 1;
        let session = format!("{}-{}", row.name, self.sessions);
        let job = json!({
            "row": row.name,
            "source": self.server.address(),
            "tls_source": self.server.tls_address(),
            "session": session,
            "calls": row.amount.for_pods(self.server.pod_count()),
        });
        let output = process::run_to_completion(self.scratch, &program, RUN_TIMEOUT, |launch| {
            launch.args([job.to_string()])
        })
        .await;
        let connections = self.server.connection_count(&session)?;
        self.server.end_session(&session)?;
        let report = output.and_then(|output| {
            serde_json::from_str(&output.stdout).context("cannot decode the contender's output")
        });
        Ok(match report {
            Ok(Report::Done(outcome)) => {
                self.verify_with_server_digest(row, Outcome { connections, ..outcome })?
            }
            Ok(Report::Absent { reason }) => Err(Cell::Absent(reason)),
            Err(error) => Err(Cell::Wrong(format!("{error:#}"))),
        })
    }

    /// Compares the digest of a contender's objects with the mock API server's digest. The inner error is the [`Cell`]
    /// that the table shows if the digests differ.
    fn verify_with_server_digest(
        &mut self,
        row: &'static Row,
        outcome: Outcome,
    ) -> anyhow::Result<Result<Outcome, Cell>> {
        let Some(set) = row.digest else { return Ok(Ok(outcome)) };
        let expected = match self.digests.get(set) {
            Some(expected) => *expected,
            None => *self.digests.entry(set).or_insert(self.server.digest(set)?),
        };
        Ok(verify_digest(outcome, expected))
    }
}

/// The program that runs the row for a contender. `program` is the contender's usual program; client-go has a second
/// program, which contains controller-runtime.
fn program_for(row: &Row, contender: Contender, program: &Path) -> PathBuf {
    if contender == Contender::ClientGo && row.needs_controller_runtime {
        return program.with_file_name(build::CONTROLLER_RUNTIME_PROGRAM);
    }
    program.to_owned()
}

/// Accepts the figures of a run only if the contender reports the expected digest.
fn verify_digest(outcome: Outcome, expected: Digest) -> Result<Outcome, Cell> {
    match outcome.digest {
        Some(digest) if digest == expected => Ok(outcome),
        Some(digest) if digest.count != expected.count => {
            Err(Cell::Wrong(format!("{} objects were read back instead of {}", digest.count, expected.count)))
        }
        Some(_) => Err(Cell::Wrong(
            "the objects that were read back are not those of the mock API server".to_owned(),
        )),
        None => Err(Cell::Wrong("nothing was read back".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_go_has_a_separate_program_for_rows_that_need_controller_runtime() {
        let row = |name: &str| super::super::rows::ROWS.iter().find(|row| row.name == name).unwrap();
        let program = |name, contender| program_for(row(name), contender, Path::new("/x/client-go"));
        assert_eq!(program("list", Contender::ClientGo), Path::new("/x/client-go"));
        assert_eq!(program("priority-queue", Contender::Kube), Path::new("/x/client-go"));
        assert_eq!(program("priority-queue", Contender::ClientGo), Path::new("/x/controller-runtime"));
    }

    #[test]
    fn missing_or_different_objects_are_rejected() {
        let outcome = |digest| Outcome {
            units: 2,
            wall_ns: 1,
            cpu_ns: 1,
            before_kib: 1,
            peak_kib: 1,
            after_kib: 1,
            kept_kib: 1,
            wakeups: 1,
            digest,
            connections: 0,
        };
        let expected = Digest { count: 2, sum: 99 };
        assert!(verify_digest(outcome(Some(expected)), expected).is_ok());
        for (digest, reason) in [
            (None, "nothing was read back"),
            (Some(Digest { count: 1, sum: 99 }), "1 objects were read back instead of 2"),
            (Some(Digest { count: 2, sum: 98 }), "not those of the mock API server"),
        ] {
            match verify_digest(outcome(digest), expected) {
                Err(Cell::Wrong(text)) => assert!(text.contains(reason), "{text}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
