//! The known differences between kube-sim and the real control plane: `data/known.yaml`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use serde::Deserialize;

/// The maximum number of commands whose results may differ.
const MAX_COMMANDS: usize = 10;

/// The commands whose results may differ, each with its reason. The name of a command consists of the name of its script,
/// a colon, a space, and the first line of the command.
#[derive(Debug, Default)]
pub(crate) struct KnownDifferences(BTreeMap<String, String>);

/// An entry of `data/known.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    command: String,
    reason: String,
}

impl KnownDifferences {
    /// Parses the text of `data/known.yaml`.
    ///
    /// # Errors
    /// When the text is not a list of commands with reasons, or the list is too long.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let entries: Vec<Entry> = yaml_serde::from_str(text).context("cannot parse data/known.yaml")?;
        ensure!(
            entries.len() <= MAX_COMMANDS,
            "data/known.yaml has {} entries, more than {MAX_COMMANDS}",
            entries.len()
        );
        for entry in &entries {
            ensure!(!entry.reason.trim().is_empty(), "data/known.yaml: {} has no reason", entry.command);
        }
        Ok(Self(entries.into_iter().map(|entry| (entry.command, entry.reason)).collect()))
    }

    /// The reason why the results of a command may differ; `None` if `data/known.yaml` does not
    /// list the command.
    pub(crate) fn reason(&self, command: &str) -> Option<&str> {
        self.0.get(command).map(String::as_str)
    }

    /// The commands whose entries must be removed, because the results of these commands no longer differ.
    /// `different` contains all commands whose results differ.
    pub(crate) fn obsolete_commands<'a>(
        &'a self,
        different: &'a BTreeSet<String>,
    ) -> impl Iterator<Item = &'a str> {
        self.0.keys().filter(|command| !different.contains(*command)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_needs_a_reason() {
        let known = KnownDifferences::parse("[{command: 'a: b', reason: c}]").unwrap();
        assert_eq!(known.reason("a: b"), Some("c"));
        assert_eq!(known.obsolete_commands(&BTreeSet::new()).collect::<Vec<_>>(), ["a: b"]);
        assert!(KnownDifferences::parse("[{command: 'a: b', reason: ''}]").is_err());
    }
}
