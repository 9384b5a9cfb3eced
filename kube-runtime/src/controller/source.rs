//! Sources: what tells a controller that an object may need work.

use super::named::Owners;
use crate::reflector::{ObjectRef, Store, Writer, reflector};
use crate::watch_ext::WatchStreamExt;
use crate::watcher::{self, Event, watcher};
use futures::{Stream, StreamExt, stream, stream::BoxStream};
use kube_client::api::PartialObjectMeta;
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;

/// Names of objects that may need work, without an end.
pub(super) type Source<K> = BoxStream<'static, watcher::Result<ObjectRef<K>>>;

/// The controller's own objects: kept in the store, and named when they are new or change. One that is gone needs no work.
///
/// Whoever is named is looked up in the store. It has the present state only once that is complete, so that the objects of a
/// list are named then and not as they come.
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
    let named = reflector(writer, watcher(api, wc)).flat_map(move |event| {
        let name = |object: &K| Ok(ObjectRef::from_obj_with(object, dyntype.clone()));
        stream::iter(match event {
            Ok(Event::Init) => {
                listed.clear();
                Vec::new()
            }
            Ok(Event::InitApply(object)) => {
                listed.push(name(&object));
                Vec::new()
            }
            Ok(Event::InitDone) => std::mem::take(&mut listed),
            Ok(Event::Apply(object)) => vec![name(&object)],
            Ok(Event::Delete(_)) => Vec::new(),
            Err(error) => vec![Err(error)],
        })
    });
    named.boxed()
}

/// The owners of objects that are new, change or go.
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
    let mut owners = Owners::new(dyntype);
    let named = watcher(api, wc).flat_map(move |event| {
        let named = match event {
            Ok(event) => owners.touched_by(&event.map(|child| child.metadata)).into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        stream::iter(named)
    });
    named.boxed()
}

/// What `mapper` names for objects that are new, change or go.
pub(super) fn related<K, Other, I>(
    api: Api<Other>,
    wc: watcher::Config,
    mapper: impl Fn(Other) -> I + Send + 'static,
) -> Source<K>
where
    K: Resource + 'static,
    Other: Resource + DeserializeOwned + Send + 'static,
    I: IntoIterator<Item = ObjectRef<K>>,
{
    let named = watcher(api, wc).touched_objects().flat_map(move |object| {
        stream::iter(match object {
            Ok(object) => mapper(object).into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => vec![Err(error)],
        })
    });
    named.boxed()
}

/// All objects, whenever the stream has an item.
pub(super) fn everything<K>(
    trigger: impl Stream<Item = ()> + Send + 'static,
    reader: Store<K>,
    dyntype: K::DynamicType,
) -> Source<K>
where
    K: Resource + Send + Sync + 'static,
    K::DynamicType: Clone,
{
    let named = trigger.flat_map(move |()| {
        let dyntype = dyntype.clone();
        stream::iter(reader.state())
            .map(move |object| Ok(ObjectRef::from_obj_with(&*object, dyntype.clone())))
    });
    named.boxed()
}
