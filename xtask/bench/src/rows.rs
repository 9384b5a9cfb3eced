//! The rows (measurements) of the bench, as data.

use anyhow::bail;

/// One measurement.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The name on the command line.
    pub(super) name: &'static str,
    /// The printed description.
    pub(super) title: &'static str,
    /// The counted unit, in the plural.
    pub(super) unit: &'static str,
    /// The amount of work of a run: the `calls` of the contender's job.
    pub(super) amount: Amount,
    /// The name of a set of objects of the mock API server, such as `pods`. The contender must report the
    /// digest of this set. `None` if digests are not compared.
    pub(super) digest: Option<&'static str>,
    /// The figure in the column `each` of the table.
    pub(super) each: EachColumn,
    /// Whether the mock API server must generate data for this row before the run: watch events, relisted
    /// pods, or objects in Protobuf.
    pub(super) needs_preparation: bool,
    /// Whether client-go's contender needs controller-runtime for this row. If so, the bench runs the second
    /// program of this contender. The first program does not contain controller-runtime, because
    /// controller-runtime adds metrics to client-go.
    pub(super) needs_controller_runtime: bool,
}

/// The figure in the column `each` of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EachColumn {
    /// Retained memory per unit.
    Memory,
    /// Time per unit.
    Time,
    /// Wake-ups per second.
    WakeUps,
}

impl Row {
    /// Whether the row reads objects in Protobuf.
    pub(super) fn is_protobuf(&self) -> bool {
        self.name.ends_with("-protobuf")
    }

    /// The name and the title.
    pub(super) fn label(&self) -> String {
        format!("{}: {}", self.name, self.title)
    }
}

/// The amount of work of a run, in units of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Amount {
    /// One unit per pod.
    Pods,
    /// Proportional to the number of pods, between 64 and `max`.
    Calls {
        /// The number of units per pod, in tenths.
        tenths: usize,
        /// The upper limit of the amount.
        max: usize,
    },
}

impl Amount {
    /// The amount of work if the mock API server has `pods` pods.
    pub(super) fn for_pods(self, pods: usize) -> usize {
        match self {
            Self::Pods => pods,
            Self::Calls { tenths, max } => (pods * tenths / 10).clamp(64, max),
        }
    }
}

/// The fields that most rows have in common.
const COMMON_ROW: Row = Row {
    name: "",
    title: "",
    unit: "objects",
    amount: Amount::Pods,
    digest: Some("pods"),
    each: EachColumn::Memory,
    needs_preparation: false,
    needs_controller_runtime: false,
};

/// The fields that most rows with [`Amount::Calls`] have in common.
const CALL_ROW: Row = Row { unit: "gets", digest: None, each: EachColumn::Time, ..COMMON_ROW };

/// The fields that most rows in Protobuf have in common. The rows of gets in Protobuf use [`CALL_ROW`] instead.
const PROTOBUF_ROW: Row = Row { each: EachColumn::Time, needs_preparation: true, ..COMMON_ROW };

/// The rows that have their own measurement and table. They are requested by their full name.
pub(super) const SEPARATE_ROWS: [&str; 4] = ["build", "build-kinds", "growth", "sim"];

/// All rows except [`SEPARATE_ROWS`], in the order of the printed table.
pub(super) static ROWS: &[Row] = &[
    Row { name: "list", title: "list of all pods in one response", each: EachColumn::Time, ..COMMON_ROW },
    Row { name: "store-list", title: "typed store of pods, filled by a list", ..COMMON_ROW },
    Row { name: "store-watchlist", title: "typed store of pods, filled by a WatchList", ..COMMON_ROW },
    Row { name: "store-compact", title: "compact store of pods, filled by a list", ..COMMON_ROW },
    Row { name: "store-compact-decoded", title: "the same, with a full decode as the check", ..COMMON_ROW },
    Row { name: "store-compact-zstd", title: "the same, compressed with zstd", ..COMMON_ROW },
    Row {
        name: "store-compact-reads",
        title: "reads of each pod of a compact store",
        unit: "reads",
        each: EachColumn::Time,
        ..COMMON_ROW
    },
    Row {
        name: "store-incomplete",
        title: "store of a struct with five fields of pods",
        digest: Some("five-fields"),
        ..COMMON_ROW
    },
    Row {
        name: "store-kinds",
        title: "three stores at once: nodes, config maps, a derived kind of 30 fields",
        digest: Some("kinds"),
        ..COMMON_ROW
    },
    Row {
        name: "events",
        title: "watch events into a full store",
        unit: "events",
        digest: Some("after-events"),
        needs_preparation: true,
        each: EachColumn::Time,
        ..COMMON_ROW
    },
    Row {
        name: "filter-generation",
        title: "watch events through a generation predicate that drops 99 %",
        unit: "events",
        digest: Some("new-generation"),
        needs_preparation: true,
        each: EachColumn::Time,
        ..COMMON_ROW
    },
    Row {
        name: "filter-labels",
        title: "watch events through a client-side label selector that drops 99 %",
        unit: "events",
        digest: Some("selected"),
        needs_preparation: true,
        each: EachColumn::Time,
        ..COMMON_ROW
    },
    Row {
        name: "relist",
        title: "relist of a full store, with a tenth of the objects changed",
        digest: Some("relisted"),
        needs_preparation: true,
        each: EachColumn::Time,
        ..COMMON_ROW
    },
    Row {
        name: "get",
        title: "sequential gets of a pod over TCP",
        amount: Amount::Calls { tenths: 5, max: 10_000 },
        ..CALL_ROW
    },
    Row {
        name: "get-32",
        title: "gets of a pod over TCP, 32 concurrent",
        amount: Amount::Calls { tenths: 10, max: 20_000 },
        ..CALL_ROW
    },
    Row {
        name: "get-tls",
        title: "sequential gets of a pod over TLS (HTTP/2; kube: HTTP/1.1)",
        amount: Amount::Calls { tenths: 5, max: 10_000 },
        ..CALL_ROW
    },
    Row {
        name: "get-32-tls",
        title: "gets of a pod over TLS, 32 concurrent (HTTP/2; kube: HTTP/1.1)",
        amount: Amount::Calls { tenths: 10, max: 20_000 },
        ..CALL_ROW
    },
    Row {
        name: "get-tls-http1",
        title: "sequential gets of a pod over TLS and HTTP/1.1",
        amount: Amount::Calls { tenths: 5, max: 10_000 },
        ..CALL_ROW
    },
    Row {
        name: "get-32-tls-http1",
        title: "gets of a pod over TLS and HTTP/1.1, 32 concurrent",
        amount: Amount::Calls { tenths: 10, max: 20_000 },
        ..CALL_ROW
    },
    Row {
        name: "get-tls-hyper-util",
        title: "the same sequentially, with hyper-util's client under this project's stack",
        amount: Amount::Calls { tenths: 5, max: 10_000 },
        ..CALL_ROW
    },
    Row {
        name: "get-32-tls-hyper-util",
        title: "the same, 32 concurrent, with hyper-util's client under this project's stack",
        amount: Amount::Calls { tenths: 10, max: 20_000 },
        ..CALL_ROW
    },
    Row {
        name: "store-list-tls",
        title: "typed store of pods, filled by a list over TLS (HTTP/2; kube: HTTP/1.1)",
        ..COMMON_ROW
    },
    Row {
        name: "store-list-tls-http1",
        title: "typed store of pods, filled by a list over TLS and HTTP/1.1",
        ..COMMON_ROW
    },
    Row {
        name: "watches",
        title: "1,000 watches and 1,000 gets a second on one client over TLS, after a sixth of the time",
        amount: Amount::Calls { tenths: 30, max: 60_000 },
        ..CALL_ROW
    },
    Row {
        name: "exec-stdout",
        title: "standard output of a process in a pod",
        unit: "MiB",
        amount: Amount::Calls { tenths: 1, max: 1024 },
        ..CALL_ROW
    },
    Row {
        name: "exec-stdin",
        title: "standard input of a process in a pod",
        unit: "MiB",
        amount: Amount::Calls { tenths: 1, max: 1024 },
        ..CALL_ROW
    },
    Row {
        name: "get-in-process",
        title: "get of a config map from an in-process service",
        amount: Amount::Calls { tenths: 50, max: 100_000 },
        ..CALL_ROW
    },
    Row {
        name: "first-reconcile",
        title: "controller of the derived kind, from its start to the first reconcile",
        unit: "starts",
        digest: Some("widgets"),
        each: EachColumn::Time,
        ..COMMON_ROW
    },
    Row {
        name: "reconcile",
        title: "no-op reconcile",
        unit: "reconciles",
        amount: Amount::Calls { tenths: 50, max: 200_000 },
        digest: Some("widgets"),
        ..CALL_ROW
    },
    Row { name: "list-protobuf", title: "list of all pods in one response, in Protobuf", ..PROTOBUF_ROW },
    Row {
        name: "store-list-protobuf",
        title: "typed store of pods, filled by a list in Protobuf",
        each: EachColumn::Memory,
        ..PROTOBUF_ROW
    },
    Row {
        name: "store-watchlist-protobuf",
        title: "typed store of pods, filled by a WatchList in Protobuf",
        each: EachColumn::Memory,
        ..PROTOBUF_ROW
    },
    Row {
        name: "store-kinds-protobuf",
        title: "three stores at once: nodes and config maps in Protobuf, a derived kind in JSON",
        digest: Some("kinds"),
        each: EachColumn::Memory,
        ..PROTOBUF_ROW
    },
    Row {
        name: "events-protobuf",
        title: "watch events in Protobuf into a full store",
        unit: "events",
        digest: Some("after-events"),
        ..PROTOBUF_ROW
    },
    Row {
        name: "filter-generation-protobuf",
        title: "watch events in Protobuf through a generation predicate that drops 99 %",
        unit: "events",
        digest: Some("new-generation"),
        ..PROTOBUF_ROW
    },
    Row {
        name: "filter-labels-protobuf",
        title: "watch events in Protobuf through a client-side label selector that drops 99 %",
        unit: "events",
        digest: Some("selected"),
        ..PROTOBUF_ROW
    },
    Row {
        name: "relist-protobuf",
        title: "relist in Protobuf of a full store, with a tenth of the objects changed",
        digest: Some("relisted"),
        ..PROTOBUF_ROW
    },
    Row {
        name: "get-protobuf",
        title: "sequential gets of a pod over TCP, in Protobuf",
        amount: Amount::Calls { tenths: 5, max: 10_000 },
        needs_preparation: true,
        ..CALL_ROW
    },
    Row {
        name: "get-32-protobuf",
        title: "gets of a pod over TCP, 32 concurrent, in Protobuf",
        amount: Amount::Calls { tenths: 10, max: 20_000 },
        needs_preparation: true,
        ..CALL_ROW
    },
    Row {
        name: "shared-controllers",
        title: "four controllers on one shared informer of pods, until each has reconciled all (Go: controller-runtime)",
        needs_controller_runtime: true,
        ..COMMON_ROW
    },
    Row {
        name: "subscribers",
        title: "watch events until all of 100 subscribers of one shared informer have the last",
        unit: "events",
        digest: Some("after-events"),
        needs_preparation: true,
        each: EachColumn::Time,
        ..COMMON_ROW
    },
    Row {
        name: "priority-queue",
        title: "keys with five priorities, all added and then all processed (Go: controller-runtime)",
        unit: "keys",
        amount: Amount::Calls { tenths: 50, max: 100_000 },
        needs_controller_runtime: true,
        ..CALL_ROW
    },
    Row {
        name: "index-lookups",
        title: "look-ups of the pods of a node in an index",
        unit: "look-ups",
        amount: Amount::Calls { tenths: 50, max: 100_000 },
        digest: Some("pods"),
        ..CALL_ROW
    },
    Row {
        name: "idle-manager",
        title: "manager with a server and four controllers of an empty collection, without events (Go: controller-runtime)",
        unit: "ms",
        amount: Amount::Calls { tenths: 10, max: 10_000 },
        each: EachColumn::WakeUps,
        needs_controller_runtime: true,
        ..CALL_ROW
    },
];

/// The rows whose names contain one of `names`; all rows if `names` is empty.
///
/// # Errors
/// If a name matches no row.
pub(super) fn select(names: &[String]) -> anyhow::Result<Vec<&'static Row>> {
    for name in names {
        if !ROWS.iter().any(|row| row.name.contains(name.as_str())) {
            let all: Vec<_> = ROWS.iter().map(|row| row.name).collect();
            bail!("no row matches {name:?}; the rows are {}, {}", all.join(", "), SEPARATE_ROWS.join(", "));
        }
    }
    let wanted = |row: &&Row| names.is_empty() || names.iter().any(|name| row.name.contains(name.as_str()));
    Ok(ROWS.iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_whose_name_contains_an_argument_are_selected() {
        let names = |wanted: &[&str]| -> Vec<_> {
            let wanted: Vec<_> = wanted.iter().map(|name| (*name).to_owned()).collect();
            select(&wanted).unwrap().iter().map(|row| row.name).collect()
        };
        assert_eq!(
            names(&["get-32"]),
            ["get-32", "get-32-tls", "get-32-tls-http1", "get-32-tls-hyper-util", "get-32-protobuf"]
        );
        assert_eq!(
            names(&["relist", "filter-labels-"]),
            ["relist", "filter-labels-protobuf", "relist-protobuf"]
        );
        assert_eq!(names(&[]).len(), ROWS.len());
        let error = select(&["lost".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("\"lost\"") && error.contains("store-compact"), "{error}");
        assert!(error.ends_with(", build, build-kinds, growth, sim"), "{error}");
    }
}
