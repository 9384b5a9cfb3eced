//! Serializes a resource whose fields are beside `metadata` instead of in `spec` (`no_spec`).
//!
//! The spec is serialized into the object's own map. Rejects a spec that is not a struct or a map. Also rejects a field
//! with the name of a common field, which would be a duplicate key in the output.

use std::fmt::{self, Display, Write};

use serde::ser::{Error, Impossible, Serialize, SerializeMap, SerializeStruct, Serializer};

use super::{COMMON_FIELDS, Definition};
use crate::core::ObjectMeta;

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
    spec.serialize(Fields(&mut object))?;
    if let Some(status) = status {
        object.serialize_entry("status", status)?;
    }
    object.end()
}

/// A serializer that adds the fields of a struct, or the entries of a map, to an existing map.
struct Fields<'m, M>(&'m mut M);

impl<M: SerializeMap> Fields<'_, M> {
    fn reject<T>(what: impl Display) -> Result<T, M::Error> {
        Err(M::Error::custom(format_args!(
            "`no_spec` needs a spec that serializes as a struct, not as {what}"
        )))
    }

    fn check_not_common(name: &str) -> Result<(), M::Error> {
        if !COMMON_FIELDS.contains(&name) {
            return Ok(());
        }
        Err(M::Error::custom(format_args!(
            "with `no_spec` the spec cannot have a field `{name}`, because every object has one: rename the field"
        )))
    }
}

impl<M: SerializeMap> SerializeStruct for Fields<'_, M> {
    type Ok = ();
    type Error = M::Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), M::Error> {
        Self::check_not_common(key)?;
        self.0.serialize_entry(key, value)
    }

    fn end(self) -> Result<(), M::Error> {
        Ok(())
    }
}

impl<M: SerializeMap> SerializeMap for Fields<'_, M> {
    type Ok = ();
    type Error = M::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), M::Error> {
        if let Some(name) = COMMON_FIELDS.into_iter().find(|name| has_name(key, name)) {
            Self::check_not_common(name)?;
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
fn has_name<T: Serialize + ?Sized>(key: &T, name: &str) -> bool {
    /// The rest of the expected name, after the parts that have been written. Compares the parts without an allocation.
    struct Rest<'n>(&'n str);

    impl Write for Rest<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(part).ok_or(fmt::Error)?;
            Ok(())
        }
    }

    /// Formats a key. `fmt::Formatter` implements `Serializer` for scalars, the only valid map keys.
    struct Key<'k, T: ?Sized>(&'k T);

    impl<T: Serialize + ?Sized> Display for Key<'_, T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.serialize(f)
        }
    }

    let mut rest = Rest(name);
    write!(rest, "{}", Key(key)).is_ok() && rest.0.is_empty()
}

/// Implements `Serializer` methods for values that are not structs or maps. Each method returns an error.
macro_rules! reject {
    ($($method:ident: $type:ty => $what:literal,)*) => {
        $(fn $method(self, _: $type) -> Result<(), M::Error> {
            Self::reject($what)
        })*
    };
}

impl<'m, M: SerializeMap> Serializer for Fields<'m, M> {
    type Ok = ();
    type Error = M::Error;
    type SerializeSeq = Impossible<(), M::Error>;
    type SerializeTuple = Impossible<(), M::Error>;
    type SerializeTupleStruct = Impossible<(), M::Error>;
    type SerializeTupleVariant = Impossible<(), M::Error>;
    type SerializeMap = Fields<'m, M>;
    type SerializeStruct = Fields<'m, M>;
    type SerializeStructVariant = Impossible<(), M::Error>;

    reject! {
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
        Self::reject("nothing")
    }

    fn serialize_unit(self) -> Result<(), M::Error> {
        Self::reject("nothing")
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
        Self::reject(name)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), M::Error> {
        Self::reject(name)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, M::Error> {
        Self::reject("a list")
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, M::Error> {
        Self::reject("a tuple")
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, M::Error> {
        Self::reject(name)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, M::Error> {
        Self::reject(name)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, M::Error> {
        Self::reject(name)
    }
}
