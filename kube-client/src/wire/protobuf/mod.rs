//! Kubernetes' Protobuf: splits bodies into messages, and converts messages to the JSON text that the JSON decoder
//! reads.
//!
//! The conversion serves every type that decodes from JSON, and adds no code for each type: a second deserializer would
//! double the build time of programs with many types. The module `table` has the messages of all supported versions
//! of Kubernetes.
//!
//! The result has the values of an API server's JSON, with these exceptions:
//!
//! - A field that exists only in a newer version of Kubernetes is absent, because the table does not contain it.
//! - A required list or map that is empty is null. An API server sends `[]` only for an object that it has not read
//!   from its storage: an object in the storage does not distinguish `[]` from null.
//! - `metadata.creationTimestamp` is absent instead of null if it is not set, as in Kubernetes 1.34 and later.
//!
//! This module must not decode objects: `wire` decodes the JSON text.

mod buffer;
#[cfg(any(test, fuzzing))]
pub(crate) mod encode;
mod envelope;
mod peek;
mod reader;
mod split;
mod table;
#[cfg(test)]
mod tests;
mod transcode;
mod values;

pub(super) use buffer::JsonText;
pub(super) use peek::{peek_event, peek_item};
pub(crate) use split::{EventSplitter, ListSplitter};

use crate::core::FieldSet;
use envelope::{Envelope, excerpt, text_of};
use reader::fields_1_to_3;
use serde_json::Result;
use table::{Message, message_of_kind};
use transcode::{TranscodeError, Transcoder, bytes_of};

/// The media type of Protobuf bodies.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// A kind with its Protobuf message type.
#[derive(Debug, Clone)]
pub(crate) struct ProtobufKind {
    api_version: String,
    kind: String,
    message: &'static Message,
}

impl ProtobufKind {
    /// The kind with this API version, such as `v1`; `None` if it has no message. Custom resources have none.
    pub(crate) fn find(api_version: &str, kind: &str) -> Option<Self> {
        let message = message_of_kind(api_version, kind)?;
        Some(Self { api_version: api_version.to_owned(), kind: kind.to_owned(), message })
    }

    /// `PartialObjectMetadata`: the kind of a response that contains only the metadata of an object.
    pub(crate) fn partial_object() -> Option<Self> {
        Self::find("meta.k8s.io/v1", "PartialObjectMetadata")
    }

    /// The API version and kind that each item of a list has in JSON; `None` for all kinds but `PartialObjectMetadata`.
    fn types_of_items(&self) -> Option<(&str, &str)> {
        let is_partial = self.kind == "PartialObjectMetadata";
        is_partial.then_some((self.api_version.as_str(), self.kind.as_str()))
    }

    /// Checks that an envelope has the API version of this kind, and the name of this kind followed by `suffix`, such as
    /// `List`.
    fn check_types(
        &self,
        (api_version, kind): (&str, &str),
        suffix: &str,
    ) -> std::result::Result<(), String> {
        if api_version == self.api_version && kind.strip_suffix(suffix) == Some(self.kind.as_str()) {
            return Ok(());
        }
        let found = excerpt(api_version, kind);
        Err(format!("the server sent {found} instead of {} {}{suffix}", self.api_version, self.kind))
    }
}

/// Whether `bytes` begin with the magic number of Kubernetes' Protobuf, which precedes each envelope.
pub(crate) fn is_protobuf(bytes: &[u8]) -> bool {
    Envelope::has_magic_number(bytes)
}

/// Converts the object in an envelope to JSON. `expected` is the requested kind, if it is known.
pub(super) fn object_to_json(
    bytes: &[u8],
    expected: Option<&ProtobufKind>,
    skipped: &FieldSet,
    checks_utf8: bool,
) -> Result<JsonText<'static>> {
    JsonText::write(|out| {
        let envelope = Envelope::parse(bytes)?;
        if let Some(expected) = expected {
            expected.check_types(envelope.types(), "").map_err(TranscodeError::new)?;
        }
        let mut transcoder = Transcoder::new(out, bytes.len(), checks_utf8);
        transcoder.write_object(envelope.raw, envelope.message()?, Some(envelope.types()), skipped.root())
    })
}

/// Converts an item of a list to JSON. `kind` is the kind of the item.
pub(super) fn item_to_json(
    raw: &[u8],
    kind: &ProtobufKind,
    skipped: &FieldSet,
    checks_utf8: bool,
) -> Result<JsonText<'static>> {
    JsonText::write(|out| {
        let mut transcoder = Transcoder::new(out, raw.len(), checks_utf8);
        transcoder.write_object(raw, kind.message, kind.types_of_items(), skipped.root())
    })
}

/// The JSON of the metadata of a list.
pub(super) fn list_metadata_to_json(raw: &[u8]) -> Result<JsonText<'static>> {
    JsonText::write(|out| {
        let list = message_of_kind("meta.k8s.io/v1", "PartialObjectMetadataList");
        let (_, metadata) = list
            .and_then(|list| list.field(1))
            .ok_or("the table has no message for the metadata of lists")?;
        Transcoder::new(out, raw.len(), true).write_object(raw, metadata.message(), None, None)
    })
}

/// A watch event, whose object is in an envelope.
struct Event<'a> {
    event_type: &'a str,
    /// The envelope with its magic number.
    object: &'a [u8],
}

impl<'a> Event<'a> {
    fn parse(bytes: &'a [u8]) -> transcode::Result<Self> {
        // API servers send the event without an envelope. An event in an envelope is accepted, too.
        let bytes = if Envelope::has_magic_number(bytes) { Envelope::parse(bytes)?.raw } else { bytes };
        let [event_type, object, _] = fields_1_to_3(bytes)?;
        let object = fields_1_to_3(bytes_of(object.ok_or("the event has no object")?)?)?[0];
        Ok(Self {
            event_type: text_of(event_type)?,
            object: bytes_of(object.ok_or("the event has no object")?)?,
        })
    }
}

/// The JSON of a watch event. `skipped` are the skipped fields of its object.
pub(super) fn event_to_json(
    bytes: &[u8],
    expected: Option<&ProtobufKind>,
    skipped: &FieldSet,
    checks_utf8: bool,
) -> Result<JsonText<'static>> {
    JsonText::write(|out| {
        let event = Event::parse(bytes)?;
        let envelope = Envelope::parse(event.object)?;
        if let Some(expected) = expected.filter(|_| event.event_type != "ERROR") {
            expected.check_types(envelope.types(), "").map_err(TranscodeError::new)?;
        }
        let mut transcoder = Transcoder::new(out, bytes.len(), checks_utf8);
        transcoder.write_raw(b"{\"type\":");
        transcoder.write_string(event.event_type.as_bytes())?;
        transcoder.write_raw(b",\"object\":");
        transcoder.write_object(envelope.raw, envelope.message()?, Some(envelope.types()), skipped.root())?;
        transcoder.write_raw(b"}");
        Ok(())
    })
}

/// The type of a watch event, and a JSON object with only the identity of the event's object, for the error about a
/// malformed event. `None` if the event or the envelope of the object is not readable.
pub(super) fn event_identity_to_json(bytes: &[u8]) -> Option<(&str, JsonText<'static>)> {
    let event = Event::parse(bytes).ok()?;
    let envelope = Envelope::parse(event.object).ok()?;
    Some((event.event_type, item_identity_to_json(envelope.raw)))
}

/// A JSON object with only the identity of an item, for the error about a malformed item.
pub(super) fn item_identity_to_json(raw: &[u8]) -> JsonText<'static> {
    let identity = peek::read_identity(raw).unwrap_or_default();
    JsonText::from(serde_json::json!({ "metadata": identity }).to_string().into_bytes())
}
