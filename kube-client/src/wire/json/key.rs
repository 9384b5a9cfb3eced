//! `Key`: the deserializer of an object's keys. JSON keys are strings: numbers and booleans are parsed from the
//! string.

use super::Result;
use super::reader::{Reader, error};
use super::value::Value;
use serde::de::{Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use std::borrow::Cow;

/// The text of a key, without quotes and escapes.
pub(super) struct Key<'de> {
    text: Cow<'de, str>,
}

impl<'de> Key<'de> {
    #[inline]
    pub(super) fn new(text: Cow<'de, str>) -> Self {
        Self { text }
    }

    /// Reads a key whose whole text is a JSON number. Every other key, and a number with escapes, is an error.
    fn read_number<T>(self, read: impl FnOnce(Value<'_, 'de, '_>) -> Result<T>) -> Result<T> {
        if let Cow::Borrowed(text) = self.text
            && text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        {
            let mut reader = Reader::new(text);
            let key = read(Value::new(&mut reader, None))?;
            if reader.rest().is_empty() {
                return Ok(key);
            }
        }
        error("expected a number as the key")
    }
}

/// Implements methods that deserialize the key as a number.
macro_rules! deserialize_numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            self.read_number(|value| value.$method(visitor))
        }
    )*};
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = serde_json::Error;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.text {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    deserialize_numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.text {
            Cow::Borrowed("true") => visitor.visit_bool(true),
            Cow::Borrowed("false") => visitor.visit_bool(false),
            text => Err(serde_json::Error::invalid_type(Unexpected::Str(&text), &visitor)),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.text {
            Cow::Borrowed(text) => visitor.visit_borrowed_bytes(text.as_bytes()),
            Cow::Owned(text) => visitor.visit_byte_buf(text.into_bytes()),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_enum(self.text.into_deserializer())
    }

    serde::forward_to_deserialize_any! {
        char str string unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
