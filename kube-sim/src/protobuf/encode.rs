//! Encodes JSON values as Protobuf, for the responses to clients that accept Protobuf.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use jiff::Timestamp;
use jiff::civil::{DateTime, date};
use serde_json::{Map, Value};

use super::messages::{self, Field, Label, Message, ValueType};
use super::{MAGIC_NUMBER, MAX_DEPTH};

/// The wire type of integers of variable length.
const VARINT: u64 = 0;
/// The wire type of values of 64 bits.
const FIXED_64: u64 = 1;
/// The wire type of strings, bytes and messages.
const BYTES: u64 = 2;

/// Encodes an object as a body: an envelope that contains the `apiVersion`, the `kind` and the encoded fields of the
/// object. An object is encoded as a list if its kind ends with `List`.
///
/// # Errors
/// The text of the encoding error: the kind is not built in, a value does not fit its field, or messages nest too
/// deeply.
pub(crate) fn encode(object: &Value) -> Result<Bytes, String> {
    let message = encode_without_envelope(object)?;
    let (api_version, kind) = type_meta_of(object);
    let (mut out, end) = envelope(api_version, kind, message.len());
    out.extend_from_slice(&message);
    out.extend_from_slice(end);
    Ok(out.into())
}

/// Encodes the fields of an object as [`encode`] does, but without the envelope.
///
/// # Errors
/// Those of [`encode`].
pub(crate) fn encode_without_envelope(object: &Value) -> Result<Vec<u8>, String> {
    let (api_version, kind) = type_meta_of(object);
    match kind.strip_suffix("List") {
        Some(item_kind) => {
            // The items of an empty list can be null.
            let items = object["items"].as_array().map_or(&[][..], Vec::as_slice);
            encode_list(message_of_kind(api_version, item_kind)?, &object["metadata"], items)
        }
        None => encode_fields(message_of_kind(api_version, kind)?, as_map(object)?, 0),
    }
}

/// The `apiVersion` and the `kind` of an object.
fn type_meta_of(object: &Value) -> (&str, &str) {
    let text = |name: &str| object[name].as_str().unwrap_or_default();
    (text("apiVersion"), text("kind"))
}

/// Returns two parts of an envelope: the bytes before the encoded object, and the bytes after it. `length` is the number
/// of bytes of the encoded object.
pub(crate) fn envelope(api_version: &str, kind: &str, length: usize) -> (Vec<u8>, &'static [u8]) {
    /// The fields 3 and 4, the content encoding and the content type. Go writes them even if they are empty.
    const END: &[u8] = b"\x1a\x00\x22\x00";
    let mut types = Vec::new();
    put_bytes(1, api_version.as_bytes(), &mut types);
    put_bytes(2, kind.as_bytes(), &mut types);
    let mut out = MAGIC_NUMBER.to_vec();
    put_bytes(1, &types, &mut out);
    put_varint(2 << 3 | BYTES, &mut out);
    put_varint(length as u64, &mut out);
    (out, END)
}

/// Encodes a watch event as a frame: the length of the event, then a message with the event's type and the encoded
/// `object`.
pub(crate) fn encode_event(event_type: &str, object: &[u8]) -> Bytes {
    let (mut extension, mut event) = (Vec::new(), Vec::new());
    put_bytes(1, object, &mut extension);
    put_bytes(1, event_type.as_bytes(), &mut event);
    put_bytes(2, &extension, &mut event);
    let mut frame = BytesMut::with_capacity(event.len() + 4);
    // Objects are far smaller than 4 GiB.
    frame.put_u32(u32::try_from(event.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(&event);
    frame.freeze()
}

fn message_of_kind(api_version: &str, kind: &str) -> Result<&'static Message, String> {
    messages::of_kind(api_version, kind)
        .ok_or_else(|| format!("{api_version} {kind} has no Protobuf message"))
}

fn as_map(value: &Value) -> Result<&Map<String, Value>, String> {
    value.as_object().ok_or_else(|| "a message must be an object".to_owned())
}

/// Encodes a list whose items have the message type `message`.
fn encode_list(message: &Message, metadata: &Value, items: &[Value]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    put_bytes(1, &encode_fields(message_of_kind("v1", "ListMeta")?, as_map(metadata)?, 0)?, &mut out);
    for item in items {
        put_bytes(2, &encode_fields(message, as_map(item)?, 0)?, &mut out);
    }
    Ok(out)
}

fn encode_fields(message: &Message, object: &Map<String, Value>, depth: usize) -> Result<Vec<u8>, String> {
    if depth > MAX_DEPTH {
        return Err(format!("messages nest deeper than {MAX_DEPTH} levels"));
    }
    let mut out = Vec::new();
    for field in &message.fields {
        if field.label == Label::Inline {
            let ValueType::Message(at) = field.value_type else { continue };
            put_bytes(field.number, &encode_fields(messages::message_at(at), object, depth + 1)?, &mut out);
            continue;
        }
        let value = object.get(field.name).unwrap_or(&Value::Null);
        encode_field(field, value, depth, &mut out)
            .map_err(|error| format!("{}.{}: {error}", message.name, field.name))?;
    }
    Ok(out)
}

/// Appends a field to the encoded message `out`. A null `value` stands for an absent field.
fn encode_field(field: &Field, value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), String> {
    match (field.label, value) {
        (Label::Singular, Value::Null) if !field.is_pointer => put_zero_value(field, depth, out)?,
        (_, Value::Null) => {}
        (Label::Repeated, Value::Array(items)) => {
            for item in items {
                put_value(field.number, field.value_type, item, depth, out)?;
            }
        }
        (Label::Map, Value::Object(entries)) => {
            for (key, value) in entries {
                let mut entry = Vec::new();
                put_bytes(1, key.as_bytes(), &mut entry);
                put_value(2, field.value_type, value, depth, &mut entry)?;
                put_bytes(field.number, &entry, out);
            }
        }
        (Label::Singular, value) => put_value(field.number, field.value_type, value, depth, out)?,
        _ => return Err("the value is not a list or a map".to_owned()),
    }
    Ok(())
}

/// Appends the zero value of a field that is not a pointer in Go.
fn put_zero_value(field: &Field, depth: usize, out: &mut Vec<u8>) -> Result<(), String> {
    match field.value_type {
        ValueType::String => put_bytes(field.number, b"", out),
        // The zero value is a nil slice, which Go does not write.
        ValueType::Bytes => {}
        ValueType::Bool | ValueType::Int | ValueType::Uint => put_integer(field.number, 0, out),
        ValueType::Double => {
            put_varint(field.number << 3 | FIXED_64, out);
            out.put_u64_le(0);
        }
        ValueType::Message(at) => {
            let message = messages::message_at(at);
            let zero = match message.name.rsplit('.').next().unwrap_or_default() {
                "Time" | "MicroTime" => Vec::new(),
                "Quantity" => encode_message(message, &"0".into(), depth)?,
                _ => encode_fields(message, &Map::new(), depth + 1)?,
            };
            put_bytes(field.number, &zero, out);
        }
    }
    Ok(())
}

/// Appends a field with the number `number` and one value of the type `value_type`.
fn put_value(
    number: u64,
    value_type: ValueType,
    value: &Value,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let other_type = || "the value is of another type than the field".to_owned();
    match value_type {
        ValueType::String => put_bytes(number, value.as_str().ok_or_else(other_type)?.as_bytes(), out),
        ValueType::Bytes => {
            let bytes = STANDARD.decode(value.as_str().ok_or_else(other_type)?);
            put_bytes(number, &bytes.map_err(|error| format!("invalid base64: {error}"))?, out);
        }
        ValueType::Bool => put_integer(number, value.as_bool().ok_or_else(other_type)?.into(), out),
        ValueType::Int | ValueType::Uint => {
            let int = value.as_i64().map(i64::cast_unsigned).or(value.as_u64());
            put_integer(number, int.ok_or_else(other_type)?, out);
        }
        ValueType::Double => {
            put_varint(number << 3 | FIXED_64, out);
            out.put_u64_le(value.as_f64().ok_or_else(other_type)?.to_bits());
        }
        ValueType::Message(at) => {
            let message = messages::message_at(at);
            put_bytes(number, &encode_message(message, value, depth)?, out);
        }
    }
    Ok(())
}

/// Encodes a message. Some messages, such as `Time`, are not objects in JSON.
fn encode_message(message: &Message, value: &Value, depth: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let schema = |value: &Value, number, out: &mut Vec<u8>| {
        put_bytes(number, &encode_fields(schema_message(message), as_map(value)?, depth + 1)?, out);
        Ok::<_, String>(())
    };
    match (message.name.rsplit('.').next().unwrap_or_default(), value) {
        ("Time" | "MicroTime", Value::String(text)) => {
            let (seconds, nanos) = parse_time(text)?;
            put_integer(1, seconds.cast_unsigned(), &mut out);
            put_integer(2, nanos.cast_unsigned(), &mut out);
        }
        ("Quantity", Value::String(text)) => put_bytes(1, text.as_bytes(), &mut out),
        ("Quantity", value @ Value::Number(_)) | ("FieldsV1" | "RawExtension" | "JSON", value) => {
            put_bytes(1, value.to_string().as_bytes(), &mut out);
        }
        ("IntOrString", Value::String(text)) => {
            put_integer(1, 1, &mut out);
            put_integer(2, 0, &mut out);
            put_bytes(3, text.as_bytes(), &mut out);
        }
        ("IntOrString", value) => {
            let number = value.as_i64().ok_or("the value is neither an integer nor a string")?;
            put_integer(1, 0, &mut out);
            put_integer(2, number.cast_unsigned(), &mut out);
            put_bytes(3, b"", &mut out);
        }
        ("ExtraValue" | "Verbs", Value::Array(items)) => {
            for item in items {
                put_value(1, ValueType::String, item, depth, &mut out)?;
            }
        }
        ("JSONSchemaPropsOrBool", Value::Bool(allowed)) => put_integer(1, (*allowed).into(), &mut out),
        ("JSONSchemaPropsOrBool", value) => {
            put_integer(1, 1, &mut out);
            schema(value, 2, &mut out)?;
        }
        ("JSONSchemaPropsOrArray", Value::Array(schemas)) => {
            for value in schemas {
                schema(value, 2, &mut out)?;
            }
        }
        ("JSONSchemaPropsOrStringArray", Value::Array(items)) => {
            for item in items {
                put_value(2, ValueType::String, item, depth, &mut out)?;
            }
        }
        ("JSONSchemaPropsOrArray" | "JSONSchemaPropsOrStringArray", value) => schema(value, 1, &mut out)?,
        (_, value) => return encode_fields(message, as_map(value)?, depth + 1),
    }
    Ok(out)
}

/// Returns the message type `JSONSchemaProps`. `message` is `JSONSchemaPropsOrBool` or another union that has a field of
/// this type.
fn schema_message(message: &Message) -> &'static Message {
    let at = message.fields.iter().find_map(|field| match field.value_type {
        ValueType::Message(at) => Some(at),
        _ => None,
    });
    messages::message_at(at.unwrap_or_default())
}

/// Parses a time. Returns the seconds since 1970, and the nanoseconds since the last full second. `Timestamp` cannot
/// represent the last day of the year 9999, so this day is parsed as a `DateTime`.
fn parse_time(text: &str) -> Result<(i64, i64), String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        // Go rounds the seconds down, so the nanoseconds are never negative, even for a time before 1970.
        let nanos = time.subsec_nanosecond();
        let (borrowed, nanos) = if nanos < 0 { (1, nanos + 1_000_000_000) } else { (0, nanos) };
        return Ok((time.as_second() - borrowed, nanos.into()));
    }
    let time: DateTime =
        text.trim_end_matches('Z').parse().map_err(|error| format!("invalid time: {error}"))?;
    let since = time.duration_since(date(1970, 1, 1).at(0, 0, 0, 0));
    Ok((since.as_secs(), since.subsec_nanos().into()))
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8((value & 0x7f) as u8);
}

fn put_integer(number: u64, value: u64, out: &mut Vec<u8>) {
    put_varint(number << 3 | VARINT, out);
    put_varint(value, out);
}

/// Appends a field with the number `number` and the value `bytes`.
pub(crate) fn put_bytes(number: u64, bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(number << 3 | BYTES, out);
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::super::decode;
    use super::*;
    use serde_json::json;

    #[test]
    fn objects_are_equal_after_encoding_and_decoding() {
        for object in [
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "name": "a", "creationTimestamp": "2024-01-02T03:04:05Z", "labels": {"a": "b"},
                    "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}}],
                },
                "spec": {
                    "containers": [{
                        "name": "c", "image": "i", "resources": {"limits": {"cpu": "1"}},
                        "livenessProbe": {"httpGet": {"port": "http"}, "periodSeconds": 10},
                    }],
                    "volumes": [{"name": "v", "emptyDir": {}}], "tolerations": [{"tolerationSeconds": -1}],
                },
                "status": {},
            }),
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"k": "/w=="}}),
            json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "spec": {"renewTime": "2024-01-02T03:04:05.123456Z"},
            }),
        ] {
            let mut decoded = decode(&encode(&object).unwrap()).unwrap();
            drop_empty_messages(&mut decoded, &object);
            assert_eq!(decoded, object);
        }
    }

    /// Removes the nulls and empty messages that `original` does not have. Go writes a message that is not a pointer even
    /// if the message is empty.
    fn drop_empty_messages(decoded: &mut Value, original: &Value) {
        match decoded {
            Value::Object(map) => map.retain(|key, value| {
                let before = original.get(key).unwrap_or(&Value::Null);
                drop_empty_messages(value, before);
                !before.is_null() || !value.is_null() && *value != json!({})
            }),
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    drop_empty_messages(item, original.get(index).unwrap_or(&Value::Null));
                }
            }
            _ => {}
        }
    }

    /// The expected texts are the output of `Marshal` of the Go types in Kubernetes 1.37.2, in base64.
    #[test]
    fn zero_values_are_written_as_in_go() {
        let variable = json!({"name": "E", "valueFrom": {"resourceFieldRef": {"resource": "r"}}});
        let container = json!({"name": "c", "env": [variable], "livenessProbe": {"httpGet": {"path": "/"}}});
        let metadata = json!({"name": "a"});
        for (object, expected) in [
            (
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}),
                "ChEKAWESABoAIgAqADIAOABCABJrEk0KAWMSACoAOhMKAUUSABoMEgoKABIBchoDCgEwQgBSHQoREg8KAS8SBggAEAAaABoAIgAQABgAIAAoADAAagByAIABAIgBAJABAKIBABoAMgBCAEoAUgBYAGAAaACCAQCKAQCaAQDCAQAaEwoAGgAiACoAMgBKAFoAcgCIAQA=",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 80}]}}),
                "ChEKAWESABoAIgAqADIAOABCABIiChAKABIAGFAiBggAEAAaACgAGgAiADoAQgBSAFoAYABoABoCCgA=",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Event", "metadata": metadata, "type": "Normal"}),
                "ChEKAWESABoAIgAqADIAOABCABIOCgASABoAIgAqADIAOgAaACIAKgQKABIAMgA6AEAASgZOb3JtYWxSAGIAcgB6AA==",
            ),
            (
                json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata}),
                "ChEKAWESABoAIgAqADIAOABCABIAGAA=",
            ),
            (
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}),
                "ChEKAWESABoAIgAqADIAOABCABI6GjAKEAoAEgAaACIAKgAyADgAQgASHBoAMgBCAEoAUgBYAGAAaACCAQCKAQCaAQDCAQAiAgoAKAA4ABoMCAAQABgAIAAoADgA",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Status", "message": "x", "code": 404}),
                "CgYKABIAGgASABoBeCIAMJQD",
            ),
        ] {
            assert_eq!(STANDARD.encode(encode_without_envelope(&object).unwrap()), expected, "{object}");
        }
    }

    #[test]
    fn the_error_for_a_value_of_the_wrong_type_contains_the_field() {
        let error = encode(&json!({"apiVersion": "v1", "kind": "Pod", "spec": {"hostname": 7}})).unwrap_err();
        assert!(error.contains("Pod.spec") && error.contains("hostname"), "{error}");
    }

    #[test]
    fn a_kind_that_is_not_built_in_is_an_error() {
        assert!(encode(&json!({"apiVersion": "example.com/v1", "kind": "Widget"})).is_err());
    }

    #[test]
    fn the_last_day_of_the_year_9999_is_parsed() {
        let late = parse_time("9999-12-31T23:59:59Z").unwrap();
        assert_eq!(late, (253_402_300_799, 0));
    }
}
