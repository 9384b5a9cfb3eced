//! Removes the latest changes from the storage, as the restore of etcd from an earlier backup does.
//!
//! This module must not apply API rules.

use std::sync::Arc;

use super::State;
use super::table::{Change, CompactedError, Event, Table};

impl State {
    /// Restores the storage as it was at `version`. Watches stay open, as after [`State::restore`]. The controllers
    /// observe the restored objects again.
    ///
    /// # Errors
    /// When the history no longer contains all changes after `version`. In this case, the storage stays as it is.
    pub(crate) fn rewind(&mut self, version: u64) -> Result<(), CompactedError> {
        let oldest = self.tables.values().map(Table::last_dropped_version).max().unwrap_or(0);
        if version < oldest {
            return Err(CompactedError { oldest });
        }
        if version >= self.version {
            return Ok(());
        }
        let storages: Vec<Arc<str>> = self.tables.keys().cloned().collect();
        for storage in storages {
            for undone in self.table_mut(&storage).undo_changes_after(version) {
                self.undo_in_indexes(&storage, &undone);
            }
        }
        self.version = version;
        self.compacted = self.compacted.min(version);
        self.caches.rewind(version);
        self.wake_all_watches();
        Ok(())
    }

    /// Updates the indexes after the table has undone a change. Queues the reverse change for the controllers.
    fn undo_in_indexes(&mut self, storage: &Arc<str>, undone: &Event) {
        let storage_key = (storage.clone(), undone.object.key.clone());
        if undone.change != Change::Deleted {
            self.bytes -= undone.object.len();
            self.storage_keys.remove(&undone.object.uid);
            self.remove_from_dependents(&undone.object, &storage_key);
        }
        // If the change has no previous state, the undo removes the object, and the controllers observe a deletion.
        let (change, object) = match &undone.previous {
            Some(previous) => (Change::Modified, previous.clone()),
            None => (Change::Deleted, undone.object.clone()),
        };
        if let Some(previous) = &undone.previous {
            self.bytes += previous.len();
            self.storage_keys.insert(previous.uid.clone(), storage_key.clone());
            for owner in &previous.owners {
                self.dependents.entry(owner.clone()).or_default().insert(storage_key.clone());
            }
        }
        self.unobserved.push_back((storage.clone(), Arc::new(Event::new(change, object, None))));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::Sim;

    fn config_map(name: &str, text: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "default"}, "data": {"k": text},
        })
    }

    #[test]
    fn a_rewound_store_equals_its_earlier_state() {
        let sim = Sim::new();
        let owner = sim.create(&config_map("owner", "1")).unwrap();
        let mut dependent = config_map("owned", "1");
        dependent["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"],
        }]);
        sim.create(&dependent).unwrap();
        let (version, bytes) = (sim.resource_version(), sim.inner().lock().bytes);
        let before = sim.list("v1", "ConfigMap", "").unwrap();

        sim.create(&config_map("new", "1")).unwrap();
        sim.update(&config_map("owner", "2")).unwrap();
        sim.delete("v1", "ConfigMap", "default", "owner").unwrap();
        assert!(sim.get("v1", "ConfigMap", "default", "owned").unwrap_err().is_not_found());
        let lost = sim.resource_version() - version;
        sim.rewind(lost).unwrap();

        assert_eq!(sim.resource_version(), version);
        assert_eq!(sim.list("v1", "ConfigMap", "").unwrap(), before);
        assert_eq!(sim.inner().lock().bytes, bytes);
        // The garbage collector still knows the dependents of the restored owner.
        sim.delete("v1", "ConfigMap", "default", "owner").unwrap();
        assert_eq!(sim.list("v1", "ConfigMap", "default").unwrap(), Vec::<Value>::new());
    }

    #[test]
    fn a_rewind_restores_the_served_definitions() {
        let sim = Sim::new();
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "widgets.example.com"},
            "spec": {
                "group": "example.com", "scope": "Namespaced",
                "names": {"plural": "widgets", "kind": "Widget"},
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object"}},
                }],
            },
        });
        let before = sim.resource_version();
        sim.create(&definition).unwrap();
        let widget = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}});
        sim.create(&widget).unwrap();
        let with_widget = sim.resource_version();
        let (kind, name) = ("CustomResourceDefinition", "widgets.example.com");
        sim.delete("apiextensions.k8s.io/v1", kind, "", name).unwrap();
        assert!(sim.get("example.com/v1", "Widget", "default", "a").is_err());

        sim.rewind(sim.resource_version() - with_widget).unwrap();
        sim.get("example.com/v1", "Widget", "default", "a").unwrap();
        sim.rewind(sim.resource_version() - before).unwrap();
        assert!(sim.get("example.com/v1", "Widget", "default", "a").is_err());
        assert_eq!(sim.resource_version(), before);
    }

    #[test]
    fn changes_that_the_history_lacks_cannot_be_undone() {
        let sim = Sim::builder().history(2).build();
        for text in ["1", "2", "3", "4"] {
            sim.create(&config_map(text, text)).unwrap();
        }
        let version = sim.resource_version();
        let error = sim.rewind(3).unwrap_err();
        assert!(error.message().contains("the history begins at resource version"), "{error}");
        assert_eq!(sim.resource_version(), version);
        sim.rewind(2).unwrap();
        assert_eq!(sim.resource_version(), version - 2);
    }
}
