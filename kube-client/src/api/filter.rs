//! Screens: looking at an object's metadata before the object is decoded.

use super::{PartialObjectMeta, WatchEvent};
use crate::core::{Bookmark, BookmarkMeta, ObjectOrigin, TypeMeta};
use crate::wire::{FilterDepth, Shape, WireError};
use serde::de::DeserializeOwned;
use std::collections::hash_map::{Entry, RandomState};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::BuildHasher;

/// What becomes of an object whose metadata was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is decoded and comes out of the stream.
    Keep,
    /// It is never decoded.
    Drop,
    /// It is decoded and comes out as if it had been deleted, or as an error that says so. In a list, where nothing is, it is dropped.
    Deselect,
}

/// What becomes of a piece of a body.
pub(super) enum PieceVerdict<T> {
    /// It is decoded. The key of its object, if later pieces about that object have to wait for the result.
    Decode(Option<u64>),
    /// Of an event: the version that has been seen with it.
    Drop(Option<String>),
    Ready(Box<Result<T, WireError>>),
    /// An earlier piece about the same object has not come out of the stream yet: if it does not decode, this one is news.
    Later,
}

/// Decides about pieces in the order in which they come.
pub(super) type PieceFilter<T> = Box<dyn FnMut(&[u8], &Decoding) -> PieceVerdict<T> + Send>;

/// The keys of the objects that are being decoded, in order; `None` for values without an object.
#[derive(Default)]
pub(super) struct Decoding {
    order: VecDeque<Option<u64>>,
    count: HashMap<u64, usize>,
}

impl Decoding {
    pub(super) fn begin(&mut self, key: Option<u64>) {
        self.order.push_back(key);
        if let Some(key) = key {
            *self.count.entry(key).or_default() += 1;
        }
    }

    /// The first value has come out.
    pub(super) fn end(&mut self) {
        if let Some(Some(key)) = self.order.pop_front()
            && let Entry::Occupied(mut count) = self.count.entry(key)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    fn contains(&self, key: u64) -> bool {
        self.count.contains_key(&key)
    }
}

/// For the items of a list.
pub(super) fn of_items<K, T>(
    depth: FilterDepth,
    mut filter: impl FnMut(ObjectOrigin, &PartialObjectMeta<K>) -> Verdict + Send + 'static,
) -> PieceFilter<T>
where
    K: 'static,
{
    // A list has each object once.
    Box::new(move |text, _| match Shape::peek_item(text, depth) {
        // The decoder says what is wrong with it.
        None => PieceVerdict::Decode(None),
        Some(metadata) => match filter(ObjectOrigin::List, &metadata) {
            Verdict::Keep => PieceVerdict::Decode(None),
            Verdict::Drop | Verdict::Deselect => PieceVerdict::Drop(None),
        },
    })
}

/// For the events of a watch.
pub(super) fn of_events<K>(
    shape: Shape,
    depth: FilterDepth,
    mut filter: impl FnMut(ObjectOrigin, &PartialObjectMeta<K>) -> Verdict + Send + 'static,
) -> PieceFilter<WatchEvent<K>>
where
    K: DeserializeOwned + 'static,
{
    let identity = RandomState::new();
    Box::new(move |line, decoding| {
        let Some((origin, metadata)) = Shape::peek_event(line, depth) else {
            return PieceVerdict::Decode(None);
        };
        let key = identity.hash_one((&metadata.metadata.namespace, &metadata.metadata.name));
        if decoding.contains(key) {
            return PieceVerdict::Later;
        }
        match filter(origin, &metadata) {
            Verdict::Keep => PieceVerdict::Decode(Some(key)),
            Verdict::Drop => PieceVerdict::Drop(metadata.metadata.resource_version),
            Verdict::Deselect => PieceVerdict::Ready(Box::new(gone(shape.event(line)))),
        }
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
pub(super) fn bookmark<K>(version: String) -> WatchEvent<K> {
    let metadata = BookmarkMeta { resource_version: version, annotations: BTreeMap::new() };
    WatchEvent::Bookmark(Bookmark { types: TypeMeta::default(), metadata })
}
