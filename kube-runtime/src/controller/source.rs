//! Event sources: streams of triggers, the requests to reconcile objects. Each is a fold over the changes of a store. They must not
//! access the work queue.

use super::error::SourceError;
use super::key::{Key, SharedKeys};
use super::owned::Owned;
use super::panic;
use super::targets::{Targets, union};
use super::trigger::{ReconcileReason, RelatedObject, Trigger, priority_of};
use crate::queue::Priority;
use crate::reflector::{Delta, DeltaKind, Deltas, ObjectRef, Storable, Store, StoreEvent, Writer};
use crate::watcher::{self, watcher};
use futures::{Stream, StreamExt, stream, stream::BoxStream};
use kube_client::api::PartialObjectMeta;
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// An endless stream of requests to reconcile objects.
pub(super) type Source = BoxStream<'static, Result<Trigger, SourceError>>;

/// A source for the controller's own kind: requests for objects that are added or modified. It emits nothing for
/// deletions.
///
/// The dispatcher looks keys up in the store, which contains an object before its delta is emitted.
pub(super) fn primary<K>(api: Api<K>, wc: watcher::Config, writer: Writer<K>) -> Source
where
    K: Resource + DeserializeOwned + Send + Sync + 'static,
{
    let triggers = watcher(api, wc).deltas(writer).filter_map(move |event| {
        std::future::ready(match event {
            Ok(StoreEvent::Delta(delta)) if delta.kind() != DeltaKind::Deleted => {
                let trigger = Trigger::new(key_of(&delta)).because(ReconcileReason::ObjectUpdated);
                Some(Ok(trigger.priority(priority_of(delta.cause()))))
            }
            Ok(_) => None,
            Err(error) => Some(Err(error.into())),
        })
    });
    triggers.boxed()
}

/// The key of the object of a delta.
fn key_of<K: Storable>(delta: &Delta<K>) -> Key {
    let (namespace, name) = delta.key();
    Key::new(Some(namespace), name)
}

/// A source of the keys of the current and previous owners of added, modified and deleted objects.
pub(super) fn owned<K, Child>(
    api: Api<PartialObjectMeta<Child>>,
    wc: watcher::Config,
    dyntype: K::DynamicType,
    writer: Writer<Owned>,
) -> Source
where
    K: Resource + 'static,
    Child: Resource + 'static,
{
    let (resource, mut shared) = (api.resource_url().into(), SharedKeys::default());
    let owned = watcher(api, wc).map(move |event| {
        event.map(|event| event.map(|child| Owned::new::<K>(child.metadata, &dyntype, &mut shared)))
    });
    related(Deltas::new(writer, owned, |_| None), resource, |_, delta| {
        let (old, last) = delta.into_states();
        let owners = |state: Option<Arc<Owned>>| state.map(|owned| owned.owners.clone()).unwrap_or_default();
        (union(&owners(last), &owners(old)), Vec::new())
    })
}

/// A source of the keys that `mapper` returns for the current and previous states of added, modified and deleted
/// objects, as controller-runtime's `EnqueueRequestsFromMapFunc`, and of the keys that it returned before.
pub(super) fn mapped<K, Other, I>(
    api: Api<Other>,
    wc: watcher::Config,
    writer: Writer<Other>,
    mapper: impl Fn(Other) -> I + Send + 'static,
) -> Source
where
    K: Resource + 'static,
    Other: Resource + DeserializeOwned + Clone + Send + Sync + 'static,
    I: IntoIterator<Item = ObjectRef<K>>,
{
    let mut targets = Targets::default();
    let resource: Arc<str> = api.resource_url().into();
    let collection = resource.clone();
    related(watcher(api, wc).deltas(writer), resource, move |object, delta| {
        let mut panicked = Vec::new();
        let mut map = |state: Arc<Other>| {
            let map =
                || mapper(Arc::unwrap_or_clone(state)).into_iter().map(|object| Key::from(&object)).collect();
            let keys: Result<Vec<Key>, _> = panic::catch(map);
            keys.map_err(|message| {
                let (resource, object) = (collection.to_string(), object.to_string());
                panicked.push(SourceError::MapperPanicked { resource, object, message });
            })
            .ok()
        };
        let is_deleted = delta.kind() == DeltaKind::Deleted;
        let (old, last) = delta.into_states();
        let before = old.and_then(&mut map).unwrap_or_default();
        let last = last.map(map);
        let mut keys = if is_deleted {
            targets.remove(object, last.flatten().unwrap_or_default())
        } else {
            targets.set(object.clone(), last.flatten())
        };
        // A key may occur twice: the work queue merges equal keys.
        keys.extend(before);
        (keys, panicked)
    })
}

/// A source of requests for the keys that `keys` returns for each delta, and of the errors that it returns. `keys` also
/// receives the key of the delta's object. `resource` is the path of its collection.
fn related<Other>(
    deltas: impl Stream<Item = watcher::Result<StoreEvent<Other>>> + Send + 'static,
    resource: Arc<str>,
    mut keys: impl FnMut(&Key, Delta<Other>) -> (Vec<Key>, Vec<SourceError>) + Send + 'static,
) -> Source
where
    Other: Storable + Send + 'static,
{
    let triggers = deltas.flat_map(move |event| {
        let (triggers, errors) = match event {
            Ok(StoreEvent::Delta(delta)) => {
                let (object, priority) = (key_of(&delta), priority_of(delta.cause()));
                let (keys, errors) = keys(&object, delta);
                let obj_ref = RelatedObject::new(resource.clone(), object);
                let reason = ReconcileReason::RelatedObjectUpdated { obj_ref };
                (Some((keys, reason, priority)), errors)
            }
            Ok(StoreEvent::Synced(_)) => (None, Vec::new()),
            Err(error) => (None, vec![error.into()]),
        };
        let triggers = triggers.into_iter().flat_map(|(keys, reason, priority)| {
            keys.into_iter().map(move |key| Trigger::new(key).because(reason.clone()).priority(priority))
        });
        stream::iter(triggers.map(Ok).chain(errors.into_iter().map(Err)))
    });
    triggers.boxed()
}

/// A source of requests for all objects of the store, for each item of `trigger`.
pub(super) fn all_objects<K>(trigger: impl Stream<Item = ()> + Send + 'static, reader: Store<K>) -> Source
where
    K: Resource + Send + Sync + 'static,
{
    let triggers = trigger.flat_map(move |()| {
        let keys = reader.keys(|namespace, name| Key::new(Some(namespace), name));
        stream::iter(keys)
            .map(|key| Ok(Trigger::new(key).because(ReconcileReason::BulkReconcile).priority(Priority::LOW)))
    });
    triggers.boxed()
}
