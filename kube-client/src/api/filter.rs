//! Filters that read an object's metadata before the object is decoded.

use super::{PartialObjectMeta, WatchEvent};
use crate::core::{Bookmark, BookmarkMeta, ObjectOrigin, TypeMeta};
use crate::wire::{FilterDepth, ObjectDecoder, WireError};
use std::collections::hash_map::{Entry, RandomState};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::BuildHasher;

/// The verdict of a filter on the metadata of an object: see
/// [`ListStream::filter_before_decode`](super::ListStream::filter_before_decode) and
/// [`EventStream::filter_before_decode`](super::EventStream::filter_before_decode).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The object is decoded and the stream emits it.
    Keep,
    /// The object is not decoded, and the stream does not emit it.
    Drop,
    /// The filter kept the object before, and no longer keeps it. A watch decodes the object and emits it as a deletion. If
    /// the object does not decode, the watch emits an error whose origin is [`ObjectOrigin::Deleted`]. A list drops the
    /// object.
    Deselect,
}

/// The verdict of a filter on a piece: the text of one list item or one watch event.
pub(super) enum PieceVerdict<T> {
    /// Decode the piece. Contains the key of the object if later pieces about the same object must wait for the result.
    Decode(Option<u64>),
    /// Drop the piece. Contains the object's resource version if the piece is an event.
    Drop(Option<String>),
    /// The result of decoding the piece: the filter itself has decoded it.
    Ready(Box<Result<T, WireError>>),
    /// Filter the piece again later, because the stream has not yet emitted the value of an earlier piece about the same
    /// object. A filter that drops unchanged objects compares this piece with the earlier one, so the filter must first
    /// know whether the earlier piece decodes.
    Defer,
}

/// A function that returns the verdict on a piece. It is called in the order of the pieces in the body.
pub(super) type PieceFilter<T> = Box<dyn FnMut(&[u8], &QueuedKeys) -> PieceVerdict<T> + Send>;

/// The keys of the queued values, oldest first. A value leaves the queue when the stream emits it. The key identifies
/// the value's object; it is `None` if later pieces need not wait for the value.
#[derive(Default)]
pub(super) struct QueuedKeys {
    order: VecDeque<Option<u64>>,
    count: HashMap<u64, usize>,
}

impl QueuedKeys {
    /// Adds the key of a value that was queued.
    pub(super) fn push(&mut self, key: Option<u64>) {
        self.order.push_back(key);
        if let Some(key) = key {
            *self.count.entry(key).or_default() += 1;
        }
    }

    /// Removes the key of the oldest value, after the stream has emitted the value.
    pub(super) fn pop(&mut self) {
        if let Some(Some(key)) = self.order.pop_front()
            && let Entry::Occupied(mut count) = self.count.entry(key)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// Whether a value with this key is queued.
    fn contains(&self, key: u64) -> bool {
        self.count.contains_key(&key)
    }
}

/// Converts a filter on metadata to a filter on the items of a list.
pub(super) fn item_filter<K, T>(
    decoder: ObjectDecoder,
    depth: FilterDepth,
    mut filter: impl FnMut(ObjectOrigin, &PartialObjectMeta<K>) -> Verdict + Send + 'static,
) -> PieceFilter<T>
where
    K: 'static,
{
    // This filter never returns `PieceVerdict::Defer`: a list contains each object once, so no item waits for an
    // earlier one.
    Box::new(move |piece, _| match decoder.peek_item(piece, depth) {
        // The metadata is unreadable: the decoder reports the error.
        None => PieceVerdict::Decode(None),
        Some(metadata) => match filter(ObjectOrigin::List, &metadata) {
            Verdict::Keep => PieceVerdict::Decode(None),
            Verdict::Drop | Verdict::Deselect => PieceVerdict::Drop(None),
        },
    })
}

/// Converts a filter on metadata to a filter on the events of a watch. `decode` decodes the events that the filter turns
/// into deletions.
pub(super) fn event_filter<K, T>(
    decoder: ObjectDecoder,
    depth: FilterDepth,
    mut filter: impl FnMut(ObjectOrigin, &PartialObjectMeta<K>) -> Verdict + Send + 'static,
    decode: impl Fn(&[u8]) -> Result<WatchEvent<T>, WireError> + Send + 'static,
) -> PieceFilter<WatchEvent<T>>
where
    K: 'static,
{
    let hasher = RandomState::new();
    Box::new(move |piece, queued| {
        let Some((origin, metadata)) = decoder.peek_event::<K>(piece, depth) else {
            return PieceVerdict::Decode(None);
        };
        let key = hasher.hash_one((&metadata.metadata.namespace, &metadata.metadata.name));
        if queued.contains(key) {
            return PieceVerdict::Defer;
        }
        match filter(origin, &metadata) {
            Verdict::Keep => PieceVerdict::Decode(Some(key)),
            Verdict::Drop => PieceVerdict::Drop(metadata.metadata.resource_version),
            Verdict::Deselect => PieceVerdict::Ready(Box::new(into_deletion(decode(piece)))),
        }
    })
}

/// Turns the event of an object with the verdict [`Verdict::Deselect`] into a deletion, so that caches remove
/// the object. If the object does not decode, sets the origin of the error to [`ObjectOrigin::Deleted`].
fn into_deletion<K>(event: Result<WatchEvent<K>, WireError>) -> Result<WatchEvent<K>, WireError> {
    match event {
        Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => Ok(WatchEvent::Deleted(object)),
        Err(WireError::Object(mut object)) => {
            object.origin = ObjectOrigin::Deleted;
            Err(WireError::Object(object))
        }
        other => other,
    }
}

/// Returns a bookmark with the resource version of the last dropped event.
pub(super) fn bookmark<K>(version: String) -> WatchEvent<K> {
    let metadata = BookmarkMeta { resource_version: version, annotations: BTreeMap::new() };
    WatchEvent::Bookmark(Bookmark { types: TypeMeta::default(), metadata })
}
