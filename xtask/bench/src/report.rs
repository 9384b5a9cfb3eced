//! `Table`: the figures of all rows and contenders, and their JSON form.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::contender::Contender;
use super::figures::Figures;
use super::rows::Row;
use super::targets::{Target, Verdict, count_met_and_compared};

/// The result of a contender for a row.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Cell {
    /// Medians over the rounds.
    Measured(Figures),
    /// The reason for a missing figure: the contender lacks the feature, or was not built.
    Absent(String),
    /// The reason for invalid figures: the program failed, or its objects differ from those of the mock API server.
    Wrong(String),
}

/// The figures of all rows and contenders.
#[derive(Debug, Default)]
pub(super) struct Table {
    cells: BTreeMap<(&'static str, Contender), Cell>,
}

impl Table {
    /// Stores the result of a contender for a row.
    pub(super) fn set_cell(&mut self, row: &'static str, contender: Contender, cell: Cell) {
        self.cells.insert((row, contender), cell);
    }

    /// The result of a contender for a row; `None` if there is no result.
    pub(super) fn cell(&self, row: &'static str, contender: Contender) -> Option<&Cell> {
        self.cells.get(&(row, contender))
    }

    /// The figures of a contender for a row, or the reason why there are no valid figures.
    pub(super) fn figures(&self, row: &'static str, contender: Contender) -> Result<&Figures, String> {
        match self.cell(row, contender) {
            Some(Cell::Measured(figures)) => Ok(figures),
            Some(Cell::Absent(reason) | Cell::Wrong(reason)) => Err(reason.clone()),
            None => Err(format!("{contender} was not measured")),
        }
    }

    /// Returns false if a contender failed or returned wrong objects ([`Cell::Wrong`]), otherwise true.
    pub(super) fn is_correct(&self) -> bool {
        !self.cells.values().any(|cell| matches!(cell, Cell::Wrong(_)))
    }

    pub(super) fn json_rows(&self, rows: &[&Row]) -> Value {
        let rows = rows.iter().map(|row| {
            let cells: BTreeMap<_, _> = Contender::ALL
                .iter()
                .filter_map(|contender| Some((contender.to_string(), self.cell(row.name, *contender)?)))
                .collect();
            json!({"name": row.name, "title": row.title, "unit": row.unit, "contenders": cells})
        });
        rows.collect()
    }

    /// The parameters of the bench (`run`), the figures of `rows`, and the verdicts of `targets`, as JSON.
    pub(super) fn json(&self, run: &Value, rows: &[&Row], targets: &[(&Target, Verdict)]) -> Value {
        let verdicts: Vec<_> = targets.iter().map(|(_, verdict)| verdict.clone()).collect();
        let (met, of) = count_met_and_compared(&verdicts);
        let targets: Vec<_> = targets
            .iter()
            .map(|(target, verdict)| json!({"row": target.row, "target": target.text(), "verdict": verdict}))
            .collect();
        json!({"run": run, "rows": self.json_rows(rows), "targets": targets, "met": met, "of": of})
    }
}
