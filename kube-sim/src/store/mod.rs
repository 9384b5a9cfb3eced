//! The storage: tables of objects, the resource version, the index of dependents, and the queue of the controllers.
//!
//! Only [`State::commit`], [`State::commit_with_schema`], [`State::create_from_templates`], [`State::erase`] and the restore
//! of an earlier state may change objects, because only these functions keep the indexes and the controllers up to date.
//! The storage must not enforce API rules.

pub(crate) mod cache;
mod decoded;
pub(crate) mod object;
pub(crate) mod queue;
mod rewind;
pub(crate) mod selector;
pub(crate) mod snapshot;
pub(crate) mod table;
pub(crate) mod template;
pub(crate) mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::admission_plugin::AdmissionPlugin;
use crate::clock::{Clock, Random};
use crate::nesting;
use crate::registry::{Registry, Resource};
use crate::schema::Schema;
use crate::status::SimError;
use cache::Caches;
use decoded::DecodedValues;
use object::StoredObject;
use queue::{Controller, Key, Queue};
use table::{CompactedError, Event, Table};

/// The storage key of an object: the name of its table, and its key in the table.
pub(crate) type StorageKey = (Arc<str>, Arc<str>);

/// The maximum total size of all objects in bytes of JSON. It corresponds to the space quota of etcd.
pub(crate) const SPACE_QUOTA: usize = 2 << 30;

/// etcd rejects a request of this size in bytes, or of a larger size.
const REQUEST_LIMIT: usize = 3 << 19;

/// The etcd client of the API server does not send a message of this size in bytes, or of a larger size.
const MESSAGE_LIMIT: usize = 2 << 20;

/// The state of a simulation. The lock in `shared_state::Inner` protects it.
#[derive(Debug)]
pub(crate) struct State {
    /// The resource version of the latest change.
    version: u64,
    tables: BTreeMap<Arc<str>, Table>,
    /// The storage keys of all objects, by uid.
    storage_keys: BTreeMap<Arc<str>, StorageKey>,
    /// The storage keys of the dependents, by the uid of the owner.
    dependents: BTreeMap<Arc<str>, BTreeSet<StorageKey>>,
    queue: Queue,
    /// The changes that the controllers have not observed, each with the name of its table.
    unobserved: VecDeque<(Arc<str>, Arc<Event>)>,
    /// The delay of each controller that runs: the time between an event and the reconcile that the event causes.
    delays: BTreeMap<Controller, Duration>,
    /// The total size of all objects in bytes of JSON.
    bytes: usize,
    /// The maximum number of changes in the history of each table.
    history_limit: usize,
    /// The version of the last compaction. Lists and new watches at an older version get 410, even if the resource has no
    /// table.
    compacted: u64,
    last_watch_id: u64,
    caches: Caches,
    decoded: DecodedValues,
    pub(crate) registry: Registry,
    pub(crate) clock: Clock,
    /// The random number generator of the controllers and of the service account admission.
    pub(crate) random: Random,
    /// The certificate authorities of the listeners with generated certificates, in PEM; `None` before the first such
    /// listener starts.
    pub(crate) root_ca: Option<Arc<str>>,
    /// The storage keys of the latest Events of the controllers, oldest first.
    pub(crate) recorded_events: VecDeque<StorageKey>,
    /// The admission plugins that the builder has enabled (true) or disabled (false). A plugin that is not in this map has
    /// its default.
    pub(crate) plugins: BTreeMap<AdmissionPlugin, bool>,
    /// The number of pod IPs that have been assigned.
    pub(crate) assigned_pod_ips: u32,
    /// Whether the crate's `workload` module simulates a kubelet, which removes terminating pods. If this is false,
    /// [`Controller::Kubelet`] removes them.
    pub(crate) simulates_kubelets: bool,
}

impl State {
    pub(crate) fn new(clock: Clock, history_limit: usize) -> Self {
        Self {
            version: 1,
            tables: BTreeMap::new(),
            storage_keys: BTreeMap::new(),
            dependents: BTreeMap::new(),
            queue: Queue::default(),
            unobserved: VecDeque::new(),
            delays: Controller::BASIC.iter().map(|controller| (*controller, Duration::ZERO)).collect(),
            bytes: 0,
            history_limit: history_limit.max(1),
            compacted: 0,
            last_watch_id: 0,
            caches: Caches::default(),
            decoded: DecodedValues::default(),
            registry: Registry::new(),
            clock,
            random: Random::seeded(0),
            root_ca: None,
            recorded_events: VecDeque::new(),
            plugins: BTreeMap::new(),
            assigned_pod_ips: 0,
            simulates_kubelets: false,
        }
    }

    /// The resource version of the latest change.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The table with the name `storage`; `None` if it does not exist, for example before the first object of its resource.
    pub(crate) fn table(&self, storage: &str) -> Option<&Table> {
        self.tables.get(storage)
    }

    /// The table with the name `storage`, which is created if it does not exist.
    pub(crate) fn table_mut(&mut self, storage: &Arc<str>) -> &mut Table {
        let compacted = self.compacted;
        self.tables.entry(storage.clone()).or_insert_with(|| Table::compacted_at(compacted))
    }

    /// Returns an error if `version` is too old for a new watch (410).
    pub(crate) fn check_not_too_old(&self, storage: &str, version: u64) -> Result<(), CompactedError> {
        match self.tables.get(storage) {
            Some(table) => table.check_not_too_old(version),
            None => Table::compacted_at(self.compacted).check_not_too_old(version),
        }
    }

    /// The version of the last compaction, for resources without a table. A list or a new watch at an earlier version
    /// gets 410.
    fn compaction_version(&self) -> u64 {
        self.compacted
    }

    /// The tables with their names.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (&Arc<str>, &Table)> {
        self.tables.iter()
    }

    /// The object with this key in the table `storage`.
    pub(crate) fn get(&self, storage: &str, key: &str) -> Option<&Arc<StoredObject>> {
        self.tables.get(storage)?.get(key)
    }

    /// The objects of `namespace` in the table `storage`, in the order of their keys; all objects of the table if
    /// `namespace` is empty.
    pub(crate) fn objects(&self, storage: &str, namespace: &str) -> Vec<Arc<StoredObject>> {
        self.table(storage).map(|table| table.objects(namespace)).unwrap_or_default()
    }

    /// The object with this storage key.
    pub(crate) fn object_at(&self, (storage, key): &StorageKey) -> Option<&Arc<StoredObject>> {
        self.get(storage, key)
    }

    /// The storage key of the object with this uid.
    pub(crate) fn storage_key_of(&self, uid: &str) -> Option<&StorageKey> {
        self.storage_keys.get(uid)
    }

    /// The storage keys of the objects with an owner reference to `uid`.
    pub(crate) fn dependents_of(&self, uid: &str) -> Vec<StorageKey> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// Creates or replaces an object, with the next resource version.
    ///
    /// # Errors
    /// 500 if all objects together would exceed the space quota, or if a custom resource exceeds a size limit of etcd. 400
    /// if the object is nested too deeply.
    pub(crate) fn commit(
        &mut self,
        resource: &Resource,
        key: Arc<str>,
        value: Value,
    ) -> Result<Arc<StoredObject>, SimError> {
        let before = resource.custom_properties().and_then(|_| self.get(&resource.storage, &key));
        let schema = before.and_then(|before| before.schema.clone());
        self.commit_with_schema(resource, key, value, schema)
    }

    /// Creates or replaces an object as [`Self::commit`] does. `schema` is the schema with which the server has
    /// defaulted and pruned a custom resource.
    ///
    /// # Errors
    /// As for [`Self::commit`].
    pub(crate) fn commit_with_schema(
        &mut self,
        resource: &Resource,
        key: Arc<str>,
        mut value: Value,
        schema: Option<Arc<Schema>>,
    ) -> Result<Arc<StoredObject>, SimError> {
        let version = self.version + 1;
        value["metadata"]["resourceVersion"] = version.to_string().into();
        // `StoredObject::value` cannot parse an object that nests deeper than this limit.
        if !nesting::has_at_most_levels(nesting::MAX_DEPTH, &value) {
            let why = format!(
                "the object nests deeper than {} levels, which this server does not store",
                nesting::MAX_DEPTH
            );
            return Err(SimError::bad_request(why));
        }
        let fields = resource.field_values(&value);
        let before = self.get(&resource.storage, &key).cloned();
        let api_version = match &value["apiVersion"] {
            // An object from `StoredObject::value` has no `apiVersion`. It keeps the API version of the stored object.
            Value::Null => before.as_ref().and_then(|before| before.api_version.clone()),
            text => resource.stored_version(text.as_str().unwrap_or_default()),
        };
        let object = StoredObject::new(key, version, fields, value).with_api_version(api_version);
        let object = Arc::new(object.with_schema(schema).share_values_with(before.as_deref()));
        check_size(resource, &object)?;
        let bytes = self.bytes + object.len() - before.as_ref().map_or(0, |o| o.len());
        if bytes > SPACE_QUOTA {
            return Err(SimError::internal("etcdserver: mvcc: database space exceeded"));
        }
        self.insert(resource.storage.clone(), object.clone(), before);
        Ok(object)
    }

    /// Stores an object in the table `storage`, in place of the object `before`. The version of the new object becomes the
    /// version of the storage.
    fn insert(&mut self, storage: Arc<str>, object: Arc<StoredObject>, before: Option<Arc<StoredObject>>) {
        self.bytes = self.bytes + object.len() - before.as_ref().map_or(0, |o| o.len());
        self.version = object.version;
        let storage_key = (storage.clone(), object.key.clone());
        if let Some(before) = before {
            self.remove_from_dependents(&before, &storage_key);
        }
        self.storage_keys.insert(object.uid.clone(), storage_key.clone());
        for owner in &object.owners {
            self.dependents.entry(owner.clone()).or_default().insert(storage_key.clone());
        }
        let limit = self.history_limit;
        let event = self.table_mut(&storage).insert(object, limit);
        self.announce_change(storage, event);
    }

    /// Removes an object. Returns the object of the DELETED event: the last state, with the next resource version.
    pub(crate) fn erase(&mut self, storage_key: &StorageKey) -> Option<Arc<StoredObject>> {
        let object = self.object_at(storage_key)?.clone();
        self.version += 1;
        self.bytes -= object.len();
        let mut value = object.value();
        value["metadata"]["resourceVersion"] = self.version.to_string().into();
        let last = StoredObject::new(object.key.clone(), self.version, object.fields.clone(), value);
        let last = last.with_api_version(object.api_version.clone()).with_schema(object.schema.clone());
        let last = Arc::new(last.share_values_with(Some(&object)));
        self.remove_from_dependents(&object, storage_key);
        self.storage_keys.remove(&object.uid);
        let limit = self.history_limit;
        let event = self.table_mut(&storage_key.0).remove(last.clone(), limit);
        self.announce_change(storage_key.0.clone(), event);
        Some(last)
    }

    /// Feeds a change to the controllers and the caches.
    fn announce_change(&mut self, storage: Arc<str>, event: Arc<Event>) {
        if self.caches.record_change(event.version) {
            self.wake_all_watches();
        }
        self.unobserved.push_back((storage, event));
    }

    /// Removes an object from the index of dependents.
    fn remove_from_dependents(&mut self, object: &StoredObject, storage_key: &StorageKey) {
        for owner in &object.owners {
            if let Some(of_owner) = self.dependents.get_mut(owner) {
                of_owner.remove(storage_key);
                if of_owner.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
    }

    /// Compacts the history of all tables. After that, lists and new watches at a version before `version` get 410.
    pub(crate) fn compact(&mut self, version: u64) {
        let version = version.min(self.version);
        self.compacted = self.compacted.max(version);
        for table in self.tables.values_mut() {
            table.compact(version);
        }
    }

    /// Ends the watches of the table `storage` after the CustomResourceDefinition of its resource has changed or been
    /// deleted. New watches cannot begin at a version before the current version.
    pub(crate) fn restart_table(&mut self, storage: &Arc<str>) {
        let version = self.version;
        self.table_mut(storage).restart(version);
    }

    /// The version at which the table `storage` was last restarted.
    pub(crate) fn restarted_at(&self, storage: &str) -> u64 {
        self.tables.get(storage).map_or(0, Table::restarted_at)
    }

    /// Allocates the id of a new watch.
    pub(crate) fn allocate_watch_id(&mut self) -> u64 {
        self.last_watch_id += 1;
        self.last_watch_id
    }

    /// Wakes all open watches.
    fn wake_all_watches(&mut self) {
        for table in self.tables.values_mut() {
            table.wake_all();
        }
    }

    /// The number of open watches that have waited for a change at least once.
    pub(crate) fn watcher_count(&self) -> usize {
        self.tables.values().map(Table::watcher_count).sum()
    }

    /// Registers `waker` for the next change in the table `storage`.
    pub(crate) fn wake_on_change(&mut self, storage: &Arc<str>, watch_id: u64, waker: &Waker) {
        self.table_mut(storage).wake_on_change(watch_id, waker);
    }

    /// Sets the delay of a controller; `None` disables the controller.
    pub(crate) fn set_controller_delay(&mut self, controller: Controller, delay: Option<Duration>) {
        match delay {
            Some(delay) => self.delays.insert(controller, delay),
            None => self.delays.remove(&controller),
        };
    }

    /// The controllers that run, each with its delay.
    pub(crate) fn controller_delays(&self) -> impl Iterator<Item = (Controller, Duration)> {
        self.delays.iter().map(|(controller, delay)| (*controller, *delay))
    }

    /// Whether a controller runs.
    pub(crate) fn is_running(&self, controller: Controller) -> bool {
        self.delays.contains_key(&controller)
    }

    /// Whether an admission plugin is enabled. See [`AdmissionPlugin`] for the defaults.
    pub(crate) fn has_plugin(&self, plugin: AdmissionPlugin) -> bool {
        self.plugins.get(&plugin).copied().unwrap_or_else(|| match plugin {
            AdmissionPlugin::StorageObjectInUseProtection => false,
            AdmissionPlugin::TaintNodesByCondition => self.is_running(Controller::NodeLifecycle),
            _ => true,
        })
    }

    /// Removes and returns the oldest change that the controllers have not observed, with the name of its table.
    pub(crate) fn pop_unobserved(&mut self) -> Option<(Arc<str>, Arc<Event>)> {
        self.unobserved.pop_front()
    }

    /// Adds a key to the queue of the controllers.
    pub(crate) fn add_key(&mut self, key: Key, at: Instant) {
        let before = self.next_due();
        self.queue.add(key, at);
        if self.next_due() != before {
            // The timer of a watch expires when the next key is due, so every watch must reset its timer.
            self.wake_all_watches();
        }
    }

    /// The time at which the next key of the controllers is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.queue.next_due()
    }

    /// Removes and returns the next key in the queue of the controllers if the key is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Key> {
        self.queue.pop(now)
    }
}

/// Checks the size of a custom resource against the limits of etcd.
///
/// Objects of built-in kinds are not checked: an API server stores them as Protocol Buffers, whose size is unknown
/// here. The validation of some kinds limits the size of their objects.
fn check_size(resource: &Resource, object: &StoredObject) -> Result<(), SimError> {
    if resource.custom_properties().is_none() {
        return Ok(());
    }
    // An etcd request contains the key three times, and the object with apiVersion and kind.
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
