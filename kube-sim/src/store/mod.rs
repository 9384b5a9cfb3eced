//! All that a simulation remembers: tables of objects, the version counter, who owns whom, and what falls due.
//!
//! Every change goes through [`State::commit`] and [`State::erase`], which keep the indexes right. Rules of the API
//! (what may change, what follows from a change) live in `handler`.

pub(crate) mod object;
pub(crate) mod selector;
pub(crate) mod snapshot;
pub(crate) mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::Waker;

use serde_json::Value;
use tokio::time::Instant;

use crate::clock::{Clock, Random};
use crate::registry::{Registry, Resource};
use crate::status::SimError;
use object::Stored;
use table::Table;

/// Where an object lies: its table and its key.
pub(crate) type Place = (Arc<str>, Arc<str>);

/// Bytes of JSON text that the live objects may take, like the space quota of etcd.
pub(crate) const SPACE_QUOTA: usize = 2 << 30;

/// Bytes that etcd takes in one request.
const REQUEST_LIMIT: usize = 3 << 19;

/// Bytes that the API server's client of etcd sends in one message.
const MESSAGE_LIMIT: usize = 2 << 20;

/// The whole state behind a simulation's lock.
#[derive(Debug)]
pub(crate) struct State {
    version: u64,
    tables: BTreeMap<Arc<str>, Table>,
    places: BTreeMap<Arc<str>, Place>,
    dependents: BTreeMap<Arc<str>, BTreeSet<Place>>,
    due: BTreeMap<(Instant, Arc<str>), Place>,
    bytes: usize,
    history: usize,
    next_watcher: u64,
    /// Watches with a lower number than this end.
    first_watcher: u64,
    pub(crate) registry: Registry,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    /// Something outside (the workload) ends pods that were asked to stop.
    pub(crate) kubelet: bool,
}

impl State {
    pub(crate) fn new(clock: Clock, random: Random, history: usize) -> Self {
        Self {
            version: 1,
            tables: BTreeMap::new(),
            places: BTreeMap::new(),
            dependents: BTreeMap::new(),
            due: BTreeMap::new(),
            bytes: 0,
            history: history.max(1),
            next_watcher: 0,
            first_watcher: 0,
            registry: Registry::new(),
            clock,
            random,
            kubelet: false,
        }
    }

    /// The version of the latest change.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn table(&self, storage: &str) -> Option<&Table> {
        self.tables.get(storage)
    }

    pub(crate) fn table_mut(&mut self, storage: &Arc<str>) -> &mut Table {
        self.tables.entry(storage.clone()).or_default()
    }

    pub(crate) fn tables(&self) -> impl Iterator<Item = (&Arc<str>, &Table)> {
        self.tables.iter()
    }

    pub(crate) fn get(&self, storage: &str, key: &str) -> Option<&Arc<Stored>> {
        self.tables.get(storage)?.get(key)
    }

    /// Where the object with that uid lies.
    pub(crate) fn place_of(&self, uid: &str) -> Option<&Place> {
        self.places.get(uid)
    }

    /// The objects that name `uid` as an owner.
    pub(crate) fn dependents_of(&self, uid: &str) -> Vec<Place> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// Writes an object under the next version.
    ///
    /// # Errors
    /// When the space quota would be passed, or the object does not fit into one request of etcd.
    pub(crate) fn commit(
        &mut self,
        resource: &Resource,
        key: Arc<str>,
        mut value: Value,
    ) -> Result<Arc<Stored>, SimError> {
        let version = self.version + 1;
        value["metadata"]["resourceVersion"] = version.to_string().into();
        let fields = resource.fields.iter().map(|f| f.read(&value)).collect();
        let object = Arc::new(Stored::new(key, version, fields, value));
        check_size(resource, &object)?;
        let before = self.get(&resource.storage, &object.key).cloned();
        let bytes = self.bytes + object.len() - before.as_ref().map_or(0, |o| o.len());
        if bytes > SPACE_QUOTA {
            return Err(SimError::internal("etcdserver: mvcc: database space exceeded"));
        }
        self.bytes = bytes;
        self.version = version;
        let place = (resource.storage.clone(), object.key.clone());
        if let Some(before) = before {
            self.unlink(&before, &place);
        }
        self.places.insert(object.uid.clone(), place.clone());
        for owner in &object.owners {
            self.dependents.entry(owner.clone()).or_default().insert(place.clone());
        }
        let history = self.history;
        self.table_mut(&resource.storage).insert(object.clone(), history);
        Ok(object)
    }

    /// Takes an object out under the next version, and answers with its last state as watchers see it.
    pub(crate) fn erase(&mut self, place: &Place) -> Option<Arc<Stored>> {
        let object = self.get(&place.0, &place.1)?.clone();
        self.version += 1;
        self.bytes -= object.len();
        let mut value = object.value();
        value["metadata"]["resourceVersion"] = self.version.to_string().into();
        let last = Arc::new(Stored::new(object.key.clone(), self.version, object.fields.clone(), value));
        self.unlink(&object, place);
        self.places.remove(&object.uid);
        let history = self.history;
        self.table_mut(&place.0).remove(last.clone(), history);
        Some(last)
    }

    fn unlink(&mut self, object: &Stored, place: &Place) {
        for owner in &object.owners {
            if let Some(of_owner) = self.dependents.get_mut(owner) {
                of_owner.remove(place);
                if of_owner.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
    }

    /// Refuses reads from before `version` everywhere.
    pub(crate) fn compact(&mut self, version: u64) {
        let version = version.min(self.version);
        for table in self.tables.values_mut() {
            table.compact(version);
        }
    }

    /// Has the watches of a table look again, because its resource is no longer served.
    pub(crate) fn wake_watches(&mut self, storage: &Arc<str>) {
        self.table_mut(storage).wake_all();
    }

    pub(crate) fn new_watcher(&mut self) -> u64 {
        self.next_watcher += 1;
        self.next_watcher
    }

    /// Ends the watches that are open now.
    pub(crate) fn end_watches(&mut self) {
        self.first_watcher = self.next_watcher + 1;
        for table in self.tables.values_mut() {
            table.wake_all();
        }
    }

    /// Whether a watch was told to end.
    pub(crate) fn is_ended(&self, watcher: u64) -> bool {
        watcher < self.first_watcher
    }

    pub(crate) fn watchers(&self) -> usize {
        self.tables.values().map(Table::watchers).sum()
    }

    pub(crate) fn wake_on_change(&mut self, storage: &Arc<str>, watcher: u64, waker: &Waker) {
        self.table_mut(storage).wake_on_change(watcher, waker);
    }

    /// Notes that the object of `uid` is to go at `when`.
    pub(crate) fn schedule_removal(&mut self, when: Instant, uid: Arc<str>, place: Place) {
        self.due.insert((when, uid), place);
        // Watchers sleep until the next thing falls due, so they have to look again.
        for table in self.tables.values_mut() {
            table.wake_all();
        }
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.keys().next().map(|(when, _)| *when)
    }

    /// Takes out one removal that is due, if its object is still the one that was meant.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Place> {
        loop {
            let entry = self.due.first_entry()?;
            if entry.key().0 > now {
                return None;
            }
            let uid = entry.key().1.clone();
            let place = entry.remove();
            if self.get(&place.0, &place.1).is_some_and(|o| o.uid == uid) {
                return Some(place);
            }
        }
    }
}

/// Custom resources are stored as the JSON that they are held as here. Built-in kinds are stored as Protocol Buffers, whose
/// size is not known here: the limits of their validation are the ones that clients meet.
fn check_size(resource: &Resource, object: &Stored) -> Result<(), SimError> {
    if resource.custom().is_none() {
        return Ok(());
    }
    // A request names the key three times, and the object its type.
    let key = "/registry//".len() + resource.storage.len() + object.key.len();
    let size = object.len() + resource.api_version.len() + resource.kind.len() + 3 * key;
    let why = if size >= MESSAGE_LIMIT {
        format!(
            "rpc error: code = ResourceExhausted desc = trying to send message larger than max ({size} vs. {MESSAGE_LIMIT})"
        )
    } else if size >= REQUEST_LIMIT {
        "etcdserver: request is too large".to_owned()
    } else {
        return Ok(());
    };
    Err(SimError::new(http::StatusCode::INTERNAL_SERVER_ERROR, "", why))
}
