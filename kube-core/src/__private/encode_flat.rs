//! Serializes an object of a kind with `#[kube(no_spec)]`. The output has the fields of the spec at the top level, next to
//! `metadata`, instead of in a field `spec`.
//!
//! The spec is serialized into the object's own map. This module rejects a spec that is neither a struct nor a map. It
//! also rejects a spec field with the name of a common field, because the output would contain this name
//! twice.

use std::fmt::{self, Display, Write};

use serde::ser::{Error, Impossible, Serialize, SerializeMap, SerializeStruct, Serializer};

use super::{COMMON_FIELDS, Definition};
use crate::ObjectMeta;

/// Serializes an object without a `spec` field. Omits `status` if it is `None`.
///
/// # Errors
///
/// If metadata, spec or status does not serialize, if the spec does not serialize as a struct or a map, or if the spec
/// has a field named `apiVersion`, `kind`, `metadata` or `status`.
pub fn encode_flat<Z, S, T>(
    serializer: Z,
    definition: &'static Definition,
    metadata: &ObjectMeta,
    spec: &S,
    status: Option<&T>,
) -> Result<Z::Ok, Z::Error>
where
    Z: Serializer,
    S: Serialize,
    T: Serialize,
{
    let mut object = serializer.serialize_map(None)?;
    object.serialize_entry("apiVersion", definition.api_version)?;
    object.serialize_entry("kind", definition.kind)?;
    object.serialize_entry("metadata", metadata)?;
    spec.serialize(FieldsSerializer(&mut object))?;
    if let Some(status) = status {
        object.serialize_entry("status", status)?;
    }
    object.end()
}

/// A serializer that adds the fields of a struct, or the entries of a map, to an existing map.
struct FieldsSerializer<'m, M>(&'m mut M);

impl<M: SerializeMap> FieldsSerializer<'_, M> {
    /// Returns the error for a spec that serializes as `what`.
    fn reject_spec<T>(what: impl Display) -> Result<T, M::Error> {
        Err(M::Error::custom(format_args!(
            "`no_spec` needs a spec that serializes as a struct, not as {what}"
        )))
    }

    /// Returns an error if `name` is the name of a common field.
    fn reject_common_field(name: &str) -> Result<(), M::Error> {
        if !COMMON_FIELDS.contains(&name) {
            return Ok(());
        }
        Err(M::Error::custom(format_args!(
            "with `no_spec` the spec cannot have a field `{name}`, because every object has one: rename the field"
        )))
    }
}

impl<M: SerializeMap> SerializeStruct for FieldsSerializer<'_, M> {
    type Ok = ();
    type Error = M::Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), M::Error> {
        Self::reject_common_field(key)?;
        self.0.serialize_entry(key, value)
    }

    fn end(self) -> Result<(), M::Error> {
        Ok(())
    }
}

impl<M: SerializeMap> SerializeMap for FieldsSerializer<'_, M> {
    type Ok = ();
    type Error = M::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), M::Error> {
        if let Some(name) = COMMON_FIELDS.into_iter().find(|name| serializes_as(key, name)) {
            Self::reject_common_field(name)?;
        }
        self.0.serialize_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), M::Error> {
        self.0.serialize_value(value)
    }

    fn end(self) -> Result<(), M::Error> {
        Ok(())
    }
}

/// Whether a key of a map serializes as `name`.
fn serializes_as<T: Serialize + ?Sized>(key: &T, name: &str) -> bool {
    /// A writer that compares its input with the expected name, without an allocation. The content is the part of the
    /// name that has not been written yet.
    struct RemainingName<'n>(&'n str);

    impl Write for RemainingName<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(part).ok_or(fmt::Error)?;
            Ok(())
        }
    }

    /// Implements `Display` for a map key. `fmt::Formatter` is a `Serializer` for scalars, and only scalars are valid map
    /// keys.
    struct DisplayKey<'k, T: ?Sized>(&'k T);

    impl<T: Serialize + ?Sized> Display for DisplayKey<'_, T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.serialize(f)
        }
    }

    let mut rest = RemainingName(name);
    write!(rest, "{}", DisplayKey(key)).is_ok() && rest.0.is_empty()
}

/// Implements the `Serializer` methods for types that a spec cannot have. Each method returns an error.
macro_rules! reject_types {
    ($($method:ident: $type:ty => $what:literal,)*) => {
        $(fn $method(self, _: $type) -> Result<(), M::Error> {
            Self::reject_spec($what)
        })*
    };
}

impl<'m, M: SerializeMap> Serializer for FieldsSerializer<'m, M> {
    type Ok = ();
    type Error = M::Error;
    type SerializeSeq = Impossible<(), M::Error>;
    type SerializeTuple = Impossible<(), M::Error>;
    type SerializeTupleStruct = Impossible<(), M::Error>;
    type SerializeTupleVariant = Impossible<(), M::Error>;
    type SerializeMap = FieldsSerializer<'m, M>;
    type SerializeStruct = FieldsSerializer<'m, M>;
    type SerializeStructVariant = Impossible<(), M::Error>;

    reject_types! {
        serialize_bool: bool => "a boolean",
        serialize_i8: i8 => "a number",
        serialize_i16: i16 => "a number",
        serialize_i32: i32 => "a number",
        serialize_i64: i64 => "a number",
        serialize_u8: u8 => "a number",
        serialize_u16: u16 => "a number",
        serialize_u32: u32 => "a number",
        serialize_u64: u64 => "a number",
        serialize_f32: f32 => "a number",
        serialize_f64: f64 => "a number",
        serialize_char: char => "a string",
        serialize_str: &str => "a string",
        serialize_bytes: &[u8] => "bytes",
        serialize_unit_struct: &'static str => "nothing",
    }

    fn serialize_none(self) -> Result<(), M::Error> {
        Self::reject_spec("nothing")
    }

    fn serialize_unit(self) -> Result<(), M::Error> {
        Self::reject_spec("nothing")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), M::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), M::Error> {
        value.serialize(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, M::Error> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, M::Error> {
        Ok(self)
    }

    fn serialize_unit_variant(self, name: &'static str, _: u32, _: &'static str) -> Result<(), M::Error> {
        Self::reject_spec(name)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), M::Error> {
        Self::reject_spec(name)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, M::Error> {
        Self::reject_spec("a list")
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, M::Error> {
        Self::reject_spec("a tuple")
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, M::Error> {
        Self::reject_spec(name)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, M::Error> {
        Self::reject_spec(name)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, M::Error> {
        Self::reject_spec(name)
    }
}
