//! A view of the storage at one resource version.
//!
//! All reads of clients go through a view, because the watch cache of an API server can lag behind etcd. A view must
//! not change the storage.

use std::sync::Arc;

use super::State;
use super::object::StoredObject;
use super::table::{CompactedError, Event, ReadSource, Table};

/// The objects of all tables at one resource version, which is at most the latest version of the storage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    state: &'a State,
    version: u64,
    source: ReadSource,
}

impl State {
    /// The view of the latest version.
    pub(crate) fn view(&self) -> View<'_> {
        View { state: self, version: self.version(), source: ReadSource::Etcd }
    }
}

impl View<'_> {
    /// The view at `version`, or at the version of this view if `version` is later.
    pub(crate) fn at(self, version: u64) -> Self {
        Self { version: version.min(self.version), ..self }
    }

    /// The view of a watch cache at `version`.
    pub(super) fn of_cache(self, version: u64) -> Self {
        Self { version, source: ReadSource::Cache, ..self }
    }

    pub(crate) fn version(self) -> u64 {
        self.version
    }

    fn is_latest(self) -> bool {
        self.version == self.state.version()
    }

    /// The object with this key, as it was at the version of the view.
    ///
    /// # Errors
    /// When the source of the view no longer has this version.
    pub(crate) fn get(self, storage: &str, key: &str) -> Result<Option<Arc<StoredObject>>, CompactedError> {
        match self.state.table(storage) {
            Some(table) if self.is_latest() => Ok(table.get(key).cloned()),
            Some(table) => table.get_at(key, self.version, self.source),
            None => Ok(None),
        }
    }

    /// The objects of `namespace` in the order of their keys; all objects if `namespace` is empty.
    ///
    /// # Errors
    /// When the source of the view no longer has the version of the view.
    pub(crate) fn objects(
        self,
        storage: &str,
        namespace: &str,
    ) -> Result<Vec<Arc<StoredObject>>, CompactedError> {
        match self.state.table(storage) {
            Some(table) if self.is_latest() => Ok(table.objects(namespace)),
            Some(table) => table.objects_at(namespace, self.version, self.source),
            None => Table::compacted_at(self.state.compaction_version()).objects_at(
                namespace,
                self.version,
                self.source,
            ),
        }
    }

    /// The changes after `version` up to the version of the view, at most the first `limit` of them, for an open watch.
    ///
    /// # Errors
    /// When the history no longer contains the next change.
    pub(crate) fn changes_after(
        self,
        storage: &str,
        version: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Event>>, CompactedError> {
        let Some(table) = self.state.table(storage) else { return Ok(Vec::new()) };
        let mut changes = table.changes_after(version, limit)?;
        changes.truncate(changes.partition_point(|event| event.version <= self.version));
        Ok(changes)
    }

    /// Whether a table with the name `storage` exists; see [`State::table`].
    pub(crate) fn has_table(self, storage: &str) -> bool {
        self.state.table(storage).is_some()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Clock;
    use crate::store::object::key;

    /// Returns a state and the name of its table of config maps. The changes at the versions 2 to 5 are: `a` is created,
    /// `a` is changed, `b` is created, `a` is deleted.
    fn state() -> (State, Arc<str>) {
        let mut state = State::new(Clock::system(), 100);
        let maps = state.registry.find("", "v1", "configmaps").unwrap().clone();
        let map = |name: &str, value: &str| json!({"metadata": {"name": name, "namespace": "x", "uid": name}, "data": {"k": value}});
        state.commit(&maps, key("x", "a"), map("a", "1")).unwrap();
        state.commit(&maps, key("x", "a"), map("a", "2")).unwrap();
        state.commit(&maps, key("x", "b"), map("b", "1")).unwrap();
        state.erase(&(maps.storage.clone(), key("x", "a"))).unwrap();
        (state, maps.storage.clone())
    }

    #[test]
    fn an_earlier_view_has_the_objects_of_its_version() {
        let (state, maps) = state();
        let value = |version: u64, name: &str| {
            let found = state.view().at(version).get(&maps, &key("x", name)).unwrap();
            found.map(|object| object.value()["data"]["k"].as_str().unwrap().to_owned())
        };
        assert_eq!(
            [1, 2, 3, 4, 5].map(|version| value(version, "a").unwrap_or_default()),
            ["", "1", "2", "2", ""]
        );
        assert_eq!([3, 4, 5].map(|version| value(version, "b").unwrap_or_default()), ["", "1", "1"]);
        let names = |version: u64| -> Vec<String> {
            let objects = state.view().at(version).objects(&maps, "x").unwrap();
            objects.iter().map(|object| object.name().to_owned()).collect()
        };
        assert_eq!([1, 2, 4, 5].map(|version| names(version).concat()), ["", "a", "ab", "b"]);
    }

    #[test]
    fn an_earlier_view_has_no_later_changes() {
        let (state, maps) = state();
        let changes = |version: u64, after: u64| -> Vec<u64> {
            let changes = state.view().at(version).changes_after(&maps, after, 10).unwrap();
            changes.iter().map(|event| event.version).collect()
        };
        assert_eq!(changes(5, 1), [2, 3, 4, 5]);
        assert_eq!(changes(3, 1), [2, 3]);
        assert_eq!(changes(3, 4), Vec::<u64>::new());
        assert_eq!(state.view().at(99).version(), 5);
    }

    #[test]
    fn a_read_at_a_version_before_the_compaction_fails() {
        let (mut state, maps) = state();
        state.compact(4);
        assert!(state.view().at(3).get(&maps, &key("x", "a")).is_err());
        assert!(state.view().at(3).objects(&maps, "x").is_err());
        assert!(state.view().at(4).get(&maps, &key("x", "a")).unwrap().is_some());
    }
}
