//! Splits the bodies of lists and watches into objects, and decodes them.
//!
//! A body is split as it arrives, so that memory never holds the text of a whole list. Only [`Split`] and
//! [`ObjectDecoder`] depend on the format, which is JSON. The module must not perform I/O.

mod block;
mod event;
mod json;
mod list;
mod scan;

pub(crate) use event::EventSplitter;
pub use json::FilterDepth;
pub(crate) use list::ListSplitter;

use crate::core::{FieldSet, ObjectOrigin, PartialObjectMeta, UndecodableObject};
use bytes::Bytes;
use serde::de::{Deserialize, DeserializeOwned};
use std::sync::Arc;
use thiserror::Error as ThisError;

/// Why a body cannot be split or decoded.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub(crate) enum WireError {
    /// One object does not decode. The rest of the body is readable.
    #[error(transparent)]
    Object(#[from] Box<UndecodableObject>),
    /// A watch event is not JSON, or has no type or object.
    #[error("read an event of a watch: {text}")]
    Event { text: String, source: serde_json::Error },
    /// The text of a list is malformed. The rest of the body is not readable.
    #[error("read a list: {problem} at byte {at}")]
    List { problem: &'static str, at: u64 },
    /// The metadata of a list does not decode.
    #[error("read the metadata of a list")]
    ListHead(#[source] serde_json::Error),
    /// The body ended in the middle of a value.
    #[error("the body ended early, after {after} bytes")]
    Truncated { after: u64 },
    /// A single object or event exceeds the limit.
    #[error(
        "a single object or event is larger than {limit} bytes; Config::max_object_bytes sets this limit"
    )]
    TooLarge { limit: usize },
}

/// Splits a body into pieces as it arrives: the items of a list, or the events of a watch.
pub(crate) trait Split {
    /// The data that [`finish`](Self::finish) returns, such as the metadata of a list.
    type End;
    /// Adds the next frame of the body. Before each call, [`next`](Self::next) must have returned `None`.
    fn push(&mut self, frame: Bytes);
    /// The text of the next complete piece; `None` if more of the body is needed.
    fn next(&mut self) -> Option<Result<Bytes, WireError>>;
    /// Ends the body after the last frame. Returns the remaining piece, if any.
    fn finish(self) -> Result<(Option<Bytes>, Self::End), WireError>;
}

/// Decodes objects and watch events, and skips the fields of a [`FieldSet`]. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ObjectDecoder {
    /// The requested kind, for error messages.
    expected_kind: Arc<str>,
    /// The skipped fields, relative to an object.
    skipped_in_object: Arc<FieldSet>,
    /// The skipped fields, relative to a watch event.
    skipped_in_event: Arc<FieldSet>,
}

impl ObjectDecoder {
    pub(crate) fn new(expected_kind: &str, skipped: &FieldSet) -> Self {
        Self {
            expected_kind: expected_kind.into(),
            skipped_in_object: Arc::new(skipped.clone()),
            skipped_in_event: Arc::new(skipped.clone().within("object")),
        }
    }

    /// The requested kind.
    pub(crate) fn expected_kind(&self) -> &str {
        &self.expected_kind
    }

    /// Decodes the object of a response that is a single object.
    pub(crate) fn decode_object<K: DeserializeOwned>(&self, text: &[u8]) -> serde_json::Result<K> {
        json::decode(text, &self.skipped_in_object)
    }

    /// Decodes an item of a list. Then `complete` sets the fields that lists omit, such as `kind`. The error names the
    /// item.
    pub(crate) fn decode_item<K: DeserializeOwned>(
        &self,
        text: &[u8],
        complete: impl FnOnce(&mut K),
    ) -> Result<K, WireError> {
        let mut decoded = self.decode_object(text);
        if let Ok(object) = &mut decoded {
            complete(object);
        }
        decoded.map_err(|source| self.undecodable_error(text, ObjectOrigin::List, source))
    }

    /// The metadata of an item of a list; `None` if it is not readable.
    pub(crate) fn peek_item<K>(text: &[u8], depth: FilterDepth) -> Option<PartialObjectMeta<K>> {
        json::read_head(text, depth).ok().map(partial_object)
    }

    /// The error for an object that does not decode, with the name of the object.
    fn undecodable_error(&self, text: &[u8], origin: ObjectOrigin, source: serde_json::Error) -> WireError {
        Box::new(UndecodableObject::new(&self.expected_kind, origin, source).with_identity_from(text)).into()
    }
}

/// Decodes `text`, which must hold exactly one JSON value. Skips no fields. Errors contain no value of the text.
pub(crate) fn decode_json<'de, T: Deserialize<'de>>(text: &'de [u8]) -> serde_json::Result<T> {
    json::decode(text, &FieldSet::none())
}

/// Converts the head of an object to a partial object.
fn partial_object<K>(head: json::ObjectHead) -> PartialObjectMeta<K> {
    PartialObjectMeta::from_parts(head.api_version, head.kind, head.metadata)
}

#[cfg(test)]
mod tests;
