//! `Value`: the deserializer of one JSON value.

use super::Result;
use super::access::{Elements, Members, Variant};
use super::reader::{Reader, error};
use crate::core::__client::{FieldNode, nearest_timestamp_if_out_of_range};
use serde::de::{Deserializer, Error as _, Expected, IntoDeserializer, Unexpected, Visitor};
use std::any::type_name;
use std::borrow::Cow;

/// To get the unparsed text, serde_json's `RawValue` calls `deserialize_newtype_struct` with this name.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// The value at the reader's position.
pub(super) struct Value<'r, 'de, 'f> {
    reader: &'r mut Reader<'de>,
    /// The skipped fields within the value.
    fields: Option<&'f FieldNode>,
}

impl<'r, 'de, 'f> Value<'r, 'de, 'f> {
    #[inline]
    pub(super) fn new(reader: &'r mut Reader<'de>, fields: Option<&'f FieldNode>) -> Self {
        Self { reader, fields }
    }

    /// Returns the first byte of the value without consuming it.
    #[inline]
    fn peek_first(&mut self) -> Result<u8> {
        self.reader.peek_or_fail("a value")
    }

    /// The error for a value of an unexpected type. For a malformed scalar, returns the error of reading the scalar.
    #[cold]
    fn unexpected_type_error(self, expected: &dyn Expected) -> serde_json::Error {
        let mistaken = |found| serde_json::Error::invalid_type(found, expected);
        match self.reader.peek() {
            Some(b'n') => {
                self.reader.read_literal("null").err().unwrap_or_else(|| mistaken(Unexpected::Unit))
            }
            Some(b't') => {
                self.reader.read_literal("true").err().unwrap_or_else(|| mistaken(Unexpected::Bool(true)))
            }
            Some(b'f') => {
                self.reader.read_literal("false").err().unwrap_or_else(|| mistaken(Unexpected::Bool(false)))
            }
            Some(b'"') => match self.reader.read_string() {
                Ok(string) => mistaken(Unexpected::Str(&string)),
                Err(error) => error,
            },
            Some(b'[') => mistaken(Unexpected::Seq),
            Some(b'{') => mistaken(Unexpected::Map),
            Some(b'-' | b'0'..=b'9') => match self.reader.read_number() {
                Ok(number) => mistaken(number.to_unexpected()),
                Err(error) => error,
            },
            Some(_) => serde_json::Error::custom("expected value"),
            None => serde_json::Error::custom("EOF while parsing a value"),
        }
    }

    /// Deserializes an object. Returns the visitor's result without matching on it, so that the compiler builds large
    /// structs in place: a match would move them at every level. [`Reader::leave_containers_down_to`] later checks that
    /// all members were read.
    fn visit_object<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.reader.enter_container()?;
        visitor.visit_map(Members::new(self.reader, self.fields))
    }

    /// Deserializes a list, and reads the `]`. The visitor of a tuple does not look for the `]`: it returns
    /// after the last element of the tuple. If an element fails, the reader stays at this element, so that
    /// the error has the position of the element. If the caller tolerates the error,
    /// [`Reader::leave_containers_down_to`] later checks that the `]` comes next.
    fn visit_list<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.reader.enter_container()?;
        let depth = self.reader.depth();
        let value = visitor.visit_seq(Elements::new(self.reader, self.fields));
        if value.is_ok() {
            self.reader.expect_closing_bracket(depth, b']')?;
        } else {
            self.reader.mark_list_unclosed(depth);
        }
        value
    }

    /// Deserializes a string, whose opening quote has been peeked. If the visitor deserializes a `jiff::Timestamp`, a
    /// time that is out of range is replaced with the nearest timestamp.
    #[inline]
    fn visit_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let text = self.reader.read_string()?;
        if is_timestamp::<V::Value>()
            && let Some(nearest) = nearest_timestamp_if_out_of_range(&text)
        {
            return visitor.visit_string(nearest.to_string());
        }
        match text {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    /// Deserializes a number.
    #[inline]
    fn visit_number<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        match self.peek_first()? {
            b'-' | b'0'..=b'9' => self.reader.read_number()?.visit(visitor),
            _ => Err(self.unexpected_type_error(&visitor)),
        }
    }

    /// Reads an integer for a 128-bit type.
    fn read_large_integer<T: std::str::FromStr>(mut self, expected: &dyn Expected) -> Result<T> {
        match self.peek_first()? {
            b'-' | b'0'..=b'9' => {
                let text = self.reader.take_while(|byte| byte.is_ascii_digit() || byte == b'-');
                let digits = text.strip_prefix('-').unwrap_or(text);
                if digits.len() > 1 && digits.starts_with('0') {
                    return error("invalid number");
                }
                text.parse().or_else(|_| error("number out of range"))
            }
            _ => Err(self.unexpected_type_error(expected)),
        }
    }
}

/// Whether `T` is `jiff::Timestamp`, the type inside k8s-openapi's `Time` and `MicroTime`.
///
/// The comparison is evaluated at compile time. A `TypeId` would require `T: 'static`.
#[inline]
fn is_timestamp<T>() -> bool {
    type_name::<T>() == type_name::<jiff::Timestamp>()
}

/// Implements methods that deserialize numeric types.
macro_rules! deserialize_numbers {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            self.visit_number(visitor)
        }
    )*};
}

/// Forwards methods to a method with the same behaviour.
macro_rules! forward_methods {
    ($($method:ident($($name:ident: $type:ty),*) $other:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value> {
            $(let _ = $name;)*
            self.$other(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Value<'_, 'de, '_> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        match self.peek_first()? {
            b'{' => self.visit_object(visitor),
            b'[' => self.visit_list(visitor),
            b'"' => self.visit_string(visitor),
            b'n' => self.reader.read_literal("null").and_then(|()| visitor.visit_unit()),
            b't' => self.reader.read_literal("true").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.reader.read_literal("false").and_then(|()| visitor.visit_bool(false)),
            b'-' | b'0'..=b'9' => self.reader.read_number()?.visit(visitor),
            _ => error("expected value"),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        match self.peek_first()? {
            b't' => self.reader.read_literal("true").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.reader.read_literal("false").and_then(|()| visitor.visit_bool(false)),
            _ => Err(self.unexpected_type_error(&visitor)),
        }
    }

    deserialize_numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_f64
    }

    fn deserialize_f32<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        match self.peek_first()? {
            b'-' | b'0'..=b'9' => self.reader.read_number_f32()?.visit(visitor),
            _ => Err(self.unexpected_type_error(&visitor)),
        }
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let number = self.read_large_integer(&visitor)?;
        visitor.visit_i128(number)
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let number = self.read_large_integer(&visitor)?;
        visitor.visit_u128(number)
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        match self.peek_first()? {
            b'"' => self.visit_string(visitor),
            _ => Err(self.unexpected_type_error(&visitor)),
        }
    }

    forward_methods! {
        deserialize_char() deserialize_str
        deserialize_string() deserialize_str
        deserialize_identifier() deserialize_str
        deserialize_byte_buf() deserialize_bytes
        deserialize_tuple(len: usize) deserialize_seq
        deserialize_tuple_struct(name: &'static str, len: usize) deserialize_seq
        deserialize_unit_struct(name: &'static str) deserialize_unit
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) deserialize_struct_or_list
    }

    fn deserialize_bytes<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        match self.peek_first()? {
            b'"' => {
                let raw = self.reader.read_raw_string()?;
                match raw.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
                    Some(text) if !text.contains('\\') => visitor.visit_borrowed_bytes(text.as_bytes()),
                    // Escapes may represent bytes that are not UTF-8.
                    _ => serde_json::Deserializer::from_str(raw).deserialize_bytes(visitor),
                }
            }
            b'[' => self.visit_list(visitor),
            _ => Err(self.unexpected_type_error(&visitor)),
        }
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        match self.peek_first()? {
            b'n' => self.reader.read_literal("null").and_then(|()| visitor.visit_none()),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        match self.peek_first()? {
            b'n' => self.reader.read_literal("null").and_then(|()| visitor.visit_unit()),
            _ => Err(self.unexpected_type_error(&visitor)),
        }
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value> {
        if name == RAW_VALUE {
            // The protocol between serde_json and `RawValue` is private, so only serde_json can create a `RawValue`.
            let raw = self.reader.read_raw_value()?;
            return serde_json::Deserializer::from_str(raw).deserialize_newtype_struct(name, visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        match self.peek_first()? {
            b'[' => self.visit_list(visitor),
            _ => Err(self.unexpected_type_error(&visitor)),
        }
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        match self.peek_first()? {
            b'{' => self.visit_object(visitor),
            _ => Err(self.unexpected_type_error(&visitor)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.peek_first()? {
            b'"' => {
                let name = self.reader.read_string()?;
                visitor.visit_enum(name.into_deserializer())
            }
            b'{' => {
                self.reader.enter_container()?;
                let depth = self.reader.depth();
                let value = visitor.visit_enum(Variant::new(self.reader, self.fields))?;
                self.reader.expect_closing_bracket(depth, b'}')?;
                Ok(value)
            }
            _ => error("expected value"),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.reader.skip_value()?;
        visitor.visit_unit()
    }
}

impl<'de> Value<'_, 'de, '_> {
    /// Deserializes a struct from an object, or from a list of its fields, which serde also accepts.
    #[inline]
    fn deserialize_struct_or_list<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        match self.peek_first()? {
            b'{' => self.visit_object(visitor),
            b'[' => self.visit_list(visitor),
            _ => Err(self.unexpected_type_error(&visitor)),
        }
    }
}
