//! The rows: what is measured. Everything in here is data.

use anyhow::bail;

/// One row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// What it is called on the command line.
    pub(super) name: &'static str,
    /// What it is, for people.
    pub(super) title: &'static str,
    /// What is counted.
    pub(super) unit: &'static str,
    /// How much of it there is.
    pub(super) amount: Amount,
    /// Which digest of the load source the contender's objects must have.
    pub(super) digest: Option<&'static str>,
    /// Whether the memory that stays divided by the units is of interest.
    pub(super) keeps: bool,
    /// Whether the load source has to prepare events and the later state.
    pub(super) prepared: bool,
}

impl Row {
    /// Its name and what it is.
    pub(super) fn label(&self) -> String {
        format!("{}: {}", self.name, self.title)
    }
}

/// How many units a contender does, beyond what the load source has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Amount {
    /// As many as there are pods.
    Pods,
    /// So many for each pod, and at most so many.
    Calls {
        /// Tenths for each pod.
        tenths: usize,
        /// At most so many.
        most: usize,
    },
}

impl Amount {
    /// The number for so many pods.
    pub(super) fn of(self, pods: usize) -> usize {
        match self {
            Self::Pods => pods,
            Self::Calls { tenths, most } => (pods * tenths / 10).clamp(64, most),
        }
    }
}

const STORE: Row = Row {
    name: "",
    title: "",
    unit: "objects",
    amount: Amount::Pods,
    digest: Some("pods"),
    keeps: true,
    prepared: false,
};

/// All rows, in the order in which they are shown.
pub(super) static ROWS: &[Row] = &[
    Row { name: "list", title: "list of all pods in one answer", keeps: false, ..STORE },
    Row { name: "store-list", title: "typed store of pods, filled by a list", ..STORE },
    Row { name: "store-watchlist", title: "typed store of pods, filled by a WatchList", ..STORE },
    Row { name: "store-compact", title: "compact store of pods, filled by a list", ..STORE },
    Row {
        name: "store-incomplete",
        title: "store of a struct that names five fields of pods",
        digest: Some("five-fields"),
        ..STORE
    },
    Row {
        name: "store-kinds",
        title: "three stores at once: nodes, config maps, a derived kind of 30 fields",
        digest: Some("kinds"),
        ..STORE
    },
    Row {
        name: "events",
        title: "watch events into a full store",
        unit: "events",
        digest: Some("after-events"),
        prepared: true,
        keeps: false,
        ..STORE
    },
    Row {
        name: "filter-generation",
        title: "watch events past a predicate on the generation, which drops 99 %",
        unit: "events",
        digest: Some("new-generation"),
        prepared: true,
        keeps: false,
        ..STORE
    },
    Row {
        name: "filter-labels",
        title: "watch events past a label selector on the client's side, which drops 99 %",
        unit: "events",
        digest: Some("selected"),
        prepared: true,
        keeps: false,
        ..STORE
    },
    Row {
        name: "relist",
        title: "relist of a full store of which a tenth has changed",
        digest: Some("relisted"),
        prepared: true,
        keeps: false,
        ..STORE
    },
    Row {
        name: "get",
        title: "get of a pod over TCP, one after the other",
        unit: "gets",
        amount: Amount::Calls { tenths: 5, most: 10_000 },
        digest: None,
        keeps: false,
        prepared: false,
    },
    Row {
        name: "get-32",
        title: "get of a pod over TCP, 32 at once",
        unit: "gets",
        amount: Amount::Calls { tenths: 10, most: 20_000 },
        digest: None,
        keeps: false,
        prepared: false,
    },
    Row {
        name: "get-in-process",
        title: "get of a config map from a service in the process",
        unit: "gets",
        amount: Amount::Calls { tenths: 50, most: 100_000 },
        digest: None,
        keeps: false,
        prepared: false,
    },
    Row {
        name: "first-reconcile",
        title: "start of a controller of the derived kind to its first reconcile",
        unit: "starts",
        digest: Some("widgets"),
        keeps: false,
        ..STORE
    },
    Row {
        name: "reconcile",
        title: "reconcile that does nothing",
        unit: "reconciles",
        amount: Amount::Calls { tenths: 50, most: 200_000 },
        digest: Some("widgets"),
        keeps: false,
        prepared: false,
    },
];

/// The rows whose names contain one of `names`; all where there are none.
///
/// # Errors
/// When a name matches no row.
pub(super) fn select(names: &[String]) -> anyhow::Result<Vec<&'static Row>> {
    for name in names {
        if !ROWS.iter().any(|row| row.name.contains(name.as_str())) {
            let all: Vec<_> = ROWS.iter().map(|row| row.name).collect();
            bail!("no row is called {name:?}; there are {}, and build and growth", all.join(", "));
        }
    }
    let wanted = |row: &&Row| names.is_empty() || names.iter().any(|name| row.name.contains(name.as_str()));
    Ok(ROWS.iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_by_part_of_a_name() {
        let names = |wanted: &[&str]| -> Vec<_> {
            let wanted: Vec<_> = wanted.iter().map(|name| (*name).to_owned()).collect();
            select(&wanted).unwrap().iter().map(|row| row.name).collect()
        };
        assert_eq!(names(&["get"]), ["get", "get-32", "get-in-process"]);
        assert_eq!(names(&["relist", "filter-l"]), ["filter-labels", "relist"]);
        assert_eq!(names(&[]).len(), ROWS.len());
        let error = select(&["lost".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("\"lost\"") && error.contains("store-compact"), "{error}");
    }
}
