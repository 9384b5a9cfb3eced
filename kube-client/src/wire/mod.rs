//! From bytes to objects: splitting the bodies of lists and watches, and decoding what they hold.
//!
//! A body is split as it arrives, so that neither the text nor the raw items of a whole list are ever held at once. The
//! format (JSON today) stays behind [`ListDecoder`] and [`EventDecoder`]. Nothing in here performs IO.

mod event;
mod list;
mod scan;

pub(crate) use event::EventDecoder;
pub(crate) use list::{ListDecoder, ListHead};

use crate::core::{ObjectOrigin, UndecodableObject};
use serde::de::DeserializeOwned;
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

/// Decodes one object, or tells which one does not decode.
fn decode<K: DeserializeOwned>(text: &[u8], origin: ObjectOrigin, expected: &str) -> Result<K, WireError> {
    serde_json::from_slice(text).map_err(|source| {
        Box::new(UndecodableObject::new(expected, origin, source).identified_by(text)).into()
    })
}
