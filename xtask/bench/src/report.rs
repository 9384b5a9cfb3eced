//! `Table`: all figures of a run, and its form as JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::contender::Contender;
use super::figures::Figures;
use super::rows::Row;
use super::targets::{Target, Verdict, count};

/// What there is of a row and a contender.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Cell {
    /// Medians.
    Measured(Figures),
    /// There is nothing of the kind, and why.
    Absent(String),
    /// The work went wrong: a program failed, or the objects are not those of the source.
    Wrong(String),
}

/// All figures of a run.
#[derive(Debug, Default)]
pub(super) struct Table {
    cells: BTreeMap<(&'static str, Contender), Cell>,
}

impl Table {
    /// Puts in what came of a row.
    pub(super) fn set(&mut self, row: &'static str, contender: Contender, cell: Cell) {
        self.cells.insert((row, contender), cell);
    }

    /// What there is of a row and a contender.
    pub(super) fn cell(&self, row: &'static str, contender: Contender) -> Option<&Cell> {
        self.cells.get(&(row, contender))
    }

    /// The figures of a row, or why there are none.
    pub(super) fn figures(&self, row: &'static str, contender: Contender) -> Result<&Figures, String> {
        match self.cell(row, contender) {
            Some(Cell::Measured(figures)) => Ok(figures),
            Some(Cell::Absent(reason) | Cell::Wrong(reason)) => Err(reason.clone()),
            None => Err(format!("{contender} was not measured")),
        }
    }

    /// Whether every contender that has done its work has done it well.
    pub(super) fn is_right(&self) -> bool {
        !self.cells.values().any(|cell| matches!(cell, Cell::Wrong(_)))
    }

    /// The rows, for programs.
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

    /// Everything, for programs.
    pub(super) fn json(&self, run: &Value, rows: &[&Row], targets: &[(&Target, Verdict)]) -> Value {
        let verdicts: Vec<_> = targets.iter().map(|(_, verdict)| verdict.clone()).collect();
        let (met, of) = count(&verdicts);
        let targets: Vec<_> = targets
            .iter()
            .map(|(target, verdict)| json!({"row": target.row, "target": target.text(), "verdict": verdict}))
            .collect();
        json!({"run": run, "rows": self.json_rows(rows), "targets": targets, "met": met, "of": of})
    }
}
