//! Splits the bodies of lists and watches into objects, and decodes them.
//!
//! A body is split as it arrives, so that memory never holds the text of a whole list. A piece of a body consists of the
//! bytes of one list item or one watch event, in JSON or Protobuf. Only this module splits bodies and parses Protobuf. This
//! module must not perform I/O.

mod block;
mod event;
mod format;
mod json;
mod list;
mod protobuf;
mod raw;
mod scan;

pub(crate) use event::EventSplitter;
pub(crate) use format::{BodyFormat, EventBodySplitter, ListBodySplitter};
pub use json::FilterDepth;
pub(crate) use list::ListSplitter;
#[cfg(any(test, fuzzing))]
pub(crate) use protobuf::encode::encode_object as encode_protobuf;
pub(crate) use protobuf::{MEDIA_TYPE as PROTOBUF_MEDIA_TYPE, ProtobufKind};
pub use raw::{Convert, RawObject};

use crate::core::{FieldSet, ObjectMeta, ObjectOrigin, PartialObjectMeta, UndecodableObject};
use bytes::Bytes;
use protobuf::JsonText;
use serde::de::{Deserialize, DeserializeOwned};
use std::sync::Arc;
use thiserror::Error as ThisError;

/// An error in splitting or decoding a body.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub(crate) enum WireError {
    /// One object does not decode. The rest of the body is readable.
    #[error(transparent)]
    Object(#[from] Box<UndecodableObject>),
    /// A watch event is malformed, or is a bookmark or an error that does not decode.
    #[error("read an event of a watch: {text}")]
    Event { text: String, source: serde_json::Error },
    /// The body of a list is malformed. The rest of the body is not readable.
    #[error("read a list: {problem} at byte {at}")]
    List { problem: &'static str, at: u64 },
    /// The body contains objects of a kind that was not requested.
    #[error("{0}")]
    UnexpectedKind(String),
    /// A key, the API version, the kind or the metadata of a list does not decode.
    #[error("read the metadata of a list")]
    ListHead(#[source] serde_json::Error),
    /// The body ended before the list or the last event was complete.
    #[error("the body ended early, after {after} bytes")]
    Truncated { after: u64 },
    /// A single object or event exceeds the limit.
    #[error(
        "a single object or event is larger than {limit} bytes; Config::max_object_bytes sets this limit"
    )]
    TooLarge { limit: usize },
}

/// Splits a body into pieces as the body arrives. The pieces are the items of a list, or the events of a watch.
pub(crate) trait Split {
    /// The data that [`finish`](Self::finish) returns, such as the metadata of a list.
    type End;
    /// Adds the next frame of the body. Between two calls, [`next`](Self::next) must have returned `None`.
    fn push(&mut self, frame: Bytes);
    /// The next complete piece; `None` if more of the body is needed.
    fn next(&mut self) -> Option<Result<Bytes, WireError>>;
    /// Ends the body after the last frame. Returns the remaining piece, if any, and the data of [`End`](Self::End).
    fn finish(self) -> Result<(Option<Bytes>, Self::End), WireError>;
}

/// Decodes objects and watch events, and skips the fields of a [`FieldSet`]. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ObjectDecoder {
    /// The requested kind, for error messages.
    expected_kind: Arc<str>,
    format: BodyFormat,
    /// The paths of the skipped fields, relative to an object.
    skipped_in_object: Arc<FieldSet>,
    /// The skipped fields, relative to a watch event.
    skipped_in_event: Arc<FieldSet>,
}

impl ObjectDecoder {
    pub(crate) fn new(expected_kind: &str, skipped: &FieldSet) -> Self {
        Self {
            expected_kind: expected_kind.into(),
            format: BodyFormat::Json,
            skipped_in_object: Arc::new(skipped.clone()),
            skipped_in_event: Arc::new(skipped.clone().under_field("object")),
        }
    }

    /// The requested kind.
    pub(crate) fn expected_kind(&self) -> &str {
        &self.expected_kind
    }

    /// Returns this decoder with the format `format`. Without this call, a decoder decodes JSON.
    pub(crate) fn with_format(self, format: BodyFormat) -> Self {
        Self { format, ..self }
    }

    /// The format of the bodies that this decoder decodes.
    pub(crate) fn format(&self) -> &BodyFormat {
        &self.format
    }

    /// Decodes a response body that contains a single object.
    pub(crate) fn decode_object<K: DeserializeOwned>(&self, bytes: &[u8]) -> serde_json::Result<K> {
        let text = self.object_text(bytes, false)?;
        json::decode(&text, &self.skipped_in_object)
            .map_err(|error| self.object_text(bytes, true).err().unwrap_or(error))
    }

    /// The JSON of a response body that contains a single object. With `checks_utf8`, a Protobuf string that is not UTF-8
    /// is an error with the path of its field.
    fn object_text<'a>(&self, bytes: &'a [u8], checks_utf8: bool) -> serde_json::Result<JsonText<'a>> {
        match &self.format {
            BodyFormat::Json => Ok(JsonText::Borrowed(bytes)),
            BodyFormat::Protobuf(kind) => {
                protobuf::object_to_json(bytes, kind.as_deref(), &self.skipped_in_object, checks_utf8)
            }
        }
    }

    /// Decodes an item of a list. Then `complete` sets the fields that lists omit, such as `kind`. The error names the
    /// item.
    pub(crate) fn decode_item<K: DeserializeOwned>(
        &self,
        piece: &[u8],
        complete: impl FnOnce(&mut K),
    ) -> Result<K, WireError> {
        let text = self.item_text(piece, false).map_err(|error| self.malformed_item_error(piece, error))?;
        let mut decoded = json::decode(&text, &self.skipped_in_object);
        if let Ok(object) = &mut decoded {
            complete(object);
        }
        decoded.map_err(|error| match self.item_text(piece, true) {
            Ok(_) => self.undecodable_object_error(&text, ObjectOrigin::List, error),
            Err(error) => self.malformed_item_error(piece, error),
        })
    }

    /// The JSON of an item of a list.
    fn item_text<'a>(&self, piece: &'a [u8], checks_utf8: bool) -> serde_json::Result<JsonText<'a>> {
        match &self.format {
            BodyFormat::Protobuf(Some(kind)) => {
                protobuf::item_to_json(piece, kind, &self.skipped_in_object, checks_utf8)
            }
            // For Protobuf without a kind, the splitter of the list fails, so that there is no piece.
            BodyFormat::Json | BodyFormat::Protobuf(None) => Ok(JsonText::Borrowed(piece)),
        }
    }

    /// The error for a malformed item in Protobuf.
    fn malformed_item_error(&self, piece: &[u8], source: serde_json::Error) -> WireError {
        self.undecodable_object_error(&protobuf::item_identity_to_json(piece), ObjectOrigin::List, source)
    }

    /// The metadata of an item of a list; `None` if it is not readable.
    pub(crate) fn peek_item<K>(&self, piece: &[u8], depth: FilterDepth) -> Option<PartialObjectMeta<K>> {
        let head = match &self.format {
            BodyFormat::Json => json::read_head(piece, depth).ok(),
            BodyFormat::Protobuf(_) => protobuf::peek_item(piece, depth),
        };
        head.map(partial_object)
    }

    /// The error for an object that does not decode, with the name of the object.
    fn undecodable_object_error(
        &self,
        text: &[u8],
        origin: ObjectOrigin,
        source: serde_json::Error,
    ) -> WireError {
        let mut error =
            UndecodableObject::new(&self.expected_kind, origin, source).with_identity_from_json(text);
        // `with_identity_from_json` fails if any part of the text is malformed. `read_head` stops after the metadata.
        if error.name.is_none()
            && let Ok(head) = json::read_head(text, FilterDepth::Metadata)
        {
            error.name = head.metadata.name;
            error.namespace = head.metadata.namespace;
            error.resource_version = head.metadata.resource_version;
            error.uid = head.metadata.uid;
        }
        Box::new(error).into()
    }
}

/// Decodes `text`, which must hold exactly one JSON value. Skips no fields. Errors quote no value of the text.
pub(crate) fn decode_json<'de, T: Deserialize<'de>>(text: &'de [u8]) -> serde_json::Result<T> {
    json::decode(text, &FieldSet::none())
}

/// The metadata of the JSON object `text`, read to `depth`; `None` if the metadata is not readable.
pub(crate) fn read_metadata(text: &[u8], depth: FilterDepth) -> Option<ObjectMeta> {
    json::read_head(text, depth).ok().map(|head| head.metadata)
}

/// Decodes `body`, which must hold exactly one object in JSON or in Protobuf's envelope, such as the `Status` of an
/// unsuccessful response.
pub(crate) fn decode_any_format<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    if protobuf::is_protobuf(body) {
        return decode_json(&protobuf::object_to_json(body, None, &FieldSet::none(), false)?);
    }
    decode_json(body)
}

/// Converts the head of an object to a partial object.
fn partial_object<K>(head: json::ObjectHead) -> PartialObjectMeta<K> {
    PartialObjectMeta::from_parts(head.api_version, head.kind, head.metadata)
}

#[cfg(test)]
mod tests;
