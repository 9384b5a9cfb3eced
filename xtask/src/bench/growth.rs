//! The growth table: the same work on 2,000, 20,000 and 150,000 pods. Rates must not fall, and what an object takes must
//! not grow.

use super::build::Built;
use super::contender::Contender;
use super::report::{Cell, Table};
use super::rows::{ROWS, Row};
use super::run::Runner;
use super::source::Source;
use super::table;
use crate::process::Scratch;
use crate::progress::Progress;

/// The sizes of clusters that are compared.
const SIZES: [usize; 3] = [2_000, 20_000, 150_000];
/// What is done on each.
const WORK: [&str; 3] = ["store-list", "store-compact", "store-incomplete"];

/// Measures this project on clusters of every size; gives the table, and whether everything was right.
///
/// # Errors
/// When the load source fails.
///
/// # Cancel safety
/// Cancelling ends what runs.
pub(super) async fn run(
    built: &Built,
    scratch: &Scratch,
    progress: &Progress,
    rounds: usize,
    sizes: Option<usize>,
) -> anyhow::Result<(String, bool)> {
    let ours: Vec<_> =
        built.contenders.iter().filter(|(contender, _)| *contender == Contender::Ours).cloned().collect();
    let rows: Vec<&'static Row> = ROWS.iter().filter(|row| WORK.contains(&row.name)).collect();
    let mut text = table::new(&["row", "pods", "a second", "wall", "CPU", "peak", "resident", "each"]);
    let mut right = true;
    for size in SIZES.into_iter().filter(|size| sizes.is_none_or(|most| *size <= most)) {
        progress.step(&format!("preparing {size} pods"));
        let source = Source::start(&built.source, scratch, size).await?;
        super::cli::touch_memory(size);
        let mut runner = Runner::new(scratch, &source, progress, rounds);
        let mut figures = Table::default();
        for row in &rows {
            runner.row(&mut figures, row, &ours).await?;
            let mut line = vec![row.name.into(), table::right(size.to_string())];
            match figures.cell(row.name, Contender::Ours) {
                Some(Cell::Measured(figures)) => line.extend(table::measured(figures, row).map(table::right)),
                Some(Cell::Absent(reason)) => line.push(reason.into()),
                Some(Cell::Wrong(reason)) => {
                    right = false;
                    line.push(format!("WRONG: {reason}").into());
                }
                None => {}
            }
            text.add_row(line);
        }
    }
    Ok((text.to_string(), right))
}
