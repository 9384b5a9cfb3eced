//! A deserializer for a missing field. For an optional type, such as `Option` or `NotUsed`, a missing field
//! decodes like null. Other types return serde's "missing field" error.

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::marker::PhantomData;

/// Returns the value of a missing field of type `T`, or serde's error if `T` requires the field.
pub(super) fn deserialize_missing_field<'de, T: Deserialize<'de>, E: Error>(
    field: &'static str,
) -> Result<T, E> {
    T::deserialize(MissingFieldDeserializer { field, error: PhantomData })
}

/// The deserializer of a missing field.
struct MissingFieldDeserializer<E> {
    field: &'static str,
    error: PhantomData<E>,
}

impl<'de, E: Error> Deserializer<'de> for MissingFieldDeserializer<E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, E> {
        Err(E::missing_field(self.field))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_none()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
