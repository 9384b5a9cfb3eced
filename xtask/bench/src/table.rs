//! Formats the figures and targets as text tables.

use std::fmt::Write;

use comfy_table::{Cell as TextCell, CellAlignment, Table as TextTable, presets};

use super::contender::Contender;
use super::figures::Figures;
use super::report::{Cell, Table};
use super::rows::{EachColumn, Row};
use super::targets::{Verdict, count_met_and_compared};

/// Bytes in a MiB.
const MIB: f64 = 1_048_576.0;

pub(super) fn figures_table(table: &Table, rows: &[&Row]) -> String {
    let mut text =
        table_with_header(&["row", "", "a second", "wall", "CPU", "peak", "resident", "each", "ours is"]);
    for row in rows {
        let ours = table.figures(row.name, Contender::Ours).ok();
        let mut name = row.name;
        for contender in Contender::ALL {
            let Some(cell) = table.cell(row.name, contender) else { continue };
            let mut line = vec![TextCell::new(std::mem::take(&mut name)), TextCell::new(contender)];
            match cell {
                Cell::Measured(figures) => {
                    line.extend(figure_cells(figures, row).into_iter().map(right_aligned_cell));
                    let ratio = ours
                        .filter(|_| contender != Contender::Ours)
                        .map(|ours| relative_speed(ours, figures));
                    line.push(TextCell::new(ratio.unwrap_or_default()));
                }
                Cell::Absent(_) => line.push(right_aligned_cell("none".to_owned())),
                Cell::Wrong(_) => line.push(right_aligned_cell("WRONG".to_owned())),
            }
            text.add_row(line);
        }
    }
    text.to_string()
}

/// The title and unit of each row, and the reason for each missing figure.
pub(super) fn legend(table: &Table, rows: &[&Row]) -> String {
    let mut text = String::new();
    for row in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:<26} {} ({})", row.name, row.title, row.unit);
        for contender in Contender::ALL {
            let _ = match table.cell(row.name, contender) {
                Some(Cell::Absent(reason)) => writeln!(text, "  {:<26}   {contender}: none: {reason}", ""),
                Some(Cell::Wrong(reason)) => writeln!(text, "  {:<26}   {contender}: WRONG: {reason}", ""),
                _ => Ok(()),
            };
        }
    }
    text
}

/// The figures of a row, in the order of the table's columns.
pub(super) fn figure_cells(figures: &Figures, row: &Row) -> [String; 6] {
    [
        if figures.units > 1.0 { format!("{:.0}", figures.rate()) } else { String::new() },
        format_seconds(figures.wall_s),
        format_seconds(figures.cpu_s),
        format!("{:.0} MiB", figures.peak_bytes / MIB),
        format!("{:.0} MiB", figures.after_bytes / MIB),
        match row.each {
            EachColumn::Memory => format!("{:.2} KiB", figures.kept_bytes_per_unit() / 1024.0),
            EachColumn::Time if figures.units > 1.0 => format_seconds(figures.seconds_per_unit()),
            EachColumn::Time => String::new(),
            EachColumn::WakeUps => format!("{:.0} wake-ups/s", figures.wakeups_per_second()),
        },
    ]
}

/// This project's speed relative to that of another contender, `peer`.
fn relative_speed(ours: &Figures, peer: &Figures) -> String {
    let speed = peer.seconds_per_unit() / ours.seconds_per_unit();
    if speed >= 1.0 { format!("{speed:.2} x as fast") } else { format!("{:.2} x as slow", 1.0 / speed) }
}

/// The table of targets and verdicts.
pub(super) fn targets_table<'a>(
    targets: impl Iterator<Item = (&'static str, String, &'a Verdict)>,
) -> String {
    let mut text = table_with_header(&["row", "target", "is", ""]);
    for (row, target, verdict) in targets {
        let (value, word) = match verdict {
            Verdict::Met(value) => (format_number(*value), "met".to_owned()),
            Verdict::Missed(value) => (format_number(*value), "MISSED".to_owned()),
            Verdict::NoFigure(reason) => (String::new(), format!("no figure: {reason}")),
            Verdict::NotCompared(reason) => (String::new(), format!("not compared: {reason}")),
        };
        text.add_row([
            TextCell::new(row),
            TextCell::new(target),
            right_aligned_cell(value),
            TextCell::new(word),
        ]);
    }
    text.to_string()
}

/// One line with the number of targets met.
pub(super) fn summary(verdicts: &[Verdict]) -> String {
    let (met, of) = count_met_and_compared(verdicts);
    let left = verdicts.len() - of;
    let rest =
        if left == 0 { String::new() } else { format!("; {left} not compared (the peer has no figure)") };
    format!("{met} of {of} targets met{rest}")
}

/// An empty table with a header.
pub(super) fn table_with_header(head: &[&str]) -> TextTable {
    let mut text = TextTable::new();
    text.load_style(presets::ASCII_MARKDOWN).set_header(head.iter().copied());
    text
}

pub(super) fn right_aligned_cell(text: String) -> TextCell {
    TextCell::new(text).set_alignment(CellAlignment::Right)
}

/// Formats a number: with two decimals if the number is below 100, otherwise without decimals.
fn format_number(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// Formats a duration in seconds, milliseconds or microseconds, depending on its length.
pub(super) fn format_seconds(seconds: f64) -> String {
    match seconds {
        s if s >= 10.0 => format!("{s:.1} s"),
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.1} ms", s * 1e3),
        s => format!("{:.2} us", s * 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::ROWS;
    use super::super::targets::TARGETS;
    use super::*;

    #[test]
    fn tables_show_every_contender_and_the_reasons_for_missing_figures() {
        let figures_of = |wall_s| {
            Cell::Measured(Figures {
                units: 20_000.0,
                wall_s,
                cpu_s: 1.5,
                before_bytes: 0.0,
                peak_bytes: 2e9,
                after_bytes: 1e9,
                kept_bytes: 1e9,
                connections: 0.0,
                wakeups: 0.0,
            })
        };
        let mut table = Table::default();
        table.set_cell("list", Contender::Ours, figures_of(0.5));
        table.set_cell("list", Contender::Kube, figures_of(2.0));
        table.set_cell("list", Contender::ClientGo, Cell::Absent("no Go here".to_owned()));
        let rows: Vec<_> = ROWS.iter().filter(|row| row.name == "list").collect();
        let text = figures_table(&table, &rows);
        for part in ["40000", "4.00 x as fast", "none", "1907 MiB"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        let text = legend(&table, &rows);
        assert!(text.contains("list of all pods") && text.contains("client-go: none: no Go here"), "{text}");
        let verdicts: Vec<_> = TARGETS.iter().map(|target| (target, target.verdict(&table))).collect();
        let text = targets_table(verdicts.iter().map(|(target, is)| (target.row, target.text(), is)));
        assert!(text.contains("met") && text.contains("not compared: no Go here"), "{text}");
        let only = [Verdict::Met(1.0), Verdict::Missed(1.0), Verdict::NotCompared(String::new())];
        assert_eq!(summary(&only), "1 of 2 targets met; 1 not compared (the peer has no figure)");
        assert_eq!(summary(&only[..1]), "1 of 1 targets met");
    }

    #[test]
    fn durations_are_shown_in_a_fitting_unit() {
        for (seconds, expected) in
            [(12.34, "12.3 s"), (1.5, "1.50 s"), (0.0123, "12.3 ms"), (4.2e-6, "4.20 us")]
        {
            assert_eq!(format_seconds(seconds), expected);
        }
    }
}
