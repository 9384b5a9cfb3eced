//! Screens: looking at an object's metadata before the object is decoded.

use super::{PartialObjectMeta, WatchEvent};
use crate::core::{Bookmark, BookmarkMeta, ObjectOrigin, TypeMeta};
use crate::wire::{Shape, Sight, WireError};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// What becomes of an object whose metadata was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It is decoded and comes out of the stream.
    Keep,
    /// It is never decoded.
    Drop,
    /// It is decoded and comes out as if it had been deleted, or as an error that says so. In a list, where nothing is, it is dropped.
    Gone,
}

/// What becomes of a piece of a body.
pub(super) enum Verdict<T> {
    Decode,
    /// Of an event: the version that has been seen with it.
    Drop(Option<String>),
    Ready(Box<Result<T, WireError>>),
}

/// Decides about pieces in the order in which they come.
pub(super) type Screen<T> = Box<dyn FnMut(&[u8]) -> Verdict<T> + Send>;

/// For the items of a list.
pub(super) fn of_items<K, T>(
    sight: Sight,
    mut look: impl FnMut(ObjectOrigin, &PartialObjectMeta<K>) -> Look + Send + 'static,
) -> Screen<T>
where
    K: 'static,
{
    Box::new(move |text| match Shape::peek_item(text, sight) {
        // The decoder says what is wrong with it.
        None => Verdict::Decode,
        Some(metadata) => match look(ObjectOrigin::List, &metadata) {
            Look::Keep => Verdict::Decode,
            Look::Drop | Look::Gone => Verdict::Drop(None),
        },
    })
}

/// For the events of a watch.
pub(super) fn of_events<K>(
    shape: Shape,
    sight: Sight,
    mut look: impl FnMut(ObjectOrigin, &PartialObjectMeta<K>) -> Look + Send + 'static,
) -> Screen<WatchEvent<K>>
where
    K: DeserializeOwned + 'static,
{
    Box::new(move |line| match Shape::peek_event(line, sight) {
        None => Verdict::Decode,
        Some((origin, metadata)) => match look(origin, &metadata) {
            Look::Keep => Verdict::Decode,
            Look::Drop => Verdict::Drop(metadata.metadata.resource_version),
            Look::Gone => Verdict::Ready(Box::new(gone(shape.event(line)))),
        },
    })
}

/// An event as a deletion, also where its object does not decode: whoever knows the object has to forget it.
fn gone<K>(event: Result<WatchEvent<K>, WireError>) -> Result<WatchEvent<K>, WireError> {
    match event {
        Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => Ok(WatchEvent::Deleted(object)),
        Err(WireError::Object(mut object)) => {
            object.origin = ObjectOrigin::Deleted;
            Err(WireError::Object(object))
        }
        other => other,
    }
}

/// Tells up to which version nothing is missing, where the events before were dropped.
pub(super) fn seen<K>(version: String) -> WatchEvent<K> {
    let metadata = BookmarkMeta { resource_version: version, annotations: BTreeMap::new() };
    WatchEvent::Bookmark(Bookmark { types: TypeMeta::default(), metadata })
}
