//! Reading the beginning of a text: who an object is, without a look at what comes behind its metadata.

use super::access::Members;
use super::reader::{Reader, error};
use super::value::Value;
use super::{Result, utf8};
use crate::core::{FieldSet, ObjectMeta};
use serde::de::{Deserialize, Error as _};
use std::borrow::Cow;
use std::ops::ControlFlow::{self, Break, Continue};

/// The beginning of an object.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) api_version: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) metadata: ObjectMeta,
}

/// Reads an object up to its metadata, without the fields in `skipped`. An object may hold its type behind its
/// metadata, though servers do not write it there: then it is not seen.
pub(crate) fn head(text: &[u8], skipped: &FieldSet) -> Result<Head> {
    head_of(&mut Reader::new(utf8(text)?), skipped)
}

/// Reads an event up to the metadata of its object, where its type comes first, as servers write it; else all of it.
pub(crate) fn event_head<'de>(line: &'de [u8], skipped: &FieldSet) -> Result<(Cow<'de, str>, Head)> {
    let (mut kind, mut object) = (None, None);
    members(&mut Reader::new(utf8(line)?), |key, reader| {
        match key {
            "type" => kind = Some(Cow::deserialize(Value::new(reader, None))?),
            "object" => {
                let begin = reader.clone();
                object = Some(head_of(reader, skipped)?);
                if kind.is_none() {
                    *reader = begin;
                    reader.skip()?;
                }
            }
            _ => reader.skip()?,
        }
        Ok(if kind.is_some() && object.is_some() { Break(()) } else { Continue(()) })
    })?;
    kind.zip(object).ok_or_else(|| serde_json::Error::custom("no event begins with this"))
}

fn head_of(reader: &mut Reader<'_>, skipped: &FieldSet) -> Result<Head> {
    let (mut api_version, mut kind, mut metadata) = (None, None, None);
    members(reader, |key, reader| {
        match key {
            "apiVersion" => api_version = Deserialize::deserialize(Value::new(reader, None))?,
            "kind" => kind = Deserialize::deserialize(Value::new(reader, None))?,
            "metadata" => {
                metadata = Some(ObjectMeta::deserialize(Value::new(reader, skipped.root().field(key)))?);
            }
            _ => reader.skip()?,
        }
        Ok(if metadata.is_some() { Break(()) } else { Continue(()) })
    })?;
    match metadata {
        Some(metadata) => Ok(Head { api_version, kind, metadata }),
        None => Err(serde_json::Error::missing_field("metadata")),
    }
}

/// Shows each member of the object that comes next, until it is enough.
fn members<'de>(
    reader: &mut Reader<'de>,
    see: impl FnMut(&str, &mut Reader<'de>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    if reader.need("an object")? != b'{' {
        return error("expected an object");
    }
    reader.enter()?;
    Members::new(reader, None).each(see)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(head: Head) -> Option<String> {
        assert_eq!(head.metadata.managed_fields, None);
        head.metadata.name
    }

    #[test]
    fn what_comes_behind_the_metadata_is_not_looked_at() {
        let text =
            br#"{"kind":"Pod","spec":{"a":[1]},"metadata":{"managedFields":[{}],"name":"x"},"status":{]"#;
        let head = head(text, &FieldSet::managed_fields()).unwrap();
        assert_eq!((head.kind.as_deref(), head.api_version.as_deref()), (Some("Pod"), None));
        assert_eq!(name(head).as_deref(), Some("x"));
        let line = br#"{"type":"ADDED","object":{"apiVersion":"v1","metadata":{"name":"y","managedFields":1},"spec":["#;
        let (kind, head) = event_head(line, &FieldSet::managed_fields()).unwrap();
        assert_eq!((&*kind, name(head).as_deref()), ("ADDED", Some("y")));
        let line = br#"{"object":{"metadata":{"name":"z"},"spec":{"type":"x"}},"type":"DELETED"}"#;
        let (kind, head) = event_head(line, &FieldSet::none()).unwrap();
        assert_eq!((&*kind, name(head).as_deref()), ("DELETED", Some("z")));
    }

    #[test]
    fn what_has_no_such_beginning_is_an_error() {
        for text in [
            "",
            "7",
            "{}",
            r#"{"kind":"Pod"}"#,
            r#"{"metadata":7}"#,
            r#"{"spec":"#,
            r#"{"kind":[],"metadata":{}}"#,
        ] {
            assert!(head(text.as_bytes(), &FieldSet::none()).is_err(), "{text}");
        }
        for line in [r#"{"type":"ADDED"}"#, r#"{"object":{"metadata":{}}}"#, r#"{"type":"ADDED","object":7}"#]
        {
            assert!(event_head(line.as_bytes(), &FieldSet::none()).is_err(), "{line}");
        }
    }
}
