//! Deserializes an object of a kind with `#[derive(CustomResource)]`, and checks `apiVersion` and `kind` in the same
//! pass.
//!
//! The decoder buffers nothing and skips unknown fields. This module must not depend on the fields of a spec.

use std::{fmt, marker::PhantomData};

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::Definition;
use crate::ObjectMeta;

/// The status type of a resource without a status. If an object has a field `status`, the decoder ignores its content.
pub type NoStatus = Option<IgnoredAny>;

const FIELD_NAMES: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];

/// Deserializes metadata, spec and status.
///
/// # Errors
///
/// If `apiVersion` or `kind` is present and differs from the definition, if `spec` is missing, or if metadata, spec or
/// status occurs twice or does not decode. If `apiVersion` or `kind` differs, the error contains the expected
/// value and the value of the object.
pub fn decode<'de, D, S, T>(
    deserializer: D,
    definition: &'static Definition,
) -> Result<(ObjectMeta, S, Option<T>), D::Error>
where
    D: Deserializer<'de>,
    S: Deserialize<'de>,
    T: Deserialize<'de>,
{
    let (metadata, spec, status) = decode_parts(deserializer, definition)?;
    Ok((metadata, spec.ok_or_else(|| de::Error::missing_field("spec"))?, status))
}

/// Like [`decode`], for an object that may lack its spec.
///
/// # Errors
///
/// The same as [`decode`], except that `spec` is not required.
pub fn decode_partial<'de, D, S, T>(
    deserializer: D,
    definition: &'static Definition,
) -> Result<(ObjectMeta, Option<S>, Option<T>), D::Error>
where
    D: Deserializer<'de>,
    S: Deserialize<'de>,
    T: Deserialize<'de>,
{
    let (metadata, spec, status) = decode_parts::<D, Option<S>, T>(deserializer, definition)?;
    Ok((metadata, spec.flatten(), status))
}

fn decode_parts<'de, D, S, T>(
    deserializer: D,
    definition: &'static Definition,
) -> Result<(ObjectMeta, Option<S>, Option<T>), D::Error>
where
    D: Deserializer<'de>,
    S: Deserialize<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_struct(
        definition.kind,
        FIELD_NAMES,
        RootVisitor { definition, parts: PhantomData },
    )
}

/// The visitor of the whole object.
struct RootVisitor<S, T> {
    definition: &'static Definition,
    parts: PhantomData<(S, T)>,
}

impl<'de, S: Deserialize<'de>, T: Deserialize<'de>> Visitor<'de> for RootVisitor<S, T> {
    type Value = (ObjectMeta, Option<S>, Option<T>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object of kind {}", self.definition.kind)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut metadata: Option<Option<ObjectMeta>> = None;
        let mut spec: Option<S> = None;
        let mut status: Option<Option<T>> = None;
        while let Some(field) = map.next_key()? {
            match field {
                Field::ApiVersion => map.next_value_seed(ExpectedString::api_version(self.definition))?,
                Field::Kind => map.next_value_seed(ExpectedString::kind(self.definition))?,
                Field::Metadata => read_once(&mut metadata, "metadata", &mut map)?,
                Field::Spec => read_once(&mut spec, "spec", &mut map)?,
                Field::Status => read_once(&mut status, "status", &mut map)?,
                Field::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok((metadata.flatten().unwrap_or_default(), spec, status.flatten()))
    }
}

/// Reads the value of a field. A second field with the same name is an error.
pub(super) fn read_once<'de, A: MapAccess<'de>, V: Deserialize<'de>>(
    slot: &mut Option<V>,
    name: &'static str,
    map: &mut A,
) -> Result<(), A::Error> {
    if slot.is_some() {
        return Err(de::Error::duplicate_field(name));
    }
    *slot = Some(map.next_value()?);
    Ok(())
}

/// A field of the object. The decoder identifies the field by its name.
enum Field {
    ApiVersion,
    Kind,
    Metadata,
    Spec,
    Status,
    Other,
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldNameVisitor;
        impl Visitor<'_> for FieldNameVisitor {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Field, E> {
                Ok(match name {
                    "apiVersion" => Field::ApiVersion,
                    "kind" => Field::Kind,
                    "metadata" => Field::Metadata,
                    "spec" => Field::Spec,
                    "status" => Field::Status,
                    _ => Field::Other,
                })
            }
        }
        deserializer.deserialize_identifier(FieldNameVisitor)
    }
}

/// Deserializes a string and compares it with the expected value, without an allocation.
#[derive(Clone, Copy)]
pub(super) struct ExpectedString {
    field: &'static str,
    value: &'static str,
    definition: &'static Definition,
}

impl ExpectedString {
    pub(super) fn api_version(definition: &'static Definition) -> Self {
        Self { field: "apiVersion", value: definition.api_version, definition }
    }

    pub(super) fn kind(definition: &'static Definition) -> Self {
        Self { field: "kind", value: definition.kind, definition }
    }
}

impl<'de> DeserializeSeed<'de> for ExpectedString {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for ExpectedString {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.field, self.value)
    }

    fn visit_str<E: de::Error>(self, found: &str) -> Result<(), E> {
        if found == self.value {
            return Ok(());
        }
        let Definition { kind, api_version, .. } = self.definition;
        Err(E::custom(format_args!(
            "expected {} {:?}, found {found:?}, while decoding a {kind} of {api_version}",
            self.field, self.value
        )))
    }
}
