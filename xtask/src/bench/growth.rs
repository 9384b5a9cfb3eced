//! The growth table: the same work on 2,000, 20,000 and 150,000 pods. Rates must not fall, and what an object takes must
//! not grow.

use serde_json::{Value, json};

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

/// What came of it.
#[derive(Debug)]
pub(super) struct Growth {
    /// The table for people.
    pub(super) text: String,
    /// Everything, for programs.
    pub(super) json: Value,
    /// Whether the objects of every store were those of the source.
    pub(super) right: bool,
}

/// Measures this project on clusters of every size, but of none with more than `most` pods.
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
    most: Option<usize>,
) -> anyhow::Result<Growth> {
    let ours: Vec<_> =
        built.contenders.iter().filter(|(contender, _)| *contender == Contender::Ours).cloned().collect();
    let rows: Vec<&'static Row> = ROWS.iter().filter(|row| WORK.contains(&row.name)).collect();
    let mut text = table::new(&["row", "pods", "a second", "wall", "CPU", "peak", "resident", "each"]);
    let (mut right, mut legend, mut sizes) = (true, String::new(), Vec::new());
    for size in SIZES.into_iter().filter(|size| most.is_none_or(|most| *size <= most)) {
        progress.step(&format!("preparing {size} pods"));
        let source = Source::start(&built.source, scratch, size).await?;
        let mut runner = Runner::new(scratch, &source, progress, rounds, size);
        let mut figures = Table::default();
        for row in &rows {
            runner.row(&mut figures, row, &ours).await?;
            let mut line = vec![row.name.into(), table::right(size.to_string())];
            match figures.cell(row.name, Contender::Ours) {
                Some(Cell::Measured(figures)) => line.extend(table::measured(figures, row).map(table::right)),
                Some(Cell::Absent(_)) => line.push(table::right("none".to_owned())),
                Some(Cell::Wrong(_)) => line.push(table::right("WRONG".to_owned())),
                None => {}
            }
            text.add_row(line);
        }
        legend = table::legend(&figures, &rows);
        right &= figures.is_right();
        sizes.push(json!({"pods": size, "rows": figures.json_rows(&rows)}));
    }
    Ok(Growth { text: format!("{text}\n\n{legend}"), json: json!(sizes), right })
}
