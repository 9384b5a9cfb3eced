//! Reads only the metadata of an object: for the filters that run before the object is decoded, and for error messages.

use super::super::json;
use super::envelope::{Envelope, text_of};
use super::reader::{Payload, Reader, fields_1_to_3};
use super::table::message_of_kind;
use super::transcode::{Result, Transcoder, bytes_of};
use super::{Event, JsonText};
use crate::core::{FieldSet, ObjectMeta};
use crate::wire::FilterDepth;
use crate::wire::json::ObjectHead;
use serde_json::Value;
use std::collections::BTreeMap;

// The numbers of the fields of `ObjectMeta`.
const NAME_FIELD: u64 = 1;
const NAMESPACE_FIELD: u64 = 3;
const UID_FIELD: u64 = 5;
const RESOURCE_VERSION_FIELD: u64 = 6;
const LABELS_FIELD: u64 = 11;

/// The metadata of an item of a list; `None` if it is not readable.
pub(crate) fn peek_item(raw: &[u8], depth: FilterDepth) -> Option<ObjectHead> {
    let metadata = read_metadata(raw, depth).ok()?;
    Some(ObjectHead { api_version: None, kind: None, metadata })
}

/// The type of a watch event and the metadata of its object; `None` if they are not readable.
pub(crate) fn peek_event(bytes: &[u8], depth: FilterDepth) -> Option<(&str, ObjectHead)> {
    let event = Event::parse(bytes).ok()?;
    let envelope = Envelope::parse(event.object).ok()?;
    let metadata = read_metadata(envelope.raw, depth).ok()?;
    let (api_version, kind) = envelope.types();
    let head = ObjectHead { api_version: Some(api_version.into()), kind: Some(kind.into()), metadata };
    Some((event.event_type, head))
}

/// The bytes of the metadata of an object.
fn metadata_of(raw: &[u8]) -> Result<&[u8]> {
    let [metadata, ..] = fields_1_to_3(raw)?;
    Ok(bytes_of(metadata.ok_or("the object has no metadata")?)?)
}

/// Reads the fields of an object's metadata that `depth` includes.
fn read_metadata(raw: &[u8], depth: FilterDepth) -> Result<ObjectMeta> {
    let bytes = metadata_of(raw)?;
    if depth == FilterDepth::Labels {
        return read_metadata_with_labels_depth(bytes);
    }
    let partial = message_of_kind("meta.k8s.io/v1", "PartialObjectMetadata");
    let (_, field) = partial.and_then(|partial| partial.field(1)).ok_or("the table has no metadata")?;
    let text = JsonText::write(|out| {
        Transcoder::new(out, bytes.len(), false).write_object(
            bytes,
            field.message(),
            None,
            json::skipped_metadata_fields(),
        )
    });
    let metadata = text.and_then(|text| json::decode(&text, &FieldSet::none()));
    Ok(metadata.map_err(|_| "the metadata does not decode")?)
}

/// Reads the fields of [`FilterDepth::Labels`]: name, namespace, resource version and labels.
fn read_metadata_with_labels_depth(bytes: &[u8]) -> Result<ObjectMeta> {
    let (mut reader, mut meta) = (Reader::new(bytes), ObjectMeta::default());
    let mut labels = BTreeMap::new();
    while let Some((number, payload)) = reader.next()? {
        match number {
            NAME_FIELD => meta.name = non_empty_text(payload)?,
            NAMESPACE_FIELD => meta.namespace = non_empty_text(payload)?,
            RESOURCE_VERSION_FIELD => meta.resource_version = non_empty_text(payload)?,
            LABELS_FIELD => {
                let [key, value, _] = fields_1_to_3(bytes_of(payload)?)?;
                labels.insert(text_of(key)?.to_owned(), text_of(value)?.to_owned());
            }
            _ => {}
        }
    }
    meta.labels = (!labels.is_empty()).then_some(labels);
    Ok(meta)
}

/// The text of a value; `None` if it is empty, because Kubernetes encodes an absent string as an empty string.
fn non_empty_text(payload: Payload<'_>) -> Result<Option<String>, &'static str> {
    Ok(Some(text_of(Some(payload))?.to_owned()).filter(|text| !text.is_empty()))
}

/// The identity of an object as JSON. If the metadata is the first field, the rest of the object may be malformed.
pub(super) fn read_identity(raw: &[u8]) -> Result<Value> {
    // If the metadata is the first field, as API servers write it, the rest of the object is not read: the rest may be
    // malformed.
    let metadata = match Reader::new(raw).next()? {
        Some((1, payload)) => bytes_of(payload)?,
        _ => metadata_of(raw)?,
    };
    let (mut reader, mut identity) = (Reader::new(metadata), serde_json::Map::new());
    while let Ok(Some((number, payload))) = reader.next() {
        let key = match number {
            NAME_FIELD => "name",
            NAMESPACE_FIELD => "namespace",
            UID_FIELD => "uid",
            RESOURCE_VERSION_FIELD => "resourceVersion",
            _ => continue,
        };
        if let Some(text) = non_empty_text(payload)? {
            identity.insert(key.to_owned(), text.into());
        }
    }
    Ok(identity.into())
}
