//! Reads only the type and the metadata of an object: for the filters that run before the object is decoded, and for
//! error messages. Also reads the type of a watch event.

use super::access::Members;
use super::reader::{Reader, error};
use super::value::Value;
use super::{Result, check_utf8};
use crate::core::__client::FieldNode;
use crate::core::{FieldSet, ObjectMeta};
use serde::de::{Deserialize, Error as _};
use std::borrow::Cow;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::LazyLock;

/// The part of the metadata that a filter receives before the object is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterDepth {
    /// Name, namespace, resource version and labels. This depth is the cheapest: the client stops reading JSON when it
    /// has found all four fields, or at the end of the metadata if the object lacks one of them.
    Labels,
    /// All of the metadata except `managedFields`.
    Metadata,
}

/// The type and metadata of an object.
#[derive(Debug)]
pub(crate) struct ObjectHead {
    pub(crate) api_version: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) metadata: ObjectMeta,
}

/// Reads an object, at most up to the end of the metadata. `apiVersion` and `kind` are `None` if they follow the
/// metadata; API servers write them before the metadata.
pub(crate) fn read_head(text: &[u8], depth: FilterDepth) -> Result<ObjectHead> {
    read_head_at(&mut Reader::new(check_utf8(text)?), depth)
}

/// Reads the type of an event, and the event's object up to the end of the metadata. If `type` comes after `object`,
/// skips the rest of the object to reach `type`.
pub(crate) fn read_event_head(text: &[u8], depth: FilterDepth) -> Result<(Cow<'_, str>, ObjectHead)> {
    let (mut event_type, mut object) = (None, None);
    for_each_member(&mut Reader::new(check_utf8(text)?), |key, reader| {
        match key {
            "type" => event_type = Some(Cow::deserialize(Value::new(reader, None))?),
            "object" => {
                let begin = reader.clone();
                object = Some(read_head_at(reader, depth)?);
                if event_type.is_none() {
                    *reader = begin;
                    reader.skip_value()?;
                }
            }
            _ => reader.skip_value()?,
        }
        Ok(if event_type.is_some() && object.is_some() { Break(()) } else { Continue(()) })
    })?;
    event_type.zip(object).ok_or_else(|| serde_json::Error::custom("an event needs \"type\" and \"object\""))
}

/// Splits an event into its type and the text of its object.
pub(crate) fn split_event(text: &[u8]) -> Result<(Cow<'_, str>, &str)> {
    let (mut event_type, mut object) = (None, None);
    let mut reader = Reader::new(check_utf8(text)?);
    for_each_member(&mut reader, |key, reader| {
        match key {
            "type" if reader.peek() == Some(b'"') => event_type = Some(reader.read_string()?),
            "object" => object = Some(reader.read_raw_value()?),
            _ => reader.skip_value()?,
        }
        Ok(Continue(()))
    })?;
    reader.expect_end()?;
    event_type.zip(object).ok_or_else(|| serde_json::Error::custom("an event needs \"type\" and \"object\""))
}

/// Reads the object that begins at the reader's position, at most up to the end of the metadata.
fn read_head_at(reader: &mut Reader<'_>, depth: FilterDepth) -> Result<ObjectHead> {
    let (mut api_version, mut kind, mut metadata) = (None, None, None);
    for_each_member(reader, |key, reader| {
        match key {
            "apiVersion" => api_version = Deserialize::deserialize(Value::new(reader, None))?,
            "kind" => kind = Deserialize::deserialize(Value::new(reader, None))?,
            "metadata" => metadata = Some(read_metadata_at(reader, depth)?),
            _ => reader.skip_value()?,
        }
        Ok(if metadata.is_some() { Break(()) } else { Continue(()) })
    })?;
    match metadata {
        Some(metadata) => Ok(ObjectHead { api_version, kind, metadata }),
        None => Err(serde_json::Error::missing_field("metadata")),
    }
}

/// The fields that [`FilterDepth::Metadata`] skips within the metadata.
pub(crate) fn skipped_metadata_fields() -> Option<&'static FieldNode> {
    static SKIPPED_FIELDS: LazyLock<FieldSet> = LazyLock::new(FieldSet::managed_fields);
    SKIPPED_FIELDS.root()?.field("metadata")
}

/// Reads the metadata at the reader's position.
fn read_metadata_at(reader: &mut Reader<'_>, depth: FilterDepth) -> Result<ObjectMeta> {
    if depth == FilterDepth::Metadata {
        return ObjectMeta::deserialize(Value::new(reader, skipped_metadata_fields()));
    }
    let (mut name, mut namespace, mut resource_version, mut labels) = (None, None, None, None);
    for_each_member(reader, |key, reader| {
        match key {
            "name" => name = Deserialize::deserialize(Value::new(reader, None))?,
            "namespace" => namespace = Deserialize::deserialize(Value::new(reader, None))?,
            "resourceVersion" => resource_version = Deserialize::deserialize(Value::new(reader, None))?,
            "labels" => labels = Deserialize::deserialize(Value::new(reader, None))?,
            _ => reader.skip_value()?,
        }
        let all = name.is_some() && namespace.is_some() && resource_version.is_some() && labels.is_some();
        Ok(if all { Break(()) } else { Continue(()) })
    })?;
    Ok(ObjectMeta { name, namespace, resource_version, labels, ..ObjectMeta::default() })
}

/// Calls `visit` with each member of the next object, until `visit` returns `Break`.
fn for_each_member<'de>(
    reader: &mut Reader<'de>,
    visit: impl FnMut(&str, &mut Reader<'de>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    if reader.peek_or_fail("an object")? != b'{' {
        return error("expected an object");
    }
    reader.enter_container()?;
    Members::new(reader, None).for_each(visit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name of the object. Asserts that `managedFields` was skipped.
    fn metadata_name(head: ObjectHead) -> Option<String> {
        assert_eq!(head.metadata.managed_fields, None);
        head.metadata.name
    }

    #[test]
    fn text_after_the_metadata_is_not_read() {
        let text =
            br#"{"kind":"Pod","spec":{"a":[1]},"metadata":{"managedFields":[{}],"name":"x"},"status":{]"#;
        let head = read_head(text, FilterDepth::Metadata).unwrap();
        assert_eq!((head.kind.as_deref(), head.api_version.as_deref()), (Some("Pod"), None));
        assert_eq!(metadata_name(head).as_deref(), Some("x"));
        let line = br#"{"type":"ADDED","object":{"apiVersion":"v1","metadata":{"name":"y","managedFields":1},"spec":["#;
        let (event_type, head) = read_event_head(line, FilterDepth::Metadata).unwrap();
        assert_eq!((&*event_type, metadata_name(head).as_deref()), ("ADDED", Some("y")));
        let line = br#"{"object":{"metadata":{"name":"z"},"spec":{"type":"x"}},"type":"DELETED"}"#;
        let (event_type, head) = read_event_head(line, FilterDepth::Metadata).unwrap();
        assert_eq!((&*event_type, metadata_name(head).as_deref()), ("DELETED", Some("z")));
    }

    #[test]
    fn the_cheapest_filter_depth_stops_reading_after_all_four_fields() {
        let text = br#"{"metadata":{"uid":"u","name":"x","namespace":"ns","labels":{"a":"b"},"resourceVersion":"7",]"#;
        let meta = read_head(text, FilterDepth::Labels).unwrap().metadata;
        assert_eq!(meta.labels.unwrap()["a"], "b");
        assert_eq!(
            (meta.name.as_deref(), meta.namespace.as_deref(), meta.resource_version.as_deref(), meta.uid),
            (Some("x"), Some("ns"), Some("7"), None)
        );
        // `namespace` and `resourceVersion` may still follow, so the whole metadata is read.
        let text = br#"{"metadata":{"name":"x","managedFields":[{}],"labels":{"a":"b"}},"spec":]"#;
        let meta = read_head(text, FilterDepth::Labels).unwrap().metadata;
        assert_eq!((meta.labels.unwrap().len(), meta.namespace), (1, None));
        assert!(read_head(br#"{"metadata":{"name":"x","namespace":"ns",]"#, FilterDepth::Labels).is_err());
    }

    #[test]
    fn a_missing_or_malformed_head_is_an_error() {
        for text in [
            "",
            "7",
            "{}",
            r#"{"kind":"Pod"}"#,
            r#"{"metadata":7}"#,
            r#"{"spec":"#,
            r#"{"kind":[],"metadata":{}}"#,
        ] {
            assert!(read_head(text.as_bytes(), FilterDepth::Metadata).is_err(), "{text}");
        }
        for line in [r#"{"type":"ADDED"}"#, r#"{"object":{"metadata":{}}}"#, r#"{"type":"ADDED","object":7}"#]
        {
            assert!(read_event_head(line.as_bytes(), FilterDepth::Metadata).is_err(), "{line}");
        }
    }
}
