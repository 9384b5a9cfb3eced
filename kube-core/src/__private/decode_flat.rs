//! Deserializes an object of a kind with `#[kube(no_spec)]`, in one pass. The object has the fields of the spec at the top
//! level, next to `metadata`, instead of in a field `spec`.
//!
//! The spec is deserialized from the object's own map. A `MapAccess` adapter removes the common fields (`apiVersion`,
//! `kind`, `metadata` and `status`), without a buffer.

use std::fmt;

use serde::{
    de::{
        Deserialize, DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, MapAccess, Visitor,
        value::BorrowedStrDeserializer,
    },
    forward_to_deserialize_any,
};

use super::{
    Definition,
    decode::{ExpectedString, read_once},
};
use crate::ObjectMeta;

/// Deserializes the metadata, the spec and the status of an object. The object has the fields of the spec at
/// its top level, and no field `spec`.
///
/// # Errors
///
/// The same as `decode`, except that the object needs no field `spec`.
pub fn decode_flat<'de, D, S, T>(
    deserializer: D,
    definition: &'static Definition,
) -> Result<(ObjectMeta, S, Option<T>), D::Error>
where
    D: Deserializer<'de>,
    S: Deserialize<'de>,
    T: Deserialize<'de>,
{
    let mut common = CommonFields { definition, metadata: None, status: None };
    let spec = S::deserialize(FlatDeserializer { object: deserializer, common: &mut common })?;
    Ok((common.metadata.flatten().unwrap_or_default(), spec, common.status.flatten()))
}

/// The common fields of an object, except `apiVersion` and `kind`, which are only compared with `definition`.
#[expect(clippy::option_option, reason = "a field can be absent, null, or set")]
struct CommonFields<T> {
    definition: &'static Definition,
    metadata: Option<Option<ObjectMeta>>,
    status: Option<Option<T>>,
}

/// The deserializer of the spec: the whole object without the common fields.
struct FlatDeserializer<'c, D, T> {
    object: D,
    common: &'c mut CommonFields<T>,
}

impl<'de, D: Deserializer<'de>, T: Deserialize<'de>> Deserializer<'de> for FlatDeserializer<'_, D, T> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, spec: V) -> Result<V::Value, D::Error> {
        self.object.deserialize_map(SplitVisitor { spec, common: self.common })
    }

    fn is_human_readable(&self) -> bool {
        self.object.is_human_readable()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// A visitor that stores the common fields in `common` and passes all other fields to the visitor `spec`.
struct SplitVisitor<'c, V, T> {
    spec: V,
    common: &'c mut CommonFields<T>,
}

impl<'de, V: Visitor<'de>, T: Deserialize<'de>> Visitor<'de> for SplitVisitor<'_, V, T> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object of kind {}", self.common.definition.kind)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        let mut rest = SpecEntries { map, common: self.common };
        let spec = self.spec.visit_map(&mut rest)?;
        // The visitor of the spec may return before the last entry. Read the remaining entries, because metadata and
        // status may be among them.
        while rest.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(spec)
    }
}

/// The `MapAccess` that the spec is deserialized from. It returns the entries of `map` without the common
/// fields. It stores `metadata` and `status` in `common`, and compares `apiVersion` and `kind` with the
/// definition.
struct SpecEntries<'c, A, T> {
    map: A,
    common: &'c mut CommonFields<T>,
}

impl<'de, A: MapAccess<'de>, T: Deserialize<'de>> MapAccess<'de> for SpecEntries<'_, A, T> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        loop {
            let definition = self.common.definition;
            match self.map.next_key::<FieldName<'de>>()? {
                None => return Ok(None),
                Some(FieldName::ApiVersion) => {
                    self.map.next_value_seed(ExpectedString::api_version(definition))?;
                }
                Some(FieldName::Kind) => self.map.next_value_seed(ExpectedString::kind(definition))?,
                Some(FieldName::Metadata) => read_once(&mut self.common.metadata, "metadata", &mut self.map)?,
                Some(FieldName::Status) => read_once(&mut self.common.status, "status", &mut self.map)?,
                Some(FieldName::Borrowed(name)) => {
                    return seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some);
                }
                Some(FieldName::Owned(name)) => return seed.deserialize(name.into_deserializer()).map(Some),
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// The name of a field. `Borrowed` and `Owned` contain the name of a field of the spec.
enum FieldName<'de> {
    ApiVersion,
    Kind,
    Metadata,
    Status,
    Borrowed(&'de str),
    Owned(String),
}

impl FieldName<'_> {
    /// The variant for the name of a common field; `None` for the name of a field of the spec.
    fn common_field(name: &str) -> Option<Self> {
        Some(match name {
            "apiVersion" => Self::ApiVersion,
            "kind" => Self::Kind,
            "metadata" => Self::Metadata,
            "status" => Self::Status,
            _ => return None,
        })
    }
}

impl<'de> Deserialize<'de> for FieldName<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldNameVisitor;
        impl<'de> Visitor<'de> for FieldNameVisitor {
            type Value = FieldName<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<FieldName<'de>, E> {
                Ok(FieldName::common_field(name).unwrap_or(FieldName::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<FieldName<'de>, E> {
                Ok(FieldName::common_field(name).unwrap_or_else(|| FieldName::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(FieldNameVisitor)
    }
}
