//! The growth table: the same rows with 2,000, 20,000 and 150,000 pods. With more pods, a rate must not fall by more than
//! 10 %, and the memory per object must not grow.
//!
//! The sizes alternate within each round, so that a change in the machine's speed affects all of them.

use serde_json::{Value, json};

use super::build::BuiltPrograms;
use super::contender::Contender;
use super::figures::Figures;
use super::mock_server::MockServer;
use super::report::{Cell, Table};
use super::rows::{ROWS, Row};
use super::run::{Outcomes, Runner};
use super::table;
use super::targets::Verdict;
use xtask_process::Scratch;
use xtask_process::progress::Progress;

/// The compared cluster sizes, in pods.
const SIZES: [usize; 3] = [2_000, 20_000, COMPACT_LIMIT_PODS];
/// The number of pods that a compact store must hold in at most [`COMPACT_LIMIT_MIB`] of resident memory.
const COMPACT_LIMIT_PODS: usize = 150_000;
const COMPACT_LIMIT_MIB: f64 = 200.0;
/// Bytes in a MiB.
const MIB: f64 = 1024.0 * 1024.0;
/// The rows that are measured at each size.
const ROW_NAMES: [&str; 3] = ["store-list", "store-compact", "store-incomplete"];
/// The smallest allowed ratio of a rate to the rate with fewer pods. Losses below 10 % are noise.
const MIN_RATE_RATIO: f64 = 0.9;

/// The results for all sizes.
#[derive(Debug)]
pub(super) struct Growth {
    /// The printed tables.
    pub(super) text: String,
    /// The results as JSON.
    pub(super) json: Value,
    /// The result of [`Table::is_correct`] for the tables of all sizes: false if one table has a wrong cell.
    pub(super) is_correct: bool,
}

/// Measures all contenders at every size up to `max_pods` pods; at every size if `max_pods` is `None`.
///
/// # Errors
/// If the mock API server fails.
///
/// # Cancel safety
/// Cancelling terminates the mock API servers and the running contender.
pub(super) async fn run(
    built: &BuiltPrograms,
    scratch: &Scratch,
    progress: &Progress,
    rounds: usize,
    max_pods: Option<usize>,
) -> anyhow::Result<Growth> {
    let sizes: Vec<_> =
        SIZES.into_iter().filter(|size| max_pods.is_none_or(|max_pods| *size <= max_pods)).collect();
    let rows: Vec<&'static Row> = ROWS.iter().filter(|row| ROW_NAMES.contains(&row.name)).collect();
    let mut servers = Vec::new();
    for size in &sizes {
        progress.step(&format!("preparing {size} pods"));
        servers.push(MockServer::start(&built.mock_server, scratch, *size).await?);
    }
    let mut runners: Vec<_> = servers.iter().map(|server| Runner::new(scratch, server)).collect();
    let mut tables: Vec<_> = sizes.iter().map(|size| (*size, Table::default())).collect();
    for row in &rows {
        progress.step(&row.label());
        let mut outcomes: Vec<_> = sizes.iter().map(|_| Outcomes::default()).collect();
        for round in 0..rounds {
            for turn in 0..sizes.len() {
                let at = (round + turn) % sizes.len();
                runners[at].run_round(&mut outcomes[at], row, &built.contenders, round).await?;
            }
        }
        for ((_, table), outcomes) in tables.iter_mut().zip(outcomes) {
            outcomes.store_in(table, row);
        }
    }
    let checks = check_targets(&rows, &tables);
    let verdicts: Vec<_> = checks.iter().map(|check| check.verdict.clone()).collect();
    let text = format!(
        "medians of {rounds} rounds\n{}\n\n{}\n{}\n{}",
        figures_table(&rows, &tables),
        tables.first().map(|(_, table)| table::legend(table, &rows)).unwrap_or_default(),
        table::targets_table(checks.iter().map(|check| (check.row, check.text.clone(), &check.verdict))),
        table::summary(&verdicts),
    );
    let json = json!({
        "rounds": rounds,
        "sizes": tables.iter().map(|(size, table)| json!({"pods": size, "rows": table.json_rows(&rows)})).collect::<Vec<_>>(),
        "targets": checks
            .iter()
            .map(|check| json!({"row": check.row, "target": check.text, "verdict": check.verdict}))
            .collect::<Vec<_>>(),
    });
    Ok(Growth { text, json, is_correct: tables.iter().all(|(_, table)| table.is_correct()) })
}

/// The table of all figures, by row, contender and size.
fn figures_table(rows: &[&'static Row], tables: &[(usize, Table)]) -> String {
    let mut text =
        table::table_with_header(&["row", "", "pods", "a second", "wall", "CPU", "peak", "resident", "each"]);
    for row in rows {
        for contender in Contender::ALL {
            for (size, table) in tables {
                let Some(cell) = table.cell(row.name, contender) else { continue };
                let mut line = vec![
                    row.name.into(),
                    contender.to_string().into(),
                    table::right_aligned_cell(size.to_string()),
                ];
                match cell {
                    Cell::Measured(figures) => {
                        line.extend(table::figure_cells(figures, row).map(table::right_aligned_cell));
                    }
                    Cell::Absent(_) => line.push(table::right_aligned_cell("none".to_owned())),
                    Cell::Wrong(_) => line.push(table::right_aligned_cell("WRONG".to_owned())),
                }
                text.add_row(line);
            }
        }
    }
    text.to_string()
}

/// A required result with its verdict.
#[derive(Debug)]
struct CheckedTarget {
    row: &'static str,
    text: String,
    verdict: Verdict,
}

/// Checks this project's rates, its memory per object, and the memory of the process with the compact store.
fn check_targets(rows: &[&'static Row], tables: &[(usize, Table)]) -> Vec<CheckedTarget> {
    let Some(((large, last), smaller)) = tables.split_last() else { return Vec::new() };
    let mut checks = Vec::new();
    for row in rows {
        let mut check = |text, value: Result<f64, String>, met: fn(f64) -> bool| {
            let verdict = match value {
                Ok(value) if met(value) => Verdict::Met(value),
                Ok(value) => Verdict::Missed(value),
                Err(reason) => Verdict::NoFigure(reason),
            };
            checks.push(CheckedTarget { row: row.name, text, verdict });
        };
        let figure =
            |table: &Table, metric: fn(&Figures) -> f64| table.figures(row.name, Contender::Ours).map(metric);
        let ratio = |table, metric| Ok(figure(last, metric)? / figure(table, metric)?);
        for (small, table) in smaller {
            let rate = format!("rate with {large} pods >= {MIN_RATE_RATIO} x that with {small}");
            check(rate, ratio(table, Figures::rate), |value| value >= MIN_RATE_RATIO);
            let kept = format!("bytes retained per object with {large} pods <= 1 x those with {small}");
            check(kept, ratio(table, Figures::kept_bytes_per_unit), |value| value <= 1.0);
        }
        if row.name == "store-compact" && *large == COMPACT_LIMIT_PODS {
            let mib = figure(last, |figures| figures.after_bytes / MIB);
            let text = format!("MiB resident with {large} pods <= {COMPACT_LIMIT_MIB}");
            check(text, mib, |value| value <= COMPACT_LIMIT_MIB);
        }
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table with one row of this project.
    fn table_with(rate: f64, kept: f64, row: &'static str) -> Table {
        let mut table = Table::default();
        let figures = Figures {
            units: 1000.0,
            wall_s: 1000.0 / rate,
            cpu_s: 1.0,
            before_bytes: 0.0,
            peak_bytes: 2e9,
            after_bytes: 300.0 * MIB,
            kept_bytes: kept * 1000.0,
            connections: 0.0,
            wakeups: 0.0,
        };
        table.set_cell(row, Contender::Ours, Cell::Measured(figures));
        table
    }

    #[test]
    fn a_target_is_missed_if_the_rate_falls_or_memory_grows() {
        let rows: Vec<_> = ROWS.iter().filter(|row| row.name == "store-compact").collect();
        let tables = [
            (10, table_with(100.0, 5.0, rows[0].name)),
            (COMPACT_LIMIT_PODS, table_with(80.0, 6.0, rows[0].name)),
        ];
        let verdicts: Vec<_> = check_targets(&rows, &tables).into_iter().map(|check| check.verdict).collect();
        assert_eq!(verdicts, [Verdict::Missed(0.8), Verdict::Missed(1.2), Verdict::Missed(300.0)]);
        let tables = [
            (10, table_with(100.0, 5.0, rows[0].name)),
            (COMPACT_LIMIT_PODS - 1, table_with(125.0, 5.0, rows[0].name)),
        ];
        let verdicts: Vec<_> = check_targets(&rows, &tables).into_iter().map(|check| check.verdict).collect();
        assert_eq!(verdicts, [Verdict::Met(1.25), Verdict::Met(1.0)]);
    }

    #[test]
    fn a_verdict_states_why_its_figure_is_missing() {
        let rows: Vec<_> = ROWS.iter().filter(|row| row.name == "store-list").collect();
        let mut missing = Table::default();
        missing.set_cell("store-list", Contender::Ours, Cell::Wrong("it failed".to_owned()));
        let checks = check_targets(&rows, &[(10, table_with(1.0, 1.0, "store-list")), (20, missing)]);
        assert!(
            checks.iter().all(|check| check.verdict == Verdict::NoFigure("it failed".to_owned())),
            "{checks:?}"
        );
        assert_eq!(checks.len(), 2);
    }
}
