//! From bytes to objects: splitting the bodies of lists and watches, and decoding what they hold.
//!
//! A body is split as it arrives, so that neither the text nor the raw items of a whole list are ever held at once. The
//! format (JSON today) stays behind [`Split`] and [`Shape`]. Nothing in here performs IO.

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

/// The largest single object that is taken from a server: etcd's own limit is about 1.5 MiB, aggregated API servers may
/// go beyond.
const MAX_OBJECT_BYTES: usize = 64 << 20;

/// What can be wrong with a body.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub(crate) enum WireError {
    /// One object does not decode; the body goes on.
    #[error(transparent)]
    Object(#[from] Box<UndecodableObject>),
    /// A watch event does not read as JSON, or not as an event.
    #[error("read an event of a watch: {text}")]
    Frame { text: String, source: serde_json::Error },
    /// The text of a list is not what it should be; nothing after this can be read.
    #[error("read a list: {problem} at byte {at}")]
    List { problem: &'static str, at: u64 },
    /// The metadata of a list does not decode.
    #[error("read the metadata of a list")]
    ListHead(#[source] serde_json::Error),
    /// The body ended in the middle of a value.
    #[error("the body ended early, after {after} bytes")]
    Truncated { after: u64 },
    /// One object or frame is too large to be held.
    #[error("a single object or event is larger than {limit} bytes")]
    TooLarge { limit: usize },
}

/// Takes pieces out of a body as it arrives: the items of a list, or the events of a watch.
pub(crate) trait Split {
    /// What is known once the body has ended.
    type End;
    /// Takes the next part of the body.
    fn push(&mut self, frame: Bytes);
    /// The text of the next piece that is complete; `None` until more of the body has been pushed.
    fn next(&mut self) -> Option<Result<Bytes, WireError>>;
    /// After the last part: a last piece, if there is one, and what there is to know.
    fn finish(self) -> Result<(Option<Bytes>, Self::End), WireError>;
}

/// What objects are decoded into, and how. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// The kind that the program asked for, which errors name.
    expected: Arc<str>,
    /// Fields that are not wanted, of an object.
    object: Arc<FieldSet>,
    /// The same, of an event around an object.
    event: Arc<FieldSet>,
}

impl Shape {
    pub(crate) fn new(expected: &str, skipped: &FieldSet) -> Self {
        Self {
            expected: expected.into(),
            object: Arc::new(skipped.clone()),
            event: Arc::new(skipped.clone().within("object")),
        }
    }

    /// The kind that the program asked for.
    pub(crate) fn expected(&self) -> &str {
        &self.expected
    }

    /// Decodes an object that was asked for by itself.
    pub(crate) fn object<K: DeserializeOwned>(&self, text: &[u8]) -> serde_json::Result<K> {
        json::decode(text, &self.object)
    }

    /// Decodes an item of a list and has `complete` add what is left out there, or tells which one does not decode.
    pub(crate) fn item<K: DeserializeOwned>(
        &self,
        text: &[u8],
        complete: impl FnOnce(&mut K),
    ) -> Result<K, WireError> {
        let mut decoded = self.object(text);
        if let Ok(object) = &mut decoded {
            complete(object);
        }
        decoded.map_err(|source| self.undecodable(text, ObjectOrigin::List, source))
    }

    /// The metadata of an item of a list; `None` where it cannot be read.
    pub(crate) fn peek_item<K>(text: &[u8], depth: FilterDepth) -> Option<PartialObjectMeta<K>> {
        json::head(text, depth).ok().map(partial)
    }

    fn undecodable(&self, text: &[u8], origin: ObjectOrigin, source: serde_json::Error) -> WireError {
        Box::new(UndecodableObject::new(&self.expected, origin, source).identified_by(text)).into()
    }
}

/// Decodes the one JSON value that `text` holds, whatever it is about. Errors contain no value of the text.
pub(crate) fn decode_json<'de, T: Deserialize<'de>>(text: &'de [u8]) -> serde_json::Result<T> {
    json::decode(text, &FieldSet::none())
}

/// The metadata at the beginning of an object.
fn partial<K>(head: json::Head) -> PartialObjectMeta<K> {
    PartialObjectMeta::from_parts(head.api_version, head.kind, head.metadata)
}

#[cfg(test)]
mod tests;
