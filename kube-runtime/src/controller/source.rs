//! Sources: what tells a controller that an object may need work.

use super::error::SourceError;
use super::last::Last;
use super::named::{Name, Named};
use super::panic;
use crate::reflector::{ObjectRef, Store, Writer, reflector};
use crate::watcher::{self, Event, watcher};
use futures::{Stream, StreamExt, stream, stream::BoxStream};
use kube_client::api::PartialObjectMeta;
use kube_client::core::ObjectMeta;
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;

/// Names of objects that may need work, without an end.
pub(super) type Source<K> = BoxStream<'static, Result<ObjectRef<K>, SourceError>>;

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
            Err(error) => vec![Err(error.into())],
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
    let kind = dyntype.clone();
    related(api, wc, dyntype, move |child| {
        let ObjectMeta { namespace, owner_references, .. } = child.metadata;
        let owner = |owner| ObjectRef::from_owner_ref(namespace.as_deref(), owner, kind.clone());
        owner_references.iter().flatten().filter_map(owner).collect::<Vec<_>>()
    })
}

/// What `mapper` names for objects that are new, change or go, and what it named for their state before.
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

/// As [`related`], for a mapper whose answer depends on more than the object: it is asked again about the last state of an
/// object that changes or vanishes, as controller-runtime's `EnqueueRequestsFromMapFunc` does.
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
    let mut last = Last::default();
    related_with(api, wc, dyntype, mapper, move |event| last.replaced_by(event))
}

/// `replaced` gives the earlier states of objects that an item of the watch makes obsolete.
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
    let mut named = Named::new(dyntype);
    let resource = api.resource_url().to_owned();
    let touched = watcher(api, wc).flat_map(move |event| {
        let mut panicked = Vec::new();
        let mut map = |object: Other| {
            let name = Name::of(object.meta());
            let owners = panic::catch(|| mapper(object).into_iter().collect::<Vec<_>>());
            let owners = owners.map_err(|message| {
                let (resource, object) = (resource.clone(), name.to_string());
                panicked.push(SourceError::MapperPanicked { resource, object, message });
            });
            (name, owners.ok())
        };
        let before: Vec<_> =
            replaced(&event).into_iter().filter_map(|object| map(object).1).flatten().collect();
        let (mut touched, error): (Vec<ObjectRef<K>>, _) = match event {
            Ok(event) => (named.touched_by(event.map(map)), None),
            Err(error) => {
                let touched = error.undecodable().map(|object| named.touched_by_undecodable(object));
                (touched.unwrap_or_default(), Some(error.into()))
            }
        };
        // The queue merges equal keys.
        touched.extend(before);
        stream::iter(touched.into_iter().map(Ok).chain(panicked.into_iter().chain(error).map(Err)))
    });
    touched.boxed()
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
