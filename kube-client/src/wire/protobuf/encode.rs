//! Encodes JSON as Protobuf, for tests and fuzz targets only: the client never sends Protobuf.

use super::envelope::MAGIC_NUMBER;
use super::table::{Field, Label, Message, ValueType, message_of_kind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

/// Encodes a length-delimited field: its tag, the length of the value and the value.
pub(crate) fn bytes_field(number: u64, value: &[u8]) -> Vec<u8> {
    let mut out = varint(number << 3 | 2);
    out.extend(varint(value.len() as u64));
    out.extend_from_slice(value);
    out
}

/// Encodes a field whose value is a number.
fn number_field(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
    out
}

/// Puts the message of an object or of a list into an envelope.
pub(crate) fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let types = [bytes_field(1, api_version.as_bytes()), bytes_field(2, kind.as_bytes())].concat();
    [MAGIC_NUMBER.to_vec(), bytes_field(1, &types), bytes_field(2, raw), vec![0x1a, 0, 0x22, 0]].concat()
}

/// Encodes an object without an envelope. Returns `None` if its kind has no message, or if a value does not fit its
/// field.
pub(crate) fn encode_message(object: &Value) -> Option<Vec<u8>> {
    let message = message_of_kind(object["apiVersion"].as_str()?, object["kind"].as_str()?)?;
    encode_fields(message, object.as_object()?)
}

/// Encodes an object in its envelope.
pub(crate) fn encode_object(object: &Value) -> Option<Vec<u8>> {
    Some(envelope(object["apiVersion"].as_str()?, object["kind"].as_str()?, &encode_message(object)?))
}

/// Encodes a watch event with its length prefix, as in the body of a watch. `object` is in its envelope.
#[cfg(test)]
pub(crate) fn encode_event(event_type: &str, object: &[u8]) -> Vec<u8> {
    let event = [bytes_field(1, event_type.as_bytes()), bytes_field(2, &bytes_field(1, object))].concat();
    [&u32::try_from(event.len()).unwrap_or(u32::MAX).to_be_bytes()[..], &event].concat()
}

fn encode_fields(message: &Message, object: &Map<String, Value>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for field in &message.fields {
        let number = u64::from(field.number);
        match (field.label, object.get(field.name())) {
            (Label::Inline, _) => out.extend(bytes_field(number, &encode_fields(field.message(), object)?)),
            (_, None | Some(Value::Null)) => {}
            (Label::Single, Some(value)) => out.extend(encode_value(number, field, value)?),
            (Label::List, Some(Value::Array(items))) => {
                for item in items {
                    out.extend(encode_value(number, field, item)?);
                }
            }
            (Label::Map, Some(Value::Object(entries))) => {
                for (key, value) in entries {
                    let entry = [bytes_field(1, key.as_bytes()), encode_value(2, field, value)?].concat();
                    out.extend(bytes_field(number, &entry));
                }
            }
            _ => return None,
        }
    }
    Some(out)
}

fn encode_value(number: u64, field: &Field, value: &Value) -> Option<Vec<u8>> {
    let text = || value.as_str().map(str::as_bytes);
    let int = || value.as_i64().map(i64::cast_unsigned);
    let strings = |number| {
        let items = value.as_array()?.iter().map(|item| Some(bytes_field(number, item.as_str()?.as_bytes())));
        Some(items.collect::<Option<Vec<_>>>()?.concat())
    };
    let schema = |number, value: &Value| {
        Some(bytes_field(number, &encode_fields(field.message(), value.as_object()?)?))
    };
    let bytes = match field.value {
        ValueType::Bool => return Some(number_field(number, value.as_bool()?.into())),
        ValueType::Int => return Some(number_field(number, int()?)),
        ValueType::Uint => return Some(number_field(number, value.as_u64()?)),
        ValueType::Double => {
            return Some(
                [varint(number << 3 | 1), value.as_f64()?.to_bits().to_le_bytes().to_vec()].concat(),
            );
        }
        ValueType::String => text()?.to_vec(),
        ValueType::Bytes => STANDARD.decode(text()?).ok()?,
        ValueType::Message => encode_fields(field.message(), value.as_object()?)?,
        ValueType::Time | ValueType::MicroTime => {
            let time: Timestamp = value.as_str()?.parse().ok()?;
            // The earliest time of a Protobuf timestamp is the beginning of the year 1.
            let time = Some(time).filter(|time| time.as_second() >= -62_135_596_800)?;
            let nanos = u64::try_from(time.subsec_nanosecond()).ok()?;
            [number_field(1, time.as_second().cast_unsigned()), number_field(2, nanos)].concat()
        }
        ValueType::Quantity => bytes_field(1, text()?),
        ValueType::IntOrString => match text() {
            Some(text) => [number_field(1, 1), bytes_field(3, text)].concat(),
            None => number_field(2, int()?),
        },
        ValueType::Json => bytes_field(1, value.to_string().as_bytes()),
        ValueType::Strings => strings(1)?,
        ValueType::SchemaOrBool => match value {
            Value::Bool(allowed) => number_field(1, (*allowed).into()),
            value => [number_field(1, 1), schema(2, value)?].concat(),
        },
        ValueType::SchemaOrStrings if value.is_array() => strings(2)?,
        ValueType::SchemaOrList if value.is_array() => {
            let schemas = value.as_array()?.iter().map(|value| schema(2, value));
            schemas.collect::<Option<Vec<_>>>()?.concat()
        }
        ValueType::SchemaOrList | ValueType::SchemaOrStrings => schema(1, value)?,
    };
    Some(bytes_field(number, &bytes))
}
