//! Snapshot and restore of the storage. A restore simulates an etcd that is restored from a backup.
//!
//! This module must not apply API rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::queue::Queue;
use super::table::Table;
use super::{State, StorageKey};
use crate::registry::Registry;

/// A copy of the storage. Each field is a copy of the field of [`State`] with the same name; the copies share the
/// objects and the events of the history by `Arc`.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    version: u64,
    tables: Arc<BTreeMap<Arc<str>, Table>>,
    storage_keys: BTreeMap<Arc<str>, StorageKey>,
    dependents: BTreeMap<Arc<str>, BTreeSet<StorageKey>>,
    queue: Queue,
    bytes: usize,
    compacted: u64,
    registry: Registry,
}

impl State {
    /// Copies the storage without the open watches.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            version: self.version,
            tables: Arc::new(without_watchers(&self.tables)),
            storage_keys: self.storage_keys.clone(),
            dependents: self.dependents.clone(),
            queue: self.queue.clone(),
            bytes: self.bytes,
            compacted: self.compacted,
            registry: self.registry.clone(),
        }
    }

    /// Restores `snapshot`, including its resource version. Watches stay open. A watch gets events again when the
    /// version of the storage exceeds the version that the watch has reached. The random generator is not restored, so that
    /// no uid is assigned twice.
    pub(crate) fn restore(&mut self, snapshot: &Snapshot) {
        let Snapshot { version, tables, storage_keys, dependents, queue, bytes, compacted, registry } =
            snapshot.clone();
        self.compacted = compacted;
        self.caches.rewind(version);
        let before = std::mem::replace(&mut self.tables, without_watchers(&tables));
        for (storage, mut table) in before {
            self.table_mut(&storage).take_watchers(&mut table);
        }
        self.version = version;
        self.storage_keys = storage_keys;
        self.dependents = dependents;
        self.queue = queue;
        self.unobserved.clear();
        self.bytes = bytes;
        self.registry.restore(registry);
        // Wake all watches. The restored registry may no longer serve the resource of a watch: such a watch
        // must end. The next key in the queue may be due at another time: every watch must reset its timer.
        for table in self.tables.values_mut() {
            table.wake_all();
        }
    }
}

fn without_watchers(tables: &BTreeMap<Arc<str>, Table>) -> BTreeMap<Arc<str>, Table> {
    tables.iter().map(|(storage, table)| (storage.clone(), table.without_watchers())).collect()
}
