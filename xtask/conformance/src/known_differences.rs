//! The known differences between kube-sim and a real API server. `data/known.yaml` lists the scenarios whose
//! responses differ, and `data/mutations.txt` lists the mutations whose responses differ.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use serde::Deserialize;

/// The maximum number of entries in `data/known.yaml`.
const MAX_KNOWN_SCENARIOS: usize = 10;

/// The names of the cases whose responses are known to differ, with the reason for each scenario.
#[derive(Debug)]
pub(crate) struct KnownDifferences {
    scenarios: BTreeMap<String, String>,
    mutations: BTreeSet<String>,
}

/// An entry of `data/known.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownScenario {
    name: String,
    reason: String,
}

impl KnownDifferences {
    /// Parses the texts of `data/known.yaml` and `data/mutations.txt`.
    pub(crate) fn parse(scenarios: &str, mutations: &str) -> anyhow::Result<Self> {
        let entries: Vec<KnownScenario> =
            yaml_serde::from_str(scenarios).context("cannot parse data/known.yaml")?;
        ensure!(
            entries.len() <= MAX_KNOWN_SCENARIOS,
            "data/known.yaml has {} entries, more than {MAX_KNOWN_SCENARIOS}",
            entries.len()
        );
        let scenarios = entries.into_iter().map(|entry| (entry.name, entry.reason)).collect();
        let mutations = mutations.lines().filter(|line| !line.is_empty()).map(ToOwned::to_owned).collect();
        Ok(Self { scenarios, mutations })
    }

    /// Whether the responses of the case with this name are known to differ.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.scenarios.contains_key(name) || self.mutations.contains(name)
    }

    /// Returns each name in the data files that is not in `different`. `different` contains the name of each case whose
    /// responses differ in this run. The developer has to remove the returned names from the data files.
    pub(crate) fn obsolete_names<'a>(
        &'a self,
        different: &'a BTreeSet<&str>,
    ) -> impl Iterator<Item = &'a str> {
        let names = self.scenarios.keys().chain(&self.mutations);
        names.map(String::as_str).filter(|name| !different.contains(name))
    }
}
