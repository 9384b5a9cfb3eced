//! Implements serde's access traits for the members of objects, the elements of lists and the variants of enums. Skips
//! the fields of a `FieldSet`.

use super::super::scan::count_elements;
use super::Result;
use super::key::Key;
use super::reader::{Reader, error};
use super::value::Value;
use crate::core::__client::FieldNode;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use std::ops::ControlFlow;

/// The maximum depth of a list whose elements are counted before they are decoded. Counting the elements of a list also
/// scans the lists within this list, so text at depth `n` is scanned up to `n` times.
const MAX_COUNTED_DEPTH: u8 = 16;

/// The members (RFC 8259: name/value pairs) of an object. The implementation of `MapAccess` omits skipped fields.
pub(super) struct Members<'r, 'de, 'f> {
    reader: &'r mut Reader<'de>,
    /// The skipped fields within the object.
    fields: Option<&'f FieldNode>,
    /// The skipped fields within the current member.
    member: Option<&'f FieldNode>,
    /// The reader's depth between two members. The reader is deeper if the previous member was not read to its end.
    depth: u8,
    first: bool,
}

impl<'r, 'de, 'f> Members<'r, 'de, 'f> {
    #[inline]
    pub(super) fn new(reader: &'r mut Reader<'de>, fields: Option<&'f FieldNode>) -> Self {
        let depth = reader.depth();
        Self { reader, fields, member: None, depth, first: true }
    }

    /// Moves to the opening quote of the next key, and returns true. At the end of the object, consumes the `}` if it is
    /// unread, and returns false.
    #[inline]
    fn advance_to_key(&mut self) -> Result<bool> {
        if self.reader.depth() < self.depth {
            return Ok(false);
        }
        self.reader.leave_containers_down_to(self.depth)?;
        match self.reader.peek_or_fail("an object")? {
            b'}' => {
                self.reader.leave_container();
                return Ok(false);
            }
            b'"' if self.first => {
                self.first = false;
                return Ok(true);
            }
            b',' if !self.first => self.reader.consume_byte(),
            _ if self.first => return error("key must be a string"),
            _ => return error("expected `,` or `}`"),
        }
        match self.reader.peek_or_fail("an object")? {
            b'"' => Ok(true),
            b'}' => error("trailing comma"),
            _ => error("key must be a string"),
        }
    }

    /// Consumes the colon after a key.
    #[inline]
    fn consume_colon(&mut self) -> Result<()> {
        match self.reader.peek_or_fail("an object")? {
            b':' => {
                self.reader.consume_byte();
                Ok(())
            }
            _ => error("expected `:`"),
        }
    }
}

impl<'de> Members<'_, 'de, '_> {
    /// Calls `visit` with each key and with the reader at the value of the key, until `visit` returns `Break`. `visit`
    /// must consume the value before it returns `Continue`. Does not skip fields.
    pub(super) fn for_each(
        mut self,
        mut visit: impl FnMut(&str, &mut Reader<'de>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        while self.advance_to_key()? {
            let key = self.reader.read_string()?;
            self.consume_colon()?;
            if visit(&key, self.reader)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl<'de> MapAccess<'de> for Members<'_, 'de, '_> {
    type Error = serde_json::Error;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        while self.advance_to_key()? {
            let key = self.reader.read_string()?;
            if let Some(fields) = self.fields {
                self.member = fields.field(&key);
                if self.member.is_some_and(FieldNode::skips_whole_value) {
                    self.consume_colon()?;
                    self.reader.skip_value()?;
                    continue;
                }
            }
            return seed.deserialize(Key::new(key)).map(Some);
        }
        Ok(None)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        self.consume_colon()?;
        seed.deserialize(Value::new(self.reader, self.member))
    }
}

/// The elements of a list. The size hint, if present, is exact, so that vectors are allocated once.
pub(super) struct Elements<'r, 'de, 'f> {
    reader: &'r mut Reader<'de>,
    /// The skipped fields within an element.
    element: Option<&'f FieldNode>,
    /// The reader's depth between two elements. The reader is deeper if the previous element was not read to its end.
    depth: u8,
    first: bool,
}

impl<'r, 'de, 'f> Elements<'r, 'de, 'f> {
    pub(super) fn new(reader: &'r mut Reader<'de>, fields: Option<&'f FieldNode>) -> Self {
        let element = fields.and_then(FieldNode::elements);
        let depth = reader.depth();
        Self { reader, element, depth, first: true }
    }

    /// Moves to the next element, and returns true. At the end of the list, leaves the `]` unread, and
    /// returns false. If the skipped fields include the elements of this list, consumes all elements, leaves
    /// the `]` unread, and returns false.
    #[inline]
    fn advance_to_element(&mut self) -> Result<bool> {
        self.reader.leave_containers_down_to(self.depth)?;
        loop {
            match self.reader.peek_or_fail("a list")? {
                b']' => return Ok(false),
                b',' if !self.first => {
                    self.reader.consume_byte();
                    if self.reader.peek_or_fail("a list")? == b']' {
                        return error("trailing comma");
                    }
                }
                _ if self.first => self.first = false,
                _ => return error("expected `,` or `]`"),
            }
            if !self.element.is_some_and(FieldNode::skips_whole_value) {
                return Ok(true);
            }
            self.reader.skip_value()?;
        }
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de, '_> {
    type Error = serde_json::Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if !self.advance_to_element()? {
            return Ok(None);
        }
        seed.deserialize(Value::new(self.reader, self.element)).map(Some)
    }

    /// The number of elements; 0 if all elements are skipped. serde requests the hint before it reads the first element.
    /// `None` if an element has been read, if the list is deeper than [`MAX_COUNTED_DEPTH`], or if its `]` is missing.
    fn size_hint(&self) -> Option<usize> {
        match self.element {
            Some(element) if element.skips_whole_value() => Some(0),
            _ if !self.first || self.reader.depth() > MAX_COUNTED_DEPTH => None,
            _ => count_elements(self.reader.rest()),
        }
    }
}

/// An enum variant with content: in JSON, an object with one member.
pub(super) struct Variant<'r, 'de, 'f> {
    members: Members<'r, 'de, 'f>,
}

impl<'r, 'de, 'f> Variant<'r, 'de, 'f> {
    pub(super) fn new(reader: &'r mut Reader<'de>, fields: Option<&'f FieldNode>) -> Self {
        Self { members: Members::new(reader, fields) }
    }
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de, '_> {
    type Error = serde_json::Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(mut self, seed: V) -> Result<(V::Value, Self)> {
        match self.members.next_key_seed(seed)? {
            Some(variant) => Ok((variant, self)),
            None => error("expected value"),
        }
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de, '_> {
    type Error = serde_json::Error;

    fn unit_variant(mut self) -> Result<()> {
        self.members.next_value()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(mut self, seed: T) -> Result<T::Value> {
        self.members.next_value_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(mut self, _: usize, visitor: V) -> Result<V::Value> {
        self.members.consume_colon()?;
        Value::new(self.members.reader, self.members.member).deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        mut self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.members.consume_colon()?;
        Value::new(self.members.reader, self.members.member).deserialize_struct("", fields, visitor)
    }
}
