//! The targets: bounds for this project's figures, absolute or relative to the figures of kube and client-go (the
//! peers).

use serde::Serialize;

use super::contender::Contender;
use super::figures::Figures;
use super::report::Table;

/// A required result.
#[derive(Debug)]
pub(super) struct Target {
    /// The row in which this project is measured.
    pub(super) row: &'static str,
    metric: Metric,
    reference: Reference,
    bound: Bound,
}

/// The kind of figure that a target restricts.
#[derive(Debug, Clone, Copy)]
enum Metric {
    /// Units per second.
    Rate,
    /// Wall time per unit.
    Time,
    /// Retained bytes per unit.
    Kept,
    /// Peak resident memory.
    Peak,
    /// The result of [`Figures::peak_to_final_ratio`]. No target compares it with a peer.
    PeakOverFinal,
    /// Growth of anonymous resident memory in bytes, for all units together.
    Growth,
    /// The number of TLS connections.
    Connections,
    /// Processor time per unit.
    Cpu,
    /// Wake-ups per second.
    WakeUps,
}

/// The meaning of a target's bound: a ratio to the figure of a peer, or a limit for this project's figure.
#[derive(Debug, Clone, Copy)]
enum Reference {
    /// The bound applies to a ratio: this project's figure divided by the peer's figure of the same metric.
    /// The fields are the peer and the row of the peer's figure.
    Peer(Contender, &'static str),
    /// The bound is a limit for this project's figure.
    Number,
}

/// The limit for the figure, or for its ratio to the figure of the peer.
#[derive(Debug, Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

use Bound::{AtLeast, AtMost};
use Contender::{ClientGo, Kube};
use Reference::{Number, Peer};

/// Creates a target for this project's figure of the kind `metric` in the row `row`.
const fn target(row: &'static str, metric: Metric, reference: Reference, bound: Bound) -> Target {
    Target { row, metric, reference, bound }
}

/// Creates a [`Reference::Peer`]: the bound applies to the ratio of this project's figure to the figure of
/// `contender` in `row`.
const fn peer(contender: Contender, row: &'static str) -> Reference {
    Peer(contender, row)
}

/// The targets of the rows in `ROWS`. A ratio of 1.0 means that this project must be at least as good as the peer.
pub(super) static TARGETS: &[Target] = &[
    target("list", Metric::Rate, peer(Kube, "list"), AtLeast(1.0)),
    target("list", Metric::Rate, peer(ClientGo, "list"), AtLeast(1.0)),
    target("store-list", Metric::Rate, peer(Kube, "store-list"), AtLeast(5.0)),
    target("store-list", Metric::PeakOverFinal, Number, AtMost(1.1)),
    target("store-list", Metric::Kept, peer(Kube, "store-list"), AtMost(0.5)),
    target("store-watchlist", Metric::Rate, peer(Kube, "store-watchlist"), AtLeast(5.0)),
    target("store-watchlist", Metric::PeakOverFinal, Number, AtMost(1.1)),
    target("store-compact", Metric::Kept, peer(Kube, "store-list"), AtMost(0.1)),
    target("store-compact", Metric::Kept, peer(ClientGo, "store-list"), AtMost(0.25)),
    target("store-compact", Metric::Rate, Number, AtLeast(60_000.0)),
    target("store-compact", Metric::Kept, Number, AtMost(1.2 * 1024.0)),
    target("store-compact-decoded", Metric::Rate, Number, AtLeast(35_000.0)),
    target("store-compact-zstd", Metric::Kept, Number, AtMost(0.7 * 1024.0)),
    target("store-compact-reads", Metric::Time, Number, AtMost(15e-6)),
    target("store-incomplete", Metric::Rate, peer(Kube, "store-list"), AtLeast(10.0)),
    target("store-incomplete", Metric::Kept, Number, AtMost(1024.0)),
    target("store-kinds", Metric::Rate, peer(Kube, "store-kinds"), AtLeast(1.0)),
    target("store-kinds", Metric::Rate, peer(ClientGo, "store-kinds"), AtLeast(1.0)),
    target("events", Metric::Rate, peer(Kube, "events"), AtLeast(3.0)),
    target("events", Metric::Rate, peer(ClientGo, "events"), AtLeast(1.0)),
    target("filter-generation", Metric::Rate, peer(Kube, "filter-generation"), AtLeast(10.0)),
    target("filter-labels", Metric::Rate, peer(Kube, "filter-labels"), AtLeast(10.0)),
    target("relist", Metric::Time, peer(Kube, "relist"), AtMost(1.0)),
    target("relist", Metric::Time, peer(ClientGo, "relist"), AtMost(1.0)),
    target("relist", Metric::Peak, peer(Kube, "relist"), AtMost(1.0)),
    target("relist", Metric::Peak, peer(ClientGo, "relist"), AtMost(1.0)),
    target("get", Metric::Rate, peer(Kube, "get"), AtLeast(1.0)),
    target("get", Metric::Rate, peer(ClientGo, "get"), AtLeast(1.0)),
    target("get-32", Metric::Rate, peer(Kube, "get-32"), AtLeast(1.0)),
    target("get-32", Metric::Rate, peer(ClientGo, "get-32"), AtLeast(1.0)),
    target("get-tls", Metric::Rate, peer(Kube, "get-tls"), AtLeast(1.0)),
    target("get-tls", Metric::Rate, peer(ClientGo, "get-tls"), AtLeast(1.0)),
    target("get-32-tls", Metric::Rate, peer(Kube, "get-32-tls"), AtLeast(1.0)),
    target("get-32-tls", Metric::Rate, peer(ClientGo, "get-32-tls"), AtLeast(1.0)),
    target("get-tls-http1", Metric::Rate, peer(Kube, "get-tls-http1"), AtLeast(1.0)),
    target("get-32-tls-http1", Metric::Rate, peer(Kube, "get-32-tls-http1"), AtLeast(1.0)),
    target("store-list-tls", Metric::Rate, peer(Kube, "store-list-tls"), AtLeast(1.0)),
    target("store-list-tls", Metric::Rate, peer(ClientGo, "store-list-tls"), AtLeast(1.0)),
    target("store-list-tls-http1", Metric::Rate, peer(Kube, "store-list-tls-http1"), AtLeast(1.0)),
    target("watches", Metric::Rate, Number, AtLeast(990.0)),
    target("watches", Metric::Growth, Number, AtMost(1_048_576.0)),
    target("watches", Metric::Connections, Number, AtMost(16.0)),
    target("exec-stdout", Metric::Rate, peer(Kube, "exec-stdout"), AtLeast(1.0)),
    target("exec-stdin", Metric::Rate, peer(Kube, "exec-stdin"), AtLeast(1.0)),
    target("get-in-process", Metric::Time, peer(Kube, "get-in-process"), AtMost(0.2)),
    target("first-reconcile", Metric::Time, peer(Kube, "first-reconcile"), AtMost(1.0)),
    target("first-reconcile", Metric::Time, peer(ClientGo, "first-reconcile"), AtMost(1.0)),
    target("reconcile", Metric::Time, peer(Kube, "reconcile"), AtMost(0.33)),
    target("list-protobuf", Metric::Rate, peer(ClientGo, "list-protobuf"), AtLeast(1.0)),
    target("store-list-protobuf", Metric::Rate, peer(ClientGo, "store-list-protobuf"), AtLeast(1.2)),
    target(
        "store-watchlist-protobuf",
        Metric::Rate,
        peer(ClientGo, "store-watchlist-protobuf"),
        AtLeast(1.2),
    ),
    target("store-kinds-protobuf", Metric::Rate, peer(ClientGo, "store-kinds-protobuf"), AtLeast(1.0)),
    target("events-protobuf", Metric::Rate, peer(ClientGo, "events-protobuf"), AtLeast(1.0)),
    target(
        "filter-generation-protobuf",
        Metric::Rate,
        peer(ClientGo, "filter-generation-protobuf"),
        AtLeast(1.0),
    ),
    target("filter-labels-protobuf", Metric::Rate, peer(ClientGo, "filter-labels-protobuf"), AtLeast(1.0)),
    target("relist-protobuf", Metric::Time, peer(ClientGo, "relist-protobuf"), AtMost(1.0)),
    target("get-protobuf", Metric::Rate, peer(ClientGo, "get-protobuf"), AtLeast(1.0)),
    target("get-32-protobuf", Metric::Rate, peer(ClientGo, "get-32-protobuf"), AtLeast(1.0)),
    target("shared-controllers", Metric::Cpu, peer(Kube, "shared-controllers"), AtMost(1.0)),
    target("shared-controllers", Metric::Cpu, peer(ClientGo, "shared-controllers"), AtMost(1.0)),
    target("shared-controllers", Metric::Kept, peer(Kube, "shared-controllers"), AtMost(0.5)),
    target("subscribers", Metric::Cpu, peer(Kube, "subscribers"), AtMost(1.0)),
    target("subscribers", Metric::Cpu, peer(ClientGo, "subscribers"), AtMost(1.0)),
    target("priority-queue", Metric::Time, peer(ClientGo, "priority-queue"), AtMost(0.1)),
    target("index-lookups", Metric::Time, peer(ClientGo, "index-lookups"), AtMost(1.0)),
    target("idle-manager", Metric::Growth, peer(ClientGo, "idle-manager"), AtMost(1.0)),
    target("idle-manager", Metric::Cpu, peer(ClientGo, "idle-manager"), AtMost(1.0)),
    target("idle-manager", Metric::WakeUps, peer(ClientGo, "idle-manager"), AtMost(1.0)),
];

/// The result of a comparison with a target.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    /// The target is met, with this figure or ratio.
    Met(f64),
    /// The target is missed, with this figure or ratio.
    Missed(f64),
    /// This project has no figure, for this reason.
    NoFigure(String),
    /// The peer has no figure, for this reason.
    NotCompared(String),
}

impl Target {
    /// The peer that this project is compared with, and the row of the peer; `None` if the bound is absolute.
    pub(super) fn peer_row(&self) -> Option<(Contender, &'static str)> {
        match self.reference {
            Peer(contender, row) => Some((contender, row)),
            Number => None,
        }
    }

    /// The target as printed text.
    pub(super) fn text(&self) -> String {
        let what = match self.metric {
            Metric::Rate => "rate",
            Metric::Time => "time",
            Metric::Kept => "bytes retained per object",
            Metric::Peak => "peak memory",
            Metric::PeakOverFinal => "peak memory, relative to the full store",
            Metric::Growth => "growth of memory in bytes",
            Metric::Connections => "TLS connections",
            Metric::Cpu => "processor time",
            Metric::WakeUps => "wake-ups per second",
        };
        let (relation, bound) = match self.bound {
            AtLeast(bound) => (">=", bound),
            AtMost(bound) => ("<=", bound),
        };
        match self.reference {
            Peer(contender, row) if row == self.row => format!("{what} {relation} {bound} x {contender}'s"),
            Peer(contender, row) => format!("{what} {relation} {bound} x {contender}'s of {row}"),
            Number => format!("{what} {relation} {bound}"),
        }
    }

    /// Compares this project's figure in `table` with the target.
    pub(super) fn verdict(&self, table: &Table) -> Verdict {
        let ours = match table.figures(self.row, Contender::Ours) {
            Ok(figures) => self.metric.value_in(figures),
            Err(reason) => return Verdict::NoFigure(reason),
        };
        let value = match self.reference {
            Number => ours,
            Peer(contender, row) => match table.figures(row, contender) {
                Ok(figures) => ours / self.metric.value_in(figures),
                Err(reason) => return Verdict::NotCompared(reason),
            },
        };
        let met = match self.bound {
            AtLeast(bound) => value >= bound,
            AtMost(bound) => value <= bound,
        };
        if met { Verdict::Met(value) } else { Verdict::Missed(value) }
    }
}

impl Metric {
    /// The value of this metric in `figures`.
    fn value_in(self, figures: &Figures) -> f64 {
        match self {
            Self::Rate => figures.rate(),
            Self::Time => figures.seconds_per_unit(),
            Self::Kept => figures.kept_bytes_per_unit(),
            Self::Peak => figures.peak_bytes,
            Self::PeakOverFinal => figures.peak_to_final_ratio(),
            Self::Growth => figures.kept_bytes,
            Self::Connections => figures.connections,
            Self::Cpu => figures.cpu_s / figures.units,
            Self::WakeUps => figures.wakeups_per_second(),
        }
    }
}

/// Returns the number of targets that are met, and the number of all targets except those with [`Verdict::NotCompared`]. A
/// target with [`Verdict::NoFigure`] thus counts as compared.
pub(super) fn count_met_and_compared(verdicts: &[Verdict]) -> (usize, usize) {
    let met = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Met(_))).count();
    let compared = verdicts.iter().filter(|verdict| !matches!(verdict, Verdict::NotCompared(_))).count();
    (met, compared)
}

#[cfg(test)]
mod tests {
    use super::super::report::Cell;
    use super::super::rows::ROWS;
    use super::*;

    /// Figures of 1000 units with this wall time, retained bytes per unit and peak memory.
    fn figures_with(wall_s: f64, kept: f64, peak: f64) -> Cell {
        Cell::Measured(Figures {
            units: 1000.0,
            wall_s,
            cpu_s: 1.0,
            before_bytes: 0.0,
            peak_bytes: peak,
            after_bytes: kept * 1000.0,
            kept_bytes: kept * 1000.0,
            connections: 0.0,
            wakeups: 0.0,
        })
    }

    #[test]
    fn every_target_names_an_existing_row() {
        for target in TARGETS {
            let rows = [Some(target.row), target.peer_row().map(|(_, row)| row)];
            for name in rows.into_iter().flatten() {
                assert!(ROWS.iter().any(|row| row.name == name), "{name}");
            }
        }
    }

    #[test]
    fn a_target_is_met_or_missed_or_lacks_a_figure() {
        let mut table = Table::default();
        table.set_cell("store-list", Contender::Ours, figures_with(1.0, 60.0, 66_000.0));
        table.set_cell("store-list", Contender::Kube, figures_with(6.0, 100.0, 150_000.0));
        let store_list: Vec<_> = TARGETS.iter().filter(|target| target.row == "store-list").collect();
        let verdicts: Vec<_> = store_list.iter().map(|target| target.verdict(&table)).collect();
        assert_eq!(verdicts, [Verdict::Met(6.0), Verdict::Met(1.1), Verdict::Missed(0.6)]);
        assert_eq!(count_met_and_compared(&verdicts), (2, 3));
        let compact: Vec<_> = TARGETS.iter().filter(|target| target.row == "store-compact").collect();
        table.set_cell("store-compact", Contender::Ours, Cell::Absent("not yet".to_owned()));
        assert_eq!(compact[0].verdict(&table), Verdict::NoFigure("not yet".to_owned()));
        table.set_cell("store-compact", Contender::Ours, figures_with(1.0, 5.0, 1.0));
        assert_eq!(compact[0].verdict(&table), Verdict::Met(0.05));
        assert!(matches!(compact[1].verdict(&table), Verdict::NotCompared(_)));
    }
}
