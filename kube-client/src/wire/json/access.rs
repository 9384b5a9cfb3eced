//! What is inside of containers: members of objects, elements of lists, and the variant of an enum.

use super::super::scan::count_elements;
use super::Result;
use super::key::Key;
use super::reader::{Reader, error};
use super::value::Value;
use crate::core::FieldNode;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use std::ops::ControlFlow;

/// How deep lists are counted ahead: each level looks at its text once more.
const COUNTED_DEPTH: u8 = 16;

/// The members of an object, but for those that are not wanted.
pub(super) struct Members<'r, 'de, 'f> {
    reader: &'r mut Reader<'de>,
    fields: Option<&'f FieldNode>,
    /// What is said of the present member.
    member: Option<&'f FieldNode>,
    /// Where the reader is between two members, unless the last one was not read to its end.
    depth: u8,
    first: bool,
}

impl<'r, 'de, 'f> Members<'r, 'de, 'f> {
    #[inline]
    pub(super) fn new(reader: &'r mut Reader<'de>, fields: Option<&'f FieldNode>) -> Self {
        let depth = reader.depth();
        Self { reader, fields, member: None, depth, first: true }
    }

    /// Goes to the next member's key, whose quote it has looked at, or behind the object's end; whether there is a member.
    #[inline]
    fn next(&mut self) -> Result<bool> {
        if self.reader.depth() < self.depth {
            return Ok(false);
        }
        self.reader.come_up_to(self.depth)?;
        match self.reader.need("an object")? {
            b'}' => {
                self.reader.close();
                return Ok(false);
            }
            b'"' if self.first => {
                self.first = false;
                return Ok(true);
            }
            b',' if !self.first => self.reader.bump(),
            _ if self.first => return error("key must be a string"),
            _ => return error("expected `,` or `}`"),
        }
        match self.reader.need("an object")? {
            b'"' => Ok(true),
            b'}' => error("trailing comma"),
            _ => error("key must be a string"),
        }
    }

    #[inline]
    fn colon(&mut self) -> Result<()> {
        match self.reader.need("an object")? {
            b':' => {
                self.reader.bump();
                Ok(())
            }
            _ => error("expected `:`"),
        }
    }
}

impl<'de> Members<'_, 'de, '_> {
    /// Shows each member's key, and the reader at its value, which has to be gone behind; until that is enough.
    pub(super) fn each(
        mut self,
        mut see: impl FnMut(&str, &mut Reader<'de>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        while self.next()? {
            let key = self.reader.string()?;
            self.colon()?;
            if see(&key, self.reader)?.is_break() {
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
        while self.next()? {
            let key = self.reader.string()?;
            if let Some(fields) = self.fields {
                self.member = fields.field(&key);
                if self.member.is_some_and(FieldNode::skips) {
                    self.colon()?;
                    self.reader.skip()?;
                    continue;
                }
            }
            return seed.deserialize(Key::new(key)).map(Some);
        }
        Ok(None)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        self.colon()?;
        seed.deserialize(Value::new(self.reader, self.member))
    }
}

/// The elements of a list, which can tell how many there are.
pub(super) struct Elements<'r, 'de, 'f> {
    reader: &'r mut Reader<'de>,
    element: Option<&'f FieldNode>,
    /// Where the reader is between two elements, unless the last one was not read to its end.
    depth: u8,
    first: bool,
}

impl<'r, 'de, 'f> Elements<'r, 'de, 'f> {
    pub(super) fn new(reader: &'r mut Reader<'de>, fields: Option<&'f FieldNode>) -> Self {
        let element = fields.and_then(FieldNode::elements);
        let depth = reader.depth();
        Self { reader, element, depth, first: true }
    }

    /// Goes to the next element; whether there is one.
    #[inline]
    fn next(&mut self) -> Result<bool> {
        self.reader.come_up_to(self.depth)?;
        loop {
            match self.reader.need("a list")? {
                b']' => return Ok(false),
                b',' if !self.first => {
                    self.reader.bump();
                    if self.reader.need("a list")? == b']' {
                        return error("trailing comma");
                    }
                }
                _ if self.first => self.first = false,
                _ => return error("expected `,` or `]`"),
            }
            if !self.element.is_some_and(FieldNode::skips) {
                return Ok(true);
            }
            self.reader.skip()?;
        }
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de, '_> {
    type Error = serde_json::Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if !self.next()? {
            return Ok(None);
        }
        seed.deserialize(Value::new(self.reader, self.element)).map(Some)
    }

    /// Counted when it is asked for, which is before the first element.
    fn size_hint(&self) -> Option<usize> {
        match self.element {
            Some(element) if element.skips() => Some(0),
            _ if !self.first || self.reader.depth() > COUNTED_DEPTH => None,
            _ => count_elements(self.reader.rest()),
        }
    }
}

/// A variant with a value: the one member of an object.
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
        self.members.colon()?;
        Value::new(self.members.reader, self.members.member).deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        mut self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.members.colon()?;
        Value::new(self.members.reader, self.members.member).deserialize_struct("", fields, visitor)
    }
}
