//! The objects of one resource, and the history of their changes for watches and for lists at older versions.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use bytes::{BufMut, Bytes, BytesMut};

use super::object::StoredObject;
use crate::registry::Resource;

/// The type of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

impl Change {
    /// The type of the watch event that reports this change.
    pub(crate) fn event_type(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One change. `object` is the state after the change. For a deletion, `object` is the last state of the object, with the
/// resource version of the deletion.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) version: u64,
    pub(crate) change: Change,
    pub(crate) object: Arc<StoredObject>,
    /// The state before the change; `None` for a new object. Also `None` in the events that only controllers observe: the
    /// events after a rewind, and the events for a controller that starts.
    pub(crate) previous: Option<Arc<StoredObject>>,
    /// The API version and the result of the first call of [`Self::frame`].
    frame: OnceLock<(Box<str>, Bytes)>,
    /// The resource and the result of the first call of [`Self::to_read_form`]; `None` if the result is the event itself.
    read_form: OnceLock<(Arc<Resource>, Option<Arc<Event>>)>,
}

impl Event {
    pub(crate) fn new(
        change: Change,
        object: Arc<StoredObject>,
        previous: Option<Arc<StoredObject>>,
    ) -> Self {
        let (frame, read_form) = (OnceLock::new(), OnceLock::new());
        Self { version: object.version, change, object, previous, frame, read_form }
    }

    /// The event with its objects in the form that clients of `resource` read. `read` converts an object to this form. The
    /// result for the resource of the first call is cached for all watches. If `read` changes no object, the result is this
    /// event itself, so that watches share the encoded frame of this event.
    pub(crate) fn to_read_form(
        self: &Arc<Self>,
        resource: &Arc<Resource>,
        read: impl Fn(&Arc<StoredObject>) -> Arc<StoredObject>,
    ) -> Arc<Self> {
        let make = || {
            let (object, previous) = (read(&self.object), self.previous.as_ref().map(&read));
            let is_same = Arc::ptr_eq(&object, &self.object)
                && previous.as_ref().map(Arc::as_ptr) == self.previous.as_ref().map(Arc::as_ptr);
            (!is_same).then(|| Arc::new(Self::new(self.change, object, previous)))
        };
        let (first, cached) = self.read_form.get_or_init(|| (resource.clone(), make()));
        let changed = if Arc::ptr_eq(first, resource) { cached.clone() } else { make() };
        changed.unwrap_or_else(|| self.clone())
    }

    /// The watch frame of this event. The frame in the API version of the first call is cached for all watches.
    pub(crate) fn frame(&self, api_version: &str, kind: &str) -> Bytes {
        let make = || (api_version.into(), watch_frame(self.change, &self.object, api_version, kind));
        let (version, text) = self.frame.get_or_init(make);
        if &**version == api_version {
            return text.clone();
        }
        watch_frame(self.change, &self.object, api_version, kind)
    }
}

/// A watch frame: `{"type":"ADDED","object":{..}}` and a line feed.
pub(crate) fn watch_frame(change: Change, object: &StoredObject, api_version: &str, kind: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(object.len() + 96);
    out.put_slice(b"{\"type\":\"");
    out.put_slice(change.event_type().as_bytes());
    out.put_slice(b"\",\"object\":");
    object.write_typed(api_version, kind, &mut out);
    out.put_slice(b"}\n");
    out.freeze()
}

/// The error for a version that is too old. A list or a watch at such a version gets 410.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CompactedError {
    /// The oldest version that is not too old.
    pub(crate) oldest: u64,
}

/// The source of a read. A compaction removes earlier versions from etcd, but does not change a watch cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadSource {
    Etcd,
    Cache,
}

/// All objects of one resource.
#[derive(Debug, Default)]
pub(crate) struct Table {
    objects: BTreeMap<Arc<str>, Arc<StoredObject>>,
    /// The history, oldest change first.
    log: VecDeque<Arc<Event>>,
    /// The oldest version that etcd still has: reads from etcd and new watches at an older version get 410. A compaction
    /// increases this version, and so does the removal of a change from the history.
    compacted: u64,
    /// Changes up to and including this version are no longer in the history.
    dropped: u64,
    /// The version at which the definition of the resource last changed: new watches at an older version get 410.
    restarted_at: u64,
    /// The waker of each open watch that has waited for a change, by the id of the watch. `None` after a wake-up, until the
    /// watch waits again.
    watchers: BTreeMap<u64, Option<Waker>>,
}

impl Table {
    /// An empty table, whose history begins at `version`.
    pub(crate) fn compacted_at(version: u64) -> Self {
        Self { compacted: version, ..Self::default() }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Arc<StoredObject>> {
        self.objects.get(key)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The objects of `namespace` in the order of their keys; all objects if `namespace` is empty.
    pub(crate) fn objects(&self, namespace: &str) -> Vec<Arc<StoredObject>> {
        if namespace.is_empty() {
            return self.objects.values().cloned().collect();
        }
        let prefix = format!("{namespace}/");
        self.objects
            .range::<str, _>((std::ops::Bound::Included(prefix.as_str()), std::ops::Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(&prefix))
            .map(|(_, object)| object.clone())
            .collect()
    }

    /// Whether `has_property` returns true for at least one object of the table.
    pub(crate) fn has_object_with(&self, has_property: impl FnMut(&Arc<StoredObject>) -> bool) -> bool {
        self.objects.values().any(has_property)
    }

    /// Whether the table has an object in `namespace`.
    pub(crate) fn has_objects_in(&self, namespace: &str) -> bool {
        let prefix = format!("{namespace}/");
        self.objects
            .range::<str, _>((std::ops::Bound::Included(prefix.as_str()), std::ops::Bound::Unbounded))
            .next()
            .is_some_and(|(key, _)| key.starts_with(&prefix))
    }

    /// Returns an error if the source no longer has the objects of `version`.
    fn check_readable(&self, version: u64, source: ReadSource) -> Result<(), CompactedError> {
        let oldest = match source {
            ReadSource::Etcd => self.compacted,
            ReadSource::Cache => self.dropped,
        };
        if version < oldest { Err(CompactedError { oldest }) } else { Ok(()) }
    }

    /// The state of the object with `key` at `version`; `None` if the object did not exist.
    pub(crate) fn get_at(
        &self,
        key: &str,
        version: u64,
        source: ReadSource,
    ) -> Result<Option<Arc<StoredObject>>, CompactedError> {
        self.check_readable(version, source)?;
        let from = self.log.partition_point(|event| event.version <= version);
        // In the first change of the object after `version`, `previous` is the state of the object at `version`.
        match self.log.range(from..).find(|event| &*event.object.key == key) {
            Some(event) => Ok(event.previous.clone()),
            None => Ok(self.get(key).cloned()),
        }
    }

    /// The objects of `namespace` at `version`; all objects if `namespace` is empty. Undoes the later changes in a copy
    /// of the current objects.
    pub(crate) fn objects_at(
        &self,
        namespace: &str,
        version: u64,
        source: ReadSource,
    ) -> Result<Vec<Arc<StoredObject>>, CompactedError> {
        self.check_readable(version, source)?;
        let mut objects: BTreeMap<Arc<str>, Arc<StoredObject>> =
            self.objects(namespace).into_iter().map(|o| (o.key.clone(), o)).collect();
        for event in self.log.iter().rev().take_while(|e| e.version > version) {
            if !namespace.is_empty() && event.object.namespace() != namespace {
                continue;
            }
            match &event.previous {
                Some(previous) => objects.insert(previous.key.clone(), previous.clone()),
                None => objects.remove(&event.object.key),
            };
        }
        Ok(objects.into_values().collect())
    }

    /// Creates or replaces an object. The history keeps at most `limit` changes.
    pub(crate) fn insert(&mut self, object: Arc<StoredObject>, limit: usize) -> Arc<Event> {
        let previous = self.objects.insert(object.key.clone(), object.clone());
        let change = if previous.is_some() { Change::Modified } else { Change::Added };
        self.record_change(change, object, previous, limit)
    }

    /// Removes the object that has the same key as `last`. `last` becomes the object of the DELETED event.
    pub(crate) fn remove(&mut self, last: Arc<StoredObject>, limit: usize) -> Arc<Event> {
        let previous = self.objects.remove(&last.key);
        self.record_change(Change::Deleted, last, previous, limit)
    }

    /// Appends a change to the history, and wakes the watches. The history keeps at most `limit` changes.
    fn record_change(
        &mut self,
        change: Change,
        object: Arc<StoredObject>,
        previous: Option<Arc<StoredObject>>,
        limit: usize,
    ) -> Arc<Event> {
        let event = Arc::new(Event::new(change, object, previous));
        self.log.push_back(event.clone());
        while self.log.len() > limit {
            if let Some(oldest) = self.log.pop_front() {
                self.dropped = oldest.version;
                self.compacted = self.compacted.max(oldest.version);
            }
        }
        self.wake_all();
        event
    }

    /// Compacts the history: lists and new watches at a version before `version` get 410. Open watches continue,
    /// because in an API server, a compaction of etcd does not affect the watch cache.
    pub(crate) fn compact(&mut self, version: u64) {
        self.compacted = self.compacted.max(version);
    }

    /// Returns an error if `version` is too old for a new watch (410).
    pub(crate) fn check_not_too_old(&self, version: u64) -> Result<(), CompactedError> {
        let oldest = self.compacted.max(self.restarted_at);
        if version < oldest { Err(CompactedError { oldest }) } else { Ok(()) }
    }

    /// Wakes all watches, so that they end, and refuses new watches at a version before `version`.
    pub(crate) fn restart(&mut self, version: u64) {
        self.restarted_at = version;
        self.wake_all();
    }

    /// The version at which the table was last restarted; see [`restart`](Self::restart).
    pub(crate) fn restarted_at(&self) -> u64 {
        self.restarted_at
    }

    /// The changes after `version`, at most the first `limit` of them, for an open watch.
    pub(crate) fn changes_after(
        &self,
        version: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Event>>, CompactedError> {
        if version < self.dropped {
            return Err(CompactedError { oldest: self.dropped });
        }
        let from = self.log.partition_point(|e| e.version <= version);
        Ok(self.log.range(from..).take(limit).cloned().collect())
    }

    /// Undoes the changes after `version`. Returns them, latest first. The history must contain all of them.
    pub(crate) fn undo_changes_after(&mut self, version: u64) -> Vec<Arc<Event>> {
        let from = self.log.partition_point(|event| event.version <= version);
        let mut undone: Vec<_> = self.log.drain(from..).collect();
        undone.reverse();
        for event in &undone {
            match &event.previous {
                Some(previous) => self.objects.insert(previous.key.clone(), previous.clone()),
                None => self.objects.remove(&event.object.key),
            };
        }
        self.compacted = self.compacted.min(version);
        self.restarted_at = self.restarted_at.min(version);
        undone
    }

    /// The version of the latest change that is no longer in the history; 0 if the history is complete.
    pub(crate) fn last_dropped_version(&self) -> u64 {
        self.dropped
    }

    /// A copy of the table without its watches.
    pub(crate) fn without_watchers(&self) -> Self {
        Self {
            objects: self.objects.clone(),
            log: self.log.clone(),
            compacted: self.compacted,
            dropped: self.dropped,
            restarted_at: self.restarted_at,
            watchers: BTreeMap::new(),
        }
    }

    /// Moves the watches of another table to this one.
    pub(crate) fn take_watchers(&mut self, from: &mut Self) {
        self.watchers.append(&mut from.watchers);
    }

    /// The number of open watches that have waited for a change at least once.
    pub(crate) fn watcher_count(&self) -> usize {
        self.watchers.len()
    }

    /// Registers `waker` for the next change; replaces the earlier waker of the same watch.
    pub(crate) fn wake_on_change(&mut self, watch_id: u64, waker: &Waker) {
        self.watchers.insert(watch_id, Some(waker.clone()));
    }

    /// Removes a closed watch.
    pub(crate) fn remove_watcher(&mut self, watch_id: u64) {
        self.watchers.remove(&watch_id);
    }

    /// Wakes all watches of the table.
    pub(crate) fn wake_all(&mut self) {
        for waker in self.watchers.values_mut() {
            if let Some(waker) = waker.take() {
                waker.wake();
            }
        }
    }
}
