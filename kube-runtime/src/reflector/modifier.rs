//! `Modifier`: a user's function that changes each object before a store receives it.

use crate::watcher::Storable;
use crate::watcher::{Error, Event, Result, type_name_of};
use kube_client::core::{ObjectOrigin, UndecodableObject};
use serde::de::Error as _;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// A user's function that changes an object.
type ModifyFn<K> = Arc<dyn Fn(&mut K) + Send + Sync>;

/// The function of [`Storage::modify`](super::Storage::modify), if there is one. Without a function, objects do not change.
pub(super) struct Modifier<K>(Option<ModifyFn<K>>);

impl<K> Modifier<K> {
    pub(super) fn new(modify: impl Fn(&mut K) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(modify)))
    }

    /// Whether there is a function.
    pub(super) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Changes the object of an event. Does not catch a panic of the function.
    pub(super) fn apply_to_event(&self, event: &mut Event<K>) {
        if let Some(modify) = &self.0
            && let Some((object, _)) = object_and_origin(event)
        {
            modify(object);
        }
    }
}

impl<K: Storable> Modifier<K> {
    /// Changes the object of an item in place: a move would copy the object, which may be large. If the
    /// function panics, the item becomes an error, as for an object that does not decode.
    pub(super) fn apply_to_item(&self, item: &mut Result<Event<K>>) {
        if let Some(modify) = &self.0 {
            modify_item(item, |object| modify(object));
        }
    }
}

/// Changes the object of an item with a user's function. If the function panics, the item becomes an error.
pub(crate) fn modify_item<K: Storable>(item: &mut Result<Event<K>>, modify: impl FnOnce(&mut K)) {
    if let Ok(event) = item
        && let Some((object, origin)) = object_and_origin(event)
        && catch_unwind(AssertUnwindSafe(|| modify(object))).is_err()
    {
        let error = panic_error(object, origin);
        *item = Err(error);
    }
}

impl<K> Clone for Modifier<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K> Default for Modifier<K> {
    fn default() -> Self {
        Self(None)
    }
}

/// The object of an event, and the [`ObjectOrigin`] for an error about this object. `None` if the event has
/// no object.
fn object_and_origin<K>(event: &mut Event<K>) -> Option<(&mut K, ObjectOrigin)> {
    match event {
        Event::Apply(object) => Some((object, ObjectOrigin::Modified)),
        Event::InitApply(object) => Some((object, ObjectOrigin::List)),
        Event::Delete(object) => Some((object, ObjectOrigin::Deleted)),
        Event::Init | Event::InitDone => None,
    }
}

/// The error that reports a panic of the user's function. `object` is the object that the function received.
fn panic_error<K: Storable>(object: &K, origin: ObjectOrigin) -> Error {
    let source = serde_json::Error::custom("the function that modifies it panicked");
    let mut failed = UndecodableObject::new(type_name_of::<K>(), origin, source);
    let (namespace, name) = object.key();
    failed.name = Some(name.to_owned());
    failed.namespace = Some(namespace.to_owned()).filter(|namespace| !namespace.is_empty());
    failed.uid = object.uid().map(ToOwned::to_owned);
    failed.resource_version = object.version().map(ToOwned::to_owned);
    Error::Object(failed.into())
}
