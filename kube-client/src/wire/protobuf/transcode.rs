//! `Transcoder`: writes a Protobuf message as JSON text, which the JSON decoder reads. The text has the values of the JSON
//! that the API server would send, with the exceptions that the module `protobuf` lists.
//!
//! The transcoder is not generic, so that Protobuf adds no code for each type. It leaves two checks to the JSON
//! decoder: that strings are UTF-8 (unless `checks_utf8` is set), and that the required fields of the Rust type are
//! present.

use super::envelope::Envelope;
use super::reader::{Payload, Reader, fields_1_to_3};
use super::table::{Field, Label, Message, ValueType};
use super::values;
use crate::core::__client::FieldNode;
use crate::core::FieldSet;
use serde::de::{Error as _, IgnoredAny};
use std::borrow::Cow;

/// The maximum nesting depth of messages. It is lower than the recursion limit of the JSON decoder.
const MAX_DEPTH: usize = 100;
/// The maximum number of bytes of JSON text for each byte of a message. Without a limit, a small message
/// could exhaust memory: an absent value takes no bytes in Protobuf, but JSON may contain its key and `null`.
const MAX_GROWTH: usize = 16;
/// A JSON text of at most this many bytes is allowed for a message of any size.
const ALWAYS_ALLOWED_BYTES: usize = 1 << 20;

/// The reason why a message cannot be written as JSON, and the path of the field that caused the error. The text contains
/// no field value, except the API version and the kind of an envelope.
#[derive(Debug)]
pub(super) struct TranscodeError(Box<Problem>);

#[derive(Debug)]
struct Problem {
    text: Cow<'static, str>,
    path: String,
}

pub(super) type Result<T, E = TranscodeError> = std::result::Result<T, E>;

impl From<&'static str> for TranscodeError {
    #[cold]
    fn from(problem: &'static str) -> Self {
        Self(Box::new(Problem { text: problem.into(), path: String::new() }))
    }
}

impl TranscodeError {
    #[cold]
    pub(super) fn new(problem: String) -> Self {
        Self(Box::new(Problem { text: problem.into(), path: String::new() }))
    }

    /// Prepends a step to the path.
    #[cold]
    fn with_path_step(mut self, step: &str) -> Self {
        let dot = if self.0.path.is_empty() || self.0.path.starts_with('[') { "" } else { "." };
        self.0.path = format!("{step}{dot}{}", self.0.path);
        self
    }

    /// The error that a decoder returns, with the path of the field if it is known.
    pub(super) fn into_error(self) -> serde_json::Error {
        let Problem { text, path } = *self.0;
        if path.is_empty() {
            return serde_json::Error::custom(text);
        }
        serde_json::Error::custom(format_args!("{path}: {text}"))
    }
}

/// Writes messages as JSON text into a buffer.
pub(super) struct Transcoder<'a> {
    out: &'a mut Vec<u8>,
    /// The maximum length of `out`.
    limit: usize,
    depth: usize,
    /// Whether to check that strings are UTF-8. The JSON decoder also checks this, but its error does not contain the
    /// path of the field.
    checks_utf8: bool,
}

impl<'a> Transcoder<'a> {
    /// Creates a transcoder for a message of `size` bytes.
    pub(super) fn new(out: &'a mut Vec<u8>, size: usize, checks_utf8: bool) -> Self {
        let limit = out.len() + size.saturating_mul(MAX_GROWTH).max(ALWAYS_ALLOWED_BYTES);
        Self { out, limit, depth: 0, checks_utf8 }
    }

    /// Writes a message as an object. `types` has the API version and the kind of the object; if it is `None`, the object
    /// has neither. Omits the fields in `skipped`. Some values are written even if `skipped` contains them:
    /// map entries, list elements, the values inside embedded JSON, and the values inside a schema in a union
    /// such as `JSONSchemaPropsOrBool`. The JSON decoder skips these values.
    pub(super) fn write_object(
        &mut self,
        bytes: &[u8],
        message: &Message,
        types: Option<(&str, &str)>,
        skipped: Option<&FieldNode>,
    ) -> Result<()> {
        self.out.push(b'{');
        if let Some((api_version, kind)) = types {
            for (key, value) in [("\"apiVersion\":", api_version), (",\"kind\":", kind)] {
                self.out.extend_from_slice(key.as_bytes());
                self.write_string(value.as_bytes())?;
            }
        }
        self.write_fields(bytes, message, skipped)?;
        self.out.push(b'}');
        Ok(())
    }

    /// Writes a string in quotes.
    pub(super) fn write_string(&mut self, text: &[u8]) -> Result<()> {
        if self.checks_utf8 && std::str::from_utf8(text).is_err() {
            return Err("bytes that are not UTF-8".into());
        }
        values::write_quoted(text, self.out);
        Ok(())
    }

    /// Writes bytes that are already JSON text, without changes.
    pub(super) fn write_raw(&mut self, text: &[u8]) {
        self.out.extend_from_slice(text);
    }

    /// Writes the fields of a message into the current object.
    fn write_fields(&mut self, bytes: &[u8], message: &Message, skipped: Option<&FieldNode>) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("messages are nested too deeply".into());
        }
        let (mut reader, mut seen) = (Reader::new(bytes), 0_u64);
        while let Some((number, payload)) = reader.next()? {
            // A newer server may send fields that the table does not contain.
            let Some((index, field)) = message.field(number) else { continue };
            let outcome = if seen & 1 << index == 0 {
                self.write_field(field, payload, &mut reader, skipped)
            } else {
                // Go's encoder writes the elements of a list without other fields between them. A second part of the
                // list would result in two JSON members with the same name.
                Err("the field occurs twice, or its list is in two parts".into())
            };
            outcome.map_err(|error| {
                if field.label == Label::Inline { error } else { error.with_path_step(field.name()) }
            })?;
            seen |= 1 << index;
        }
        let mut absent = message.nulls & !seen;
        while absent != 0 {
            self.write_null(&message.fields[absent.trailing_zeros() as usize], skipped);
            absent &= absent - 1;
        }
        if self.out.len() > self.limit {
            return Err("the JSON form of the object is too large".into());
        }
        self.depth -= 1;
        Ok(())
    }

    /// Writes the key of a field. If the field is not the first member of its object, writes a comma before the key.
    fn write_key(&mut self, field: &Field) {
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
        self.out.extend_from_slice(field.key.as_bytes());
    }

    /// Writes null as the value of an absent field, except if `skipped` contains the field.
    fn write_null(&mut self, field: &Field, skipped: Option<&FieldNode>) {
        let skipped = skipped.and_then(|fields| fields.field(field.name()));
        if !skipped.is_some_and(FieldNode::skips_whole_value) {
            self.write_key(field);
            self.out.extend_from_slice(b"null");
        }
    }

    /// Writes a field with the value `payload`. For a list or map, `payload` is the first element, and `reader` returns
    /// the other elements next.
    fn write_field<'b>(
        &mut self,
        field: &Field,
        mut payload: Payload<'b>,
        reader: &mut Reader<'b>,
        skipped: Option<&FieldNode>,
    ) -> Result<()> {
        if field.label == Label::Inline {
            return self.write_fields(bytes_of(payload)?, field.message(), skipped);
        }
        let skipped = skipped.and_then(|fields| fields.field(field.name()));
        if skipped.is_some_and(FieldNode::skips_whole_value) {
            if field.label != Label::Single {
                while reader.next_if_field_is(field.number)?.is_some() {}
            }
            return Ok(());
        }
        let is_map = match field.label {
            Label::Single => {
                if field.omits_zero
                    && matches!(payload, Payload::Varint(0) | Payload::Fixed64(0) | Payload::Bytes([]))
                {
                    return Ok(());
                }
                self.write_key(field);
                return self.write_value(field, payload, skipped);
            }
            Label::Map => true,
            _ => false,
        };
        self.write_key(field);
        self.out.push(if is_map { b'{' } else { b'[' });
        let mut index = 0;
        loop {
            let outcome = if is_map {
                self.write_entry(field, payload, skipped)
            } else {
                self.write_value(field, payload, skipped.and_then(FieldNode::elements))
                    .map_err(|error| error.with_path_step(&format!("[{index}]")))
            };
            outcome?;
            match reader.next_if_field_is(field.number)? {
                Some(next) => payload = next,
                None => break,
            }
            self.out.push(b',');
            index += 1;
        }
        self.out.push(if is_map { b'}' } else { b']' });
        Ok(())
    }

    /// Writes an entry of a map.
    fn write_entry(
        &mut self,
        field: &Field,
        payload: Payload<'_>,
        skipped: Option<&FieldNode>,
    ) -> Result<()> {
        let [key, value, _] = fields_1_to_3(bytes_of(payload)?)?;
        let key = key.map_or(Ok(&[][..]), bytes_of)?;
        self.write_string(key)?;
        self.out.push(b':');
        let skipped = skipped.and_then(|fields| fields.field(std::str::from_utf8(key).unwrap_or_default()));
        let absent = match field.value {
            ValueType::Bool | ValueType::Int | ValueType::Uint => Payload::Varint(0),
            ValueType::Double => Payload::Fixed64(0),
            _ => Payload::Bytes(&[]),
        };
        self.write_value(field, value.unwrap_or(absent), skipped)
    }

    /// Writes a single value.
    #[inline]
    fn write_value(
        &mut self,
        field: &Field,
        payload: Payload<'_>,
        skipped: Option<&FieldNode>,
    ) -> Result<()> {
        match (field.value, payload) {
            (ValueType::String, Payload::Bytes(text)) => return self.write_string(text),
            (ValueType::Message, Payload::Bytes(bytes)) => {
                return self.write_object(bytes, field.message(), None, skipped);
            }
            (ValueType::Bool, Payload::Varint(number)) => {
                self.write_raw(if number == 0 { b"false" } else { b"true" });
            }
            (ValueType::Int, Payload::Varint(number)) => values::write_int(number.cast_signed(), self.out),
            (ValueType::Uint, Payload::Varint(number)) => values::write_uint(number, self.out),
            (ValueType::Double, Payload::Fixed64(bits)) => {
                values::write_double(f64::from_bits(bits), self.out)?;
            }
            (
                ValueType::String
                | ValueType::Message
                | ValueType::Bool
                | ValueType::Int
                | ValueType::Uint
                | ValueType::Double,
                _,
            ) => {
                return Err(WRONG_WIRE_TYPE.into());
            }
            (special, payload) => {
                return self.write_special_value(special, field, bytes_of(payload)?, skipped);
            }
        }
        Ok(())
    }

    /// Writes a value of a type that has a special form in JSON, such as a time or a quantity.
    fn write_special_value(
        &mut self,
        value: ValueType,
        field: &Field,
        bytes: &[u8],
        skipped: Option<&FieldNode>,
    ) -> Result<()> {
        match value {
            ValueType::Bytes => values::write_base64(bytes, self.out),
            ValueType::Time => values::write_time(bytes, false, self.out)?,
            ValueType::MicroTime => values::write_time(bytes, true, self.out)?,
            ValueType::Quantity => match fields_1_to_3(bytes)?[0] {
                None | Some(Payload::Bytes([])) => self.write_raw(b"\"0\""),
                Some(text) => self.write_string(bytes_of(text)?)?,
            },
            ValueType::IntOrString => {
                let [is_string, number, text] = fields_1_to_3(bytes)?;
                if number_of(is_string)? == 1 {
                    return self.write_string(text.map_or(Ok(&[][..]), bytes_of)?);
                }
                values::write_int(number_of(number)?.cast_signed(), self.out);
            }
            ValueType::Json => return self.write_json(fields_1_to_3(bytes)?[0], skipped),
            ValueType::Strings => return self.write_strings(bytes, 1),
            _ => return self.write_schema(value, field.message(), bytes),
        }
        Ok(())
    }

    /// Writes embedded JSON, or the object in an embedded envelope, or null if there are no bytes.
    fn write_json(&mut self, raw: Option<Payload<'_>>, skipped: Option<&FieldNode>) -> Result<()> {
        let raw = raw.map_or(Ok(&[][..]), bytes_of)?;
        if raw.is_empty() {
            self.write_raw(b"null");
        } else if Envelope::has_magic_number(raw) {
            let envelope = Envelope::parse(raw)?;
            let message = envelope.message()?;
            return self.write_object(envelope.raw, message, Some(envelope.types()), skipped);
        } else {
            // Check that the text is one JSON value: further text would become part of the object.
            let value = super::super::json::decode::<IgnoredAny>(raw, &FieldSet::none());
            value.map_err(|_| TranscodeError::from("the embedded JSON does not parse"))?;
            self.write_raw(raw);
        }
        Ok(())
    }

    /// Writes a list of strings: the values of all fields of a message that have the field number `number`.
    fn write_strings(&mut self, bytes: &[u8], number: u64) -> Result<()> {
        self.out.push(b'[');
        let mut reader = Reader::new(bytes);
        while let Some((found, payload)) = reader.next()? {
            if found == number {
                if self.out.last() != Some(&b'[') {
                    self.out.push(b',');
                }
                self.write_string(bytes_of(payload)?)?;
            }
        }
        self.out.push(b']');
        Ok(())
    }

    /// Writes a schema, or the boolean or list in its place. `value` is the type of the field, such as
    /// `SchemaOrBool`.
    fn write_schema(&mut self, value: ValueType, message: &Message, bytes: &[u8]) -> Result<()> {
        let [first, second, _] = fields_1_to_3(bytes)?;
        match (value, first, second) {
            (ValueType::SchemaOrBool, allowed, None) => {
                self.write_raw(if number_of(allowed)? == 0 { b"false" } else { b"true" });
            }
            (ValueType::SchemaOrBool, _, Some(schema)) => {
                return self.write_object(bytes_of(schema)?, message, None, None);
            }
            (ValueType::SchemaOrStrings, _, Some(_)) => return self.write_strings(bytes, 2),
            (_, _, Some(_)) => {
                self.out.push(b'[');
                let mut reader = Reader::new(bytes);
                while let Some((number, payload)) = reader.next()? {
                    if number == 2 {
                        if self.out.last() != Some(&b'[') {
                            self.out.push(b',');
                        }
                        self.write_object(bytes_of(payload)?, message, None, None)?;
                    }
                }
                self.out.push(b']');
            }
            (_, Some(schema), None) => return self.write_object(bytes_of(schema)?, message, None, None),
            (_, None, None) => self.write_raw(b"null"),
        }
        Ok(())
    }
}

const WRONG_WIRE_TYPE: &str = "the value has a wire type that does not fit its field";

/// The bytes in `payload`.
pub(super) fn bytes_of(payload: Payload<'_>) -> Result<&[u8], &'static str> {
    match payload {
        Payload::Bytes(bytes) => Ok(bytes),
        _ => Err(WRONG_WIRE_TYPE),
    }
}

/// The number in `payload`; zero if the value is absent.
pub(super) fn number_of(payload: Option<Payload<'_>>) -> Result<u64, &'static str> {
    match payload {
        None => Ok(0),
        Some(Payload::Varint(number)) => Ok(number),
        _ => Err(WRONG_WIRE_TYPE),
    }
}
