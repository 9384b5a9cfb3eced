//! `Handler`: maps a change to triggers. It must not access the work queue.

use super::error::SourceError;
use super::key::Key;
use super::owned_object::{OwnedObject, owner_keys};
use super::panic;
use super::targets::{Targets, union};
use super::trigger::{ReconcileReason, RelatedObject, Trigger, priority_of};
use crate::log_limit::LogLimit;
use crate::metrics::count_large_mapping;
use crate::queue::Priority;
use crate::reflector::{Delta, DeltaKind, ObjectRef};
use crate::watcher::Storable;
use kube_client::Resource;
use std::{borrow::Borrow, collections::VecDeque, marker::PhantomData, sync::Arc, time::Duration};

/// If one change results in more requests than this, the controller logs a warning.
const MANY_REQUESTS: usize = 10_000;
/// The maximum number of requests for which an empty [`Requests`] keeps memory.
const MAX_CAPACITY_WHEN_EMPTY: usize = 1024;

/// Maps a change to requests to reconcile objects. Closures are handlers.
///
/// [`Controller::new`](crate::Controller::new) uses the handler [`own`], `owns` uses an equivalent of [`owners`], and
/// `watches` uses [`mapped`]. A panic in a handler affects only the current change: the controller reports the panic as
/// [`Error::MapperPanicked`](super::Error::MapperPanicked).
pub trait Handler<T>: Send {
    /// Appends to `requests` the reconcile requests that result from `change`.
    fn handle(&mut self, change: T, requests: &mut Requests);

    /// Called for a change that a filter of the source drops, in place of [`handle`](Self::handle). A handler that
    /// stores data of each object removes the data of deleted objects here. Does nothing by default.
    fn skip(&mut self, change: &T, requests: &mut Requests) {
        let _ = (change, requests);
    }
}

impl<T, F: FnMut(T, &mut Requests) + Send> Handler<T> for F {
    fn handle(&mut self, change: T, requests: &mut Requests) {
        self(change, requests);
    }
}

/// The requests that a [`Handler`] adds for a change.
#[derive(Debug)]
pub struct Requests {
    /// The name of the source in errors and warnings, such as the path of its collection or the kind of its objects.
    resource: Arc<str>,
    pending: VecDeque<Result<Trigger, SourceError>>,
    /// Limits how often a warning is logged. The warning reports a change that resulted in many requests.
    many_log: LogLimit,
}

impl Requests {
    pub(super) fn new(resource: Arc<str>) -> Self {
        let many_log = LogLimit::new(1, Duration::from_secs(60));
        Self { resource, pending: VecDeque::new(), many_log }
    }

    /// Removes and returns the first request or error.
    pub(super) fn pop(&mut self) -> Option<Result<Trigger, SourceError>> {
        let request = self.pending.pop_front();
        if self.pending.is_empty() && self.pending.capacity() > MAX_CAPACITY_WHEN_EMPTY {
            self.pending = VecDeque::new();
        }
        request
    }

    /// Reports the last change if it resulted in many requests.
    pub(super) fn report_if_many(&mut self) {
        let requests = self.pending.len();
        if requests <= MANY_REQUESTS {
            return;
        }
        count_large_mapping(&self.resource);
        if let Some(suppressed) = self.many_log.permit_message() {
            let reason = self.pending.iter().flatten().next().map(|trigger| trigger.reason.to_string());
            tracing::warn!(
                resource = &*self.resource,
                requests,
                reason,
                suppressed,
                "a change requests the reconcile of many objects"
            );
        }
    }

    /// Adds a request.
    pub fn add(&mut self, trigger: Trigger) {
        self.pending.push_back(Ok(trigger));
    }

    /// Adds a request for each of `keys`. The cause of the requests is a change of `object`, which belongs to the
    /// collection of the source.
    pub fn add_related(&mut self, object: Key, keys: impl IntoIterator<Item = Key>, priority: Priority) {
        let obj_ref = RelatedObject::new(self.resource.clone(), object);
        let reason = ReconcileReason::RelatedObjectUpdated { obj_ref };
        let triggers =
            keys.into_iter().map(|key| Trigger::new(key).because(reason.clone()).priority(priority));
        self.pending.extend(triggers.map(Ok));
    }

    /// Adds the error of a mapper, handler or filter that panicked for `object`.
    pub(super) fn add_panic(&mut self, object: &str, message: String) {
        let (resource, object) = (self.resource.to_string(), object.to_owned());
        self.pending.push_back(Err(SourceError::MapperPanicked { resource, object, message }));
    }
}

/// The key of the object of a delta.
pub(super) fn key_of<K: Storable>(delta: &Delta<K>) -> Key {
    let (namespace, name) = delta.key();
    Key::new(Some(namespace), name)
}

/// Returns a handler that requests a reconcile of each object that is added or modified. If an object is deleted, the
/// work queue [forgets](Trigger::forget) the object, even if a filter drops the deletion: a controller does not reconcile
/// objects that do not exist.
pub fn own<K: Resource>() -> impl Handler<Delta<K>> {
    OwnHandler
}

/// See [`own`].
struct OwnHandler;

impl<K: Resource> Handler<Delta<K>> for OwnHandler {
    fn handle(&mut self, delta: Delta<K>, requests: &mut Requests) {
        if delta.kind() == DeltaKind::Deleted {
            return requests.add(Trigger::forget(key_of(&delta)));
        }
        let trigger = Trigger::new(key_of(&delta)).because(ReconcileReason::ObjectUpdated);
        requests.add(trigger.priority(priority_of(delta.cause())));
    }

    fn skip(&mut self, delta: &Delta<K>, requests: &mut Requests) {
        if delta.kind() == DeltaKind::Deleted {
            requests.add(Trigger::forget(key_of(delta)));
        }
    }
}

/// Returns a handler for owned objects. When an object is added, modified or deleted, the handler requests a reconcile of
/// each owner of kind `K` in the current or the previous state of the object. An owner has the namespace of the object,
/// or is cluster-scoped.
pub fn owners<K: Resource, Child: Resource>(dyntype: K::DynamicType) -> impl Handler<Delta<Child>> {
    move |delta: Delta<Child>, requests: &mut Requests| {
        let (object, priority) = (key_of(&delta), priority_of(delta.cause()));
        let (old, last) = delta.into_states();
        let keys =
            [last, old].into_iter().flatten().flat_map(|child| owner_keys::<K>(child.meta(), &dyntype));
        requests.add_related(object, keys, priority);
    }
}

/// Like [`owners`], for [`OwnedObject`]s, which contain the keys of their owners.
pub(super) fn stored_owners() -> impl Handler<Delta<OwnedObject>> {
    |delta: Delta<OwnedObject>, requests: &mut Requests| {
        let (object, priority) = (key_of(&delta), priority_of(delta.cause()));
        let (old, last) = delta.into_states();
        let owners =
            |state: Option<Arc<OwnedObject>>| state.map(|owned| owned.owners.clone()).unwrap_or_default();
        requests.add_related(object, union(&owners(last), &owners(old)), priority);
    }
}

/// Returns a handler that calls `mapper` when an object is added, modified or deleted, with the current and with the
/// previous state of the object. The handler requests a reconcile of each object that `mapper` returns, like
/// controller-runtime's `EnqueueRequestsFromMapFunc`.
///
/// The handler stores the keys that `mapper` returned for each existing object. After the next change of the object, the
/// handler also requests reconciles of these stored keys. If `mapper` panics for the current state of an
/// existing object, the stored keys of the object remain. The controller reports each panic.
pub fn mapped<K, Other, I>(mapper: impl Fn(Other) -> I + Send) -> impl Handler<Delta<Other>>
where
    K: Resource,
    Other: Resource + Clone,
    I: IntoIterator<Item = ObjectRef<K>>,
{
    MappedHandler { mapper, targets: Targets::default(), returned: PhantomData }
}

/// See [`mapped`].
struct MappedHandler<M, K> {
    mapper: M,
    targets: Targets,
    returned: PhantomData<fn() -> K>,
}

impl<M, K, Other, I> Handler<Delta<Other>> for MappedHandler<M, K>
where
    M: Fn(Other) -> I + Send,
    K: Resource,
    Other: Resource + Clone,
    I: IntoIterator<Item = ObjectRef<K>>,
{
    fn handle(&mut self, delta: Delta<Other>, requests: &mut Requests) {
        let (object, priority) = (key_of(&delta), priority_of(delta.cause()));
        let is_deleted = delta.kind() == DeltaKind::Deleted;
        let (old, last) = delta.into_states();
        let mut map = |state: Arc<Other>| {
            let keys = panic::catch(|| {
                let objects = (self.mapper)(Arc::unwrap_or_clone(state));
                objects.into_iter().map(|object| Key::from(&object)).collect::<Vec<_>>()
            });
            keys.map_err(|message| requests.add_panic(&object.to_string(), message)).ok()
        };
        let before = old.and_then(&mut map).unwrap_or_default();
        let last = last.and_then(map);
        let mut keys = if is_deleted {
            self.targets.remove(&object, last.unwrap_or_default())
        } else {
            self.targets.set(object.clone(), last)
        };
        // The same key can be in `keys` and in `before`. The work queue merges equal keys.
        keys.extend(before);
        requests.add_related(object, keys, priority);
    }

    /// Removes the targets of a deleted object. Keeps the targets of a modified object: `handle` also
    /// requests reconciles of these targets at the next change of the object that passes the filters.
    fn skip(&mut self, delta: &Delta<Other>, _: &mut Requests) {
        if delta.kind() == DeltaKind::Deleted {
            self.targets.remove(&key_of(delta), Vec::new());
        }
    }
}

/// Like [`own`], for changes that are objects instead of deltas. The handler requests a reconcile of each object.
pub(super) fn own_objects<K: Resource, T: Borrow<K>>() -> impl Handler<T> {
    |object: T, requests: &mut Requests| {
        let key = Key::of(object.borrow().meta());
        requests.add(Trigger::new(key).because(ReconcileReason::ObjectUpdated));
    }
}

/// Like [`owners`], for changes that are objects instead of deltas. The handler requests a reconcile of the owners of each
/// object.
pub(super) fn owners_of_objects<K, Child, T>(dyntype: K::DynamicType) -> impl Handler<T>
where
    K: Resource,
    Child: Resource,
    T: Borrow<Child>,
{
    move |object: T, requests: &mut Requests| {
        let meta = object.borrow().meta();
        requests.add_related(Key::of(meta), owner_keys::<K>(meta, &dyntype), Priority::DEFAULT);
    }
}

/// Like [`mapped`], for changes that are objects instead of deltas. The handler stores no keys.
pub(super) fn mapped_objects<K, Other, T, I>(mapper: impl Fn(T) -> I + Send) -> impl Handler<T>
where
    K: Resource,
    Other: Resource,
    T: Borrow<Other>,
    I: IntoIterator<Item = ObjectRef<K>>,
{
    move |object: T, requests: &mut Requests| {
        let key = Key::of(object.borrow().meta());
        match panic::catch(|| mapper(object).into_iter().map(|object| Key::from(&object)).collect::<Vec<_>>())
        {
            Ok(keys) => requests.add_related(key, keys, Priority::DEFAULT),
            Err(message) => requests.add_panic(&key.to_string(), message),
        }
    }
}
