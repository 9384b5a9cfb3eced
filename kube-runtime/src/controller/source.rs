//! Event sources: streams of the keys of objects to reconcile. They must not access the work queue.

use super::error::SourceError;
use super::last_objects::LastObjects;
use super::panic;
use super::targets::{NamespacedName, Targets};
use crate::reflector::{ObjectRef, Store, Writer, reflector};
use crate::watcher::{self, Event, watcher};
use futures::{Stream, StreamExt, stream, stream::BoxStream};
use kube_client::api::PartialObjectMeta;
use kube_client::core::ObjectMeta;
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;

/// An endless stream of keys to reconcile.
pub(super) type Source<K> = BoxStream<'static, Result<ObjectRef<K>, SourceError>>;

/// A source for the controller's own kind: stores the objects, and emits the keys of added and modified
/// objects. It emits nothing for deletions.
///
/// It emits the keys of a snapshot at `InitDone`: the dispatcher looks keys up in the store, and the writer swaps the
/// store's map only at `InitDone`.
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
    let mut listed = Vec::new();
    let keys = reflector(writer, watcher(api, wc)).flat_map(move |event| {
        let key = |object: &K| Ok(ObjectRef::from_obj_with(object, dyntype.clone()));
        stream::iter(match event {
            Ok(Event::Init) => {
                listed.clear();
                Vec::new()
            }
            Ok(Event::InitApply(object)) => {
                listed.push(key(&object));
                Vec::new()
            }
            Ok(Event::InitDone) => std::mem::take(&mut listed),
            Ok(Event::Apply(object)) => vec![key(&object)],
            Ok(Event::Delete(_)) => Vec::new(),
            Err(error) => vec![Err(error.into())],
        })
    });
    keys.boxed()
}

/// A source of the keys of the owners of added, modified and deleted objects.
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
    let kind = dyntype.clone();
    related(api, wc, dyntype, move |child| {
        let ObjectMeta { namespace, owner_references, .. } = child.metadata;
        let owner = |owner| ObjectRef::from_owner_ref(namespace.as_deref(), owner, kind.clone());
        owner_references.iter().flatten().filter_map(owner).collect::<Vec<_>>()
    })
}

/// A source of the keys that `mapper` returns for added, modified and deleted objects, and of their previous keys.
fn related<K, Other, I>(
    api: Api<Other>,
    wc: watcher::Config,
    dyntype: K::DynamicType,
    mapper: impl Fn(Other) -> I + Send + 'static,
) -> Source<K>
where
    K: Resource + 'static,
    K::DynamicType: Clone,
    Other: Resource + DeserializeOwned + Send + 'static,
    I: IntoIterator<Item = ObjectRef<K>>,
{
    related_with(api, wc, dyntype, mapper, |_| Vec::new())
}

/// As [`related`], for a mapper whose result depends on more than the object. Also calls the mapper with the previous
/// state of a modified or deleted object, as controller-runtime's `EnqueueRequestsFromMapFunc` does.
pub(super) fn mapped<K, Other, I>(
    api: Api<Other>,
    wc: watcher::Config,
    dyntype: K::DynamicType,
    mapper: impl Fn(Other) -> I + Send + 'static,
) -> Source<K>
where
    K: Resource + 'static,
    K::DynamicType: Clone,
    Other: Resource + DeserializeOwned + Clone + Send + 'static,
    I: IntoIterator<Item = ObjectRef<K>>,
{
    let mut last = LastObjects::default();
    related_with(api, wc, dyntype, mapper, move |event| last.replaced_by(event))
}

/// As [`related`]. Also calls `mapper` with the objects that `replaced` returns: the previous states of the objects
/// that an item of the watch modifies or deletes.
fn related_with<K, Other, I>(
    api: Api<Other>,
    wc: watcher::Config,
    dyntype: K::DynamicType,
    mapper: impl Fn(Other) -> I + Send + 'static,
    mut replaced: impl FnMut(&watcher::Result<Event<Other>>) -> Vec<Other> + Send + 'static,
) -> Source<K>
where
    K: Resource + 'static,
    K::DynamicType: Clone,
    Other: Resource + DeserializeOwned + Send + 'static,
    I: IntoIterator<Item = ObjectRef<K>>,
{
    let mut targets = Targets::new(dyntype);
    let resource = api.resource_url().to_owned();
    let keys = watcher(api, wc).flat_map(move |event| {
        let mut panicked = Vec::new();
        let mut map = |object: Other| {
            let name = NamespacedName::of(object.meta());
            let owners = panic::catch(|| mapper(object).into_iter().collect::<Vec<_>>());
            let owners = owners.map_err(|message| {
                let (resource, object) = (resource.clone(), name.to_string());
                panicked.push(SourceError::MapperPanicked { resource, object, message });
            });
            (name, owners.ok())
        };
        let before: Vec<_> =
            replaced(&event).into_iter().filter_map(|object| map(object).1).flatten().collect();
        let (mut keys, error): (Vec<ObjectRef<K>>, _) = match event {
            Ok(event) => (targets.keys_for(event.map(map)), None),
            Err(error) => {
                let keys = error.undecodable().map(|object| targets.keys_for_undecodable(object));
                (keys.unwrap_or_default(), Some(error.into()))
            }
        };
        // A key may occur twice: the work queue merges equal keys.
        keys.extend(before);
        stream::iter(keys.into_iter().map(Ok).chain(panicked.into_iter().chain(error).map(Err)))
    });
    keys.boxed()
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
