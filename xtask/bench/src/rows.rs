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
    /// The number of units.
    pub(super) amount: Amount,
    /// The mock API server's name for the objects whose digest the contender must report; `None` for no comparison.
    pub(super) digest: Option<&'static str>,
    /// Whether the table shows retained memory per unit instead of time per unit.
    pub(super) shows_memory: bool,
    /// Whether the mock API server must generate the events and the relisted state before the run.
    pub(super) needs_preparation: bool,
}

impl Row {
    /// The name and the title.
    pub(super) fn label(&self) -> String {
        format!("{}: {}", self.name, self.title)
    }
}

/// The number of units in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Amount {
    /// One per pod.
    Pods,
    /// Proportional to the number of pods, between 64 and `max`.
    Calls {
        /// The number of units per pod, in tenths.
        tenths: usize,
        /// The upper limit.
        max: usize,
    },
}

impl Amount {
    /// The number of units for `pods` pods.
    pub(super) fn for_pods(self, pods: usize) -> usize {
        match self {
            Self::Pods => pods,
            Self::Calls { tenths, max } => (pods * tenths / 10).clamp(64, max),
        }
    }
}

/// The fields that most rows have in common.
const COMMON: Row = Row {
    name: "",
    title: "",
    unit: "objects",
    amount: Amount::Pods,
    digest: Some("pods"),
    shows_memory: true,
    needs_preparation: false,
};

/// All rows, in the order of the printed table.
pub(super) static ROWS: &[Row] = &[
    Row { name: "list", title: "list of all pods in one response", shows_memory: false, ..COMMON },
    Row { name: "store-list", title: "typed store of pods, filled by a list", ..COMMON },
    Row { name: "store-watchlist", title: "typed store of pods, filled by a WatchList", ..COMMON },
    Row { name: "store-compact", title: "compact store of pods, filled by a list", ..COMMON },
    Row { name: "store-compact-decoded", title: "the same, with a full decode as the check", ..COMMON },
    Row { name: "store-compact-zstd", title: "the same, compressed with zstd", ..COMMON },
    Row {
        name: "store-compact-reads",
        title: "reads of each pod of a compact store",
        unit: "reads",
        shows_memory: false,
        ..COMMON
    },
    Row {
        name: "store-incomplete",
        title: "store of a struct with five fields of pods",
        digest: Some("five-fields"),
        ..COMMON
    },
    Row {
        name: "store-kinds",
        title: "three stores at once: nodes, config maps, a derived kind of 30 fields",
        digest: Some("kinds"),
        ..COMMON
    },
    Row {
        name: "events",
        title: "watch events into a full store",
        unit: "events",
        digest: Some("after-events"),
        needs_preparation: true,
        shows_memory: false,
        ..COMMON
    },
    Row {
        name: "filter-generation",
        title: "watch events through a generation predicate that drops 99 %",
        unit: "events",
        digest: Some("new-generation"),
        needs_preparation: true,
        shows_memory: false,
        ..COMMON
    },
    Row {
        name: "filter-labels",
        title: "watch events through a client-side label selector that drops 99 %",
        unit: "events",
        digest: Some("selected"),
        needs_preparation: true,
        shows_memory: false,
        ..COMMON
    },
    Row {
        name: "relist",
        title: "relist of a full store, with a tenth of the objects changed",
        digest: Some("relisted"),
        needs_preparation: true,
        shows_memory: false,
        ..COMMON
    },
    Row {
        name: "get",
        title: "sequential gets of a pod over TCP",
        unit: "gets",
        amount: Amount::Calls { tenths: 5, max: 10_000 },
        digest: None,
        shows_memory: false,
        needs_preparation: false,
    },
    Row {
        name: "get-32",
        title: "gets of a pod over TCP, 32 concurrent",
        unit: "gets",
        amount: Amount::Calls { tenths: 10, max: 20_000 },
        digest: None,
        shows_memory: false,
        needs_preparation: false,
    },
    Row {
        name: "get-tls",
        title: "sequential gets of a pod over TLS (HTTP/2; kube: HTTP/1.1)",
        unit: "gets",
        amount: Amount::Calls { tenths: 5, max: 10_000 },
        digest: None,
        shows_memory: false,
        needs_preparation: false,
    },
    Row {
        name: "get-32-tls",
        title: "gets of a pod over TLS, 32 concurrent (HTTP/2; kube: HTTP/1.1)",
        unit: "gets",
        amount: Amount::Calls { tenths: 10, max: 20_000 },
        digest: None,
        shows_memory: false,
        needs_preparation: false,
    },
    Row {
        name: "get-tls-http1",
        title: "sequential gets of a pod over TLS and HTTP/1.1",
        unit: "gets",
        amount: Amount::Calls { tenths: 5, max: 10_000 },
        digest: None,
        shows_memory: false,
        needs_preparation: false,
    },
    Row {
        name: "get-32-tls-http1",
        title: "gets of a pod over TLS and HTTP/1.1, 32 concurrent",
        unit: "gets",
        amount: Amount::Calls { tenths: 10, max: 20_000 },
        digest: None,
        shows_memory: false,
        needs_preparation: false,
    },
    Row {
        name: "get-tls-hyper-util",
        title: "the same sequentially, with hyper-util's client under this project's stack",
        unit: "gets",
        amount: Amount::Calls { tenths: 5, max: 10_000 },
        digest: None,
        shows_memory: false,
        needs_preparation: false,
    },
    Row {
        name: "get-32-tls-hyper-util",
        title: "the same, 32 concurrent, with hyper-util's client under this project's stack",
        unit: "gets",
        amount: Amount::Calls { tenths: 10, max: 20_000 },
        digest: None,
        shows_memory: false,
        needs_preparation: false,
    },
    Row {
        name: "store-list-tls",
        title: "typed store of pods, filled by a list over TLS (HTTP/2; kube: HTTP/1.1)",
        ..COMMON
    },
    Row {
        name: "store-list-tls-http1",
        title: "typed store of pods, filled by a list over TLS and HTTP/1.1",
        ..COMMON
    },
    Row {
        name: "watches",
        title: "1,000 watches and 1,000 gets a second on one client over TLS, after a sixth of the time",
        unit: "gets",
        amount: Amount::Calls { tenths: 30, max: 60_000 },
        digest: None,
        shows_memory: false,
        needs_preparation: false,
    },
    Row {
        name: "exec-stdout",
        title: "standard output of a process in a pod",
        unit: "MiB",
        amount: Amount::Calls { tenths: 1, max: 1024 },
        digest: None,
        shows_memory: false,
        needs_preparation: false,
    },
    Row {
        name: "exec-stdin",
        title: "standard input of a process in a pod",
        unit: "MiB",
        amount: Amount::Calls { tenths: 1, max: 1024 },
        digest: None,
        shows_memory: false,
        needs_preparation: false,
    },
    Row {
        name: "get-in-process",
        title: "get of a config map from an in-process service",
        unit: "gets",
        amount: Amount::Calls { tenths: 50, max: 100_000 },
        digest: None,
        shows_memory: false,
        needs_preparation: false,
    },
    Row {
        name: "first-reconcile",
        title: "controller of the derived kind, from its start to the first reconcile",
        unit: "starts",
        digest: Some("widgets"),
        shows_memory: false,
        ..COMMON
    },
    Row {
        name: "reconcile",
        title: "no-op reconcile",
        unit: "reconciles",
        amount: Amount::Calls { tenths: 50, max: 200_000 },
        digest: Some("widgets"),
        shows_memory: false,
        needs_preparation: false,
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
            bail!("no row matches {name:?}; the rows are {}, build, growth", all.join(", "));
        }
    }
    let wanted = |row: &&Row| names.is_empty() || names.iter().any(|name| row.name.contains(name.as_str()));
    Ok(ROWS.iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_the_rows_whose_name_contains_an_argument() {
        let names = |wanted: &[&str]| -> Vec<_> {
            let wanted: Vec<_> = wanted.iter().map(|name| (*name).to_owned()).collect();
            select(&wanted).unwrap().iter().map(|row| row.name).collect()
        };
        assert_eq!(names(&["get-32"]), ["get-32", "get-32-tls", "get-32-tls-http1", "get-32-tls-hyper-util"]);
        assert_eq!(names(&["relist", "filter-l"]), ["filter-labels", "relist"]);
        assert_eq!(names(&[]).len(), ROWS.len());
        let error = select(&["lost".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("\"lost\"") && error.contains("store-compact"), "{error}");
    }
}
