//! `RawObject`: an object as JSON text, for a store that keeps the text. The text is checked, but not decoded.

use super::event::event_origin;
use super::json::{self, ObjectIdentity, ValueCheck};
use super::protobuf::JsonText;
use super::{ObjectDecoder, WireError};
use crate::core::{ObjectOrigin, WatchEvent};
use serde::de::{Error as _, IgnoredAny};
use std::borrow::Cow;
use std::fmt;

/// The JSON text and the identity of an object that a list or a watch returned.
#[derive(Debug)]
pub struct RawObject<'a> {
    /// The namespace; empty for cluster-scoped objects.
    pub namespace: Cow<'a, str>,
    /// The name, which is not empty.
    pub name: Cow<'a, str>,
    /// The uid; `None` if the object has none.
    pub uid: Option<Cow<'a, str>>,
    /// The resource version; `None` if the object has none.
    pub resource_version: Option<Cow<'a, str>>,
    /// The object as JSON, without the skipped fields. A list item of a built-in kind has neither `apiVersion` nor
    /// `kind`. A function that was passed to [`Convert::new`] receives only valid JSON. A function that was passed to
    /// [`Convert::decoding`] may receive malformed values.
    pub json: &'a [u8],
}

impl<'a> RawObject<'a> {
    fn new(identity: ObjectIdentity<'a>, json: &'a [u8]) -> serde_json::Result<Self> {
        let ObjectIdentity { namespace, name, uid, resource_version } = identity;
        match name.filter(|name| !name.is_empty()) {
            Some(name) => {
                Ok(Self { namespace: namespace.unwrap_or_default(), name, uid, resource_version, json })
            }
            None => Err(serde_json::Error::custom("metadata.name is missing or empty")),
        }
    }
}

/// Converts an object to the value that a stream emits. An error affects only the object.
pub struct Convert<T> {
    function: Box<ConvertFunction<T>>,
    check: ValueCheck,
}

type ConvertFunction<T> = dyn Fn(&RawObject<'_>) -> serde_json::Result<T> + Send + Sync;

impl<T> Convert<T> {
    /// Converts each object with `function`, which receives only objects whose text is valid JSON.
    pub fn new(function: impl Fn(&RawObject<'_>) -> serde_json::Result<T> + Send + Sync + 'static) -> Self {
        Self { function: Box::new(function), check: ValueCheck::Syntax }
    }

    /// Converts each object with `function`. The function must decode the text, because the text may be malformed JSON:
    /// before the call, only the brackets of the text are counted.
    pub fn decoding(
        function: impl Fn(&RawObject<'_>) -> serde_json::Result<T> + Send + Sync + 'static,
    ) -> Self {
        Self { check: ValueCheck::Brackets, ..Self::new(function) }
    }
}

impl<T> fmt::Debug for Convert<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Convert").field("check", &self.check).finish_non_exhaustive()
    }
}

impl ObjectDecoder {
    /// Converts an item of a list. An error contains the name of the item, if the name is readable.
    pub(crate) fn convert_item<T>(&self, piece: &[u8], convert: &Convert<T>) -> Result<T, WireError> {
        let text = self.item_text(piece, false).map_err(|error| self.malformed_item_error(piece, error))?;
        self.convert(&text, convert).map_err(|error| match self.item_text(piece, true) {
            Ok(_) => self.undecodable_object_error(&text, ObjectOrigin::List, error),
            Err(error) => self.malformed_item_error(piece, error),
        })
    }

    /// Converts the object of an event. An error contains the name of the object, if the name is readable.
    pub(crate) fn convert_event<T>(
        &self,
        piece: &[u8],
        convert: &Convert<T>,
    ) -> Result<WatchEvent<T>, WireError> {
        let text = self.event_text(piece, false).map_err(|error| self.malformed_event_error(piece, error))?;
        let split = json::split_event(&text);
        let split = split.ok().and_then(|(event_type, object)| Some((event_origin(&event_type)?, object)));
        let Some((origin, object)) = split else {
            // A bookmark, an error, or a malformed event.
            return match self.decode_event::<IgnoredAny>(piece)? {
                WatchEvent::Bookmark(bookmark) => Ok(WatchEvent::Bookmark(bookmark)),
                WatchEvent::Error(status) => Ok(WatchEvent::Error(status)),
                WatchEvent::Added(_) | WatchEvent::Modified(_) | WatchEvent::Deleted(_) => {
                    Err(WireError::Event {
                        text: format!("{} bytes", piece.len()),
                        source: serde_json::Error::custom("the members of the event are ambiguous"),
                    })
                }
            };
        };
        let converted = self.convert(object.as_bytes(), convert);
        let converted = converted.map_err(|error| match self.event_text(piece, true) {
            Ok(_) => self.undecodable_object_error(object.as_bytes(), origin, error),
            Err(error) => self.malformed_event_error(piece, error),
        })?;
        Ok(match origin {
            ObjectOrigin::Deleted => WatchEvent::Deleted(converted),
            ObjectOrigin::Modified => WatchEvent::Modified(converted),
            _ => WatchEvent::Added(converted),
        })
    }

    /// Converts the object whose JSON is `text`.
    fn convert<T>(&self, text: &[u8], convert: &Convert<T>) -> serde_json::Result<T> {
        // `cut_skipped_fields` removes the skipped fields that `text` still contains. If the body was JSON,
        // `text` contains all skipped fields. If the body was Protobuf, `text` contains only these skipped
        // fields: map entries, list elements, and the fields of schemas and of embedded JSON. The conversion
        // from Protobuf has removed the other skipped fields.
        let skipped = self.skipped_in_object.root();
        let (without_skipped, identity) =
            JsonText::write_with(|out| json::cut_skipped_fields(text, skipped, convert.check, out))?;
        let json = if without_skipped.is_empty() { text } else { &without_skipped };
        (convert.function)(&RawObject::new(identity, json)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::FieldSet;

    /// The namespace, name, resource version and JSON text.
    fn describe_object(object: &RawObject<'_>) -> String {
        let version = object.resource_version.as_deref().unwrap_or_default();
        format!("{}/{}@{version} {}", object.namespace, object.name, String::from_utf8_lossy(object.json))
    }

    fn convert_text(text: &str) -> Result<WatchEvent<String>, WireError> {
        ObjectDecoder::new("Item", &FieldSet::managed_fields())
            .convert_event(text.as_bytes(), &Convert::new(|object| Ok(describe_object(object))))
    }

    #[test]
    fn an_event_has_the_text_of_its_object_without_the_skipped_fields() {
        let object = r#"{"metadata":{"name":"a","managedFields":[1],"resourceVersion":"7"},"spec":[1, 2]}"#;
        let expected = r#"/a@7 {"metadata":{"name":"a","resourceVersion":"7"},"spec":[1, 2]}"#;
        for event_type in ["ADDED", "MODIFIED", "DELETED"] {
            for text in [
                format!(r#"{{"type":"{event_type}","object":{object}}}"#),
                format!(r#" {{ "object" : {object} , "type" : "{event_type}" }} "#),
            ] {
                let event = convert_text(&text).unwrap();
                assert_eq!(event.object().map(String::as_str), Some(expected));
                assert_eq!(matches!(event, WatchEvent::Deleted(_)), event_type == "DELETED");
            }
        }
        let bookmark = convert_text(
            r#"{"type":"BOOKMARK","object":{"kind":"Item","apiVersion":"v1","metadata":{"resourceVersion":"5"}}}"#,
        );
        assert!(matches!(bookmark, Ok(WatchEvent::Bookmark(_))), "{bookmark:?}");
        let error =
            convert_text(r#"{"type":"ERROR","object":{"kind":"Status","status":"Failure","code":410}}"#);
        assert!(matches!(error, Ok(WatchEvent::Error(_))), "{error:?}");
    }

    #[test]
    fn the_error_for_an_object_contains_its_name() {
        for (text, expected) in [
            (
                r#"{"type":"ADDED","object":{"metadata":{"name":"a","namespace":"ns"},"spec":tru}}"#,
                "decode Item ns/a of an ADDED event",
            ),
            (
                r#"{"type":"ADDED","object":{"metadata":{"name":"a","namespace":"ns"},"spec":{"a" 1}}}"#,
                "decode Item ns/a of an ADDED event",
            ),
            (
                r#"{"type":"ADDED","object":{"metadata":{"name":"a","namespace":"ns"},"spec":"\ud800"}}"#,
                "decode Item ns/a of an ADDED event",
            ),
            (r#"{"type":"DELETED","object":{"metadata":{"name":""}}}"#, "decode Item "),
            (r#"{"type":"MODIFIED","object":7}"#, "decode Item without a readable name of a MODIFIED event"),
            (r#"{"type":"NEW","object":{}}"#, "read an event of a watch"),
            (r#"{"type":"ADDED"}"#, "read an event of a watch"),
            ("<html>", "read an event of a watch: \"<html>\""),
        ] {
            let error = convert_text(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
        let decoder = ObjectDecoder::new("Item", &FieldSet::none());
        let name = Convert::new(|object| Ok(object.name.clone().into_owned()));
        let error = decoder.convert_item(br#"{"metadata":{"name":"a"},"x":"\ud800"}"#, &name).unwrap_err();
        assert_eq!(error.to_string(), "decode Item a of a list");
        let broken = Convert::<()>::new(|_| Err(serde_json::Error::custom("no")));
        let error =
            decoder.convert_item(br#"{"metadata":{"name":"a","namespace":"b"}}"#, &broken).unwrap_err();
        assert_eq!(error.to_string(), "decode Item b/a of a list");
    }

    #[test]
    fn a_decoding_function_may_receive_malformed_values() {
        let decoder = ObjectDecoder::new("Item", &FieldSet::managed_fields());
        let text = br#"{"metadata":{"name":"a","managedFields":[]},"spec":{"a":tru}}"#;
        let convert = |object: &RawObject<'_>| Ok(describe_object(object));
        let checked = decoder.convert_item(text, &Convert::new(convert)).unwrap_err();
        assert_eq!(checked.to_string(), "decode Item a of a list");
        let unchecked = decoder.convert_item(text, &Convert::decoding(convert)).unwrap();
        assert_eq!(unchecked, r#"/a@ {"metadata":{"name":"a"},"spec":{"a":tru}}"#);
        let open = br#"{"metadata":{"name":"a"},"spec":{"a":[1}}"#;
        assert!(decoder.convert_item(open, &Convert::decoding(convert)).is_err());
    }
}
