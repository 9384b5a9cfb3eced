//! Event sources: streams of the keys of objects to reconcile. Each is a fold over the changes of a store. They must not
//! access the work queue.

use super::error::SourceError;
use super::key::{Key, SharedKeys};
use super::owned::Owned;
use super::panic;
use super::targets::{Targets, union};
use crate::reflector::{Delta, DeltaKind, Deltas, ObjectRef, Storable, Store, StoreEvent, Writer, store};
use crate::watcher::{self, watcher};
use futures::{Stream, StreamExt, stream, stream::BoxStream};
use kube_client::api::PartialObjectMeta;
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// An endless stream of keys to reconcile.
pub(super) type Source<K> = BoxStream<'static, Result<ObjectRef<K>, SourceError>>;

/// A source for the controller's own kind: the keys of objects that are added or modified. It emits nothing for
/// deletions.
///
/// The dispatcher looks keys up in the store, which contains an object before its delta is emitted.
pub(super) fn primary<K>(
    api: Api<K>,
    wc: watcher::Config,
    writer: Writer<K>,
    dyntype: K::DynamicType,
) -> Source<K>
where
    K: Resource + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Clone,
{
    let keys = watcher(api, wc).deltas(writer).filter_map(move |event| {
        std::future::ready(match event {
            Ok(StoreEvent::Delta(delta)) => {
                delta.current().map(|object| Ok(ObjectRef::from_obj_with(&*object, dyntype.clone())))
            }
            Ok(_) => None,
            Err(error) => Some(Err(error.into())),
        })
    });
    keys.boxed()
}

/// A source of the keys of the current and previous owners of added, modified and deleted objects.
pub(super) fn owned<K, Child>(
    api: Api<PartialObjectMeta<Child>>,
    wc: watcher::Config,
    dyntype: K::DynamicType,
) -> Source<K>
where
    K: Resource + 'static,
    K::DynamicType: Clone,
    Child: Resource + 'static,
{
    let (kind, mut shared) = (dyntype.clone(), SharedKeys::default());
    let owned = watcher(api, wc).map(move |event| {
        event.map(|event| event.map(|child| Owned::new::<K>(child.metadata, &kind, &mut shared)))
    });
    let deltas = Deltas::new(store().1, owned, |_| None);
    related(deltas, dyntype, |delta| {
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
    dyntype: K::DynamicType,
    mapper: impl Fn(Other) -> I + Send + 'static,
) -> Source<K>
where
    K: Resource + 'static,
    K::DynamicType: Clone,
    Other: Resource + DeserializeOwned + Clone + Send + Sync + 'static,
    I: IntoIterator<Item = ObjectRef<K>>,
{
    let mut targets = Targets::default();
    let resource = api.resource_url().to_owned();
    related(watcher(api, wc).deltas(store().1), dyntype, move |delta| {
        let (namespace, name) = delta.key();
        let object = Key::new(Some(namespace), name);
        let mut panicked = Vec::new();
        let mut map = |state: Arc<Other>| {
            let map =
                || mapper(Arc::unwrap_or_clone(state)).into_iter().map(|object| Key::from(&object)).collect();
            let keys: Result<Vec<Key>, _> = panic::catch(map);
            keys.map_err(|message| {
                let (resource, object) = (resource.clone(), object.to_string());
                panicked.push(SourceError::MapperPanicked { resource, object, message });
            })
            .ok()
        };
        let is_deleted = delta.kind() == DeltaKind::Deleted;
        let (old, last) = delta.into_states();
        let before = old.and_then(&mut map).unwrap_or_default();
        let last = last.map(map);
        let mut keys = if is_deleted {
            targets.remove(&object, last.flatten().unwrap_or_default())
        } else {
            targets.set(object.clone(), last.flatten())
        };
        // A key may occur twice: the work queue merges equal keys.
        keys.extend(before);
        (keys, panicked)
    })
}

/// A source of the keys, and the errors, that `keys` returns for each delta.
fn related<K, Other>(
    deltas: impl Stream<Item = watcher::Result<StoreEvent<Other>>> + Send + 'static,
    dyntype: K::DynamicType,
    mut keys: impl FnMut(Delta<Other>) -> (Vec<Key>, Vec<SourceError>) + Send + 'static,
) -> Source<K>
where
    K: Resource + 'static,
    K::DynamicType: Clone,
    Other: Storable + Send + 'static,
{
    let triggers = deltas.flat_map(move |event| {
        let (keys, errors) = match event {
            Ok(StoreEvent::Delta(delta)) => keys(delta),
            Ok(StoreEvent::Synced(_)) => (Vec::new(), Vec::new()),
            Err(error) => (Vec::new(), vec![error.into()]),
        };
        let dyntype = dyntype.clone();
        let keys = keys.into_iter().map(move |key| Ok(key.to_object_ref(dyntype.clone())));
        stream::iter(keys.chain(errors.into_iter().map(Err)))
    });
    triggers.boxed()
}

/// A source of the keys of all objects of the store, for each item of `trigger`.
pub(super) fn all_objects<K>(
    trigger: impl Stream<Item = ()> + Send + 'static,
    reader: Store<K>,
    dyntype: K::DynamicType,
) -> Source<K>
where
    K: Resource + Send + Sync + 'static,
    K::DynamicType: Clone,
{
    let keys = trigger.flat_map(move |()| {
        let dyntype = dyntype.clone();
        stream::iter(reader.state())
            .map(move |object| Ok(ObjectRef::from_obj_with(&*object, dyntype.clone())))
    });
    keys.boxed()
}
