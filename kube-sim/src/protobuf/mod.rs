//! Decodes Protobuf request bodies into JSON values, and encodes responses. Typed Go clients and `kubectl create` send
//! Protobuf bodies.
//!
//! This codec shares no code and no data with the codec of `kube-client`, so that tests can check one codec with the
//! other.

pub(crate) mod encode;
mod messages;
mod wire_format;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, civil::date};
use serde_json::{Map, Value};

pub(crate) use encode::{encode, encode_event};
pub(crate) use messages::omits_zero;

use messages::{Field, Label, Message, ValueType};
use wire_format::{Reader, WireValue};

/// The media type of Protobuf bodies.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// The magic number at the beginning of every body.
const MAGIC_NUMBER: &[u8] = b"k8s\0";

/// The maximum nesting depth of messages.
const MAX_DEPTH: usize = 128;

/// Whether the kind has a Protobuf message.
pub(crate) fn has_kind(api_version: &str, kind: &str) -> bool {
    messages::of_kind(api_version, kind).is_some()
}

/// Decodes a body into an object with `apiVersion` and `kind`.
///
/// # Errors
/// The text of the decoding error.
pub(crate) fn decode(body: &[u8]) -> Result<Value, String> {
    let envelope = body
        .strip_prefix(MAGIC_NUMBER)
        .ok_or("the body does not begin with the magic number of Kubernetes' Protobuf")?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    let mut reader = Reader::new(envelope);
    while let Some((number, wire)) = reader.next_field()? {
        match (number, wire) {
            (1, WireValue::Bytes(meta)) => {
                let mut reader = Reader::new(meta);
                while let Some((number, wire)) = reader.next_field()? {
                    match (number, wire) {
                        (1, WireValue::Bytes(text)) => api_version = decode_utf8(text)?,
                        (2, WireValue::Bytes(text)) => kind = decode_utf8(text)?,
                        _ => {}
                    }
                }
            }
            (2, WireValue::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let message = messages::of_kind(&api_version, &kind).ok_or_else(|| {
        format!("no kind \"{kind}\" is registered for version \"{api_version}\" in Protobuf")
    })?;
    let mut object = decode_object(message, raw, 0)?;
    object.insert("apiVersion".into(), api_version.into());
    object.insert("kind".into(), kind.into());
    Ok(Value::Object(object))
}

fn decode_utf8(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "a string is not valid UTF-8".to_owned())
}

/// Decodes the fields of a message into a JSON object.
fn decode_object(message: &Message, bytes: &[u8], depth: usize) -> Result<Map<String, Value>, String> {
    if depth > MAX_DEPTH {
        return Err(format!("messages nest deeper than {MAX_DEPTH} levels"));
    }
    let mut object = Map::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next_field()? {
        // A newer client can send fields that are unknown here. A Protobuf decoder ignores them.
        let Some(field) = message.fields.iter().find(|f| f.number == number) else { continue };
        decode_field(&mut object, field, wire, depth)
            .map_err(|e| format!("{}.{}: {e}", message.name, field.name))?;
    }
    Ok(object)
}

/// Decodes the value of a field, and adds the value to `object`.
fn decode_field(
    object: &mut Map<String, Value>,
    field: &Field,
    wire: WireValue<'_>,
    depth: usize,
) -> Result<(), String> {
    match field.label {
        Label::Singular => {
            let value = decode_value(field.value_type, wire, depth)?;
            // Go writes the zero values of non-pointer fields in Protobuf, but omits most of these values from JSON.
            if field.shows_zero || !is_zero_value(&value) {
                object.insert(field.name.to_owned(), value);
            }
        }
        Label::Repeated => {
            let value = decode_value(field.value_type, wire, depth)?;
            let list = object.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
            if let Some(list) = list.as_array_mut() {
                list.push(value);
            }
        }
        Label::Map => {
            let WireValue::Bytes(entry) = wire else { return Err("a map entry must be a message".into()) };
            let (mut key, mut value) = (String::new(), default_value(field.value_type));
            let mut reader = Reader::new(entry);
            while let Some((number, wire)) = reader.next_field()? {
                match (number, wire) {
                    (1, WireValue::Bytes(text)) => key = decode_utf8(text)?,
                    (2, wire) => value = decode_value(field.value_type, wire, depth)?,
                    _ => {}
                }
            }
            let map = object.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
            if let Some(map) = map.as_object_mut() {
                map.insert(key, value);
            }
        }
        Label::Inline => {
            let (ValueType::Message(at), WireValue::Bytes(bytes)) = (field.value_type, wire) else {
                return Err("an inline field must be a message".into());
            };
            object.extend(decode_object(messages::message_at(at), bytes, depth + 1)?);
        }
    }
    Ok(())
}

fn is_zero_value(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        _ => false,
    }
}

/// The default value of a type, for a map entry without a value.
fn default_value(value_type: ValueType) -> Value {
    match value_type {
        ValueType::String | ValueType::Bytes => "".into(),
        ValueType::Bool => false.into(),
        ValueType::Message(_) => Value::Object(Map::new()),
        ValueType::Double | ValueType::Int | ValueType::Uint => 0.into(),
    }
}

/// Decodes a value in the wire format to JSON.
fn decode_value(value_type: ValueType, wire: WireValue<'_>, depth: usize) -> Result<Value, String> {
    Ok(match (value_type, wire) {
        (ValueType::String, WireValue::Bytes(bytes)) => decode_utf8(bytes)?.into(),
        (ValueType::Bytes, WireValue::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        (ValueType::Bool, WireValue::Varint(n)) => (n != 0).into(),
        (ValueType::Int, WireValue::Varint(n)) => n.cast_signed().into(),
        (ValueType::Uint, WireValue::Varint(n)) => n.into(),
        (ValueType::Double, WireValue::Fixed(bits)) => f64::from_bits(bits).into(),
        (ValueType::Message(at), WireValue::Bytes(bytes)) => {
            decode_message(messages::message_at(at), bytes, depth)?
        }
        _ => return Err("the value is of another type than the field".into()),
    })
}

/// Decodes a message. Some messages, such as `Time`, are not objects in JSON.
fn decode_message(message: &Message, bytes: &[u8], depth: usize) -> Result<Value, String> {
    let name = message.name.rsplit('.').next().unwrap_or_default();
    match name {
        "Time" | "MicroTime" => return decode_time(bytes, name == "MicroTime"),
        "Quantity" => return Ok(bytes_of_field_1(bytes)?.map_or(Ok("0".to_owned()), decode_utf8)?.into()),
        "FieldsV1" | "RawExtension" | "JSON" => {
            let Some(raw) = bytes_of_field_1(bytes)? else { return Ok(Value::Null) };
            return serde_json::from_slice(raw).map_err(|e| format!("the embedded JSON does not parse: {e}"));
        }
        _ => {}
    }
    let mut fields = decode_object(message, bytes, depth + 1)?;
    Ok(match name {
        "IntOrString" if fields.get("type").and_then(Value::as_i64) == Some(1) => {
            fields.remove("strVal").unwrap_or_else(|| "".into())
        }
        "IntOrString" => fields.remove("intVal").unwrap_or_else(|| 0.into()),
        "ExtraValue" | "Verbs" => fields.remove("items").unwrap_or_else(|| Value::Array(Vec::new())),
        "JSONSchemaPropsOrBool" => {
            let allows = fields.remove("allows").unwrap_or_else(|| false.into());
            fields.remove("schema").unwrap_or(allows)
        }
        "JSONSchemaPropsOrArray" => {
            let list = fields.remove("jSONSchemas").unwrap_or(Value::Null);
            fields.remove("schema").unwrap_or(list)
        }
        "JSONSchemaPropsOrStringArray" => {
            let list = fields.remove("property").unwrap_or(Value::Null);
            fields.remove("schema").unwrap_or(list)
        }
        _ => Value::Object(fields),
    })
}

/// Returns the value of the field with the number 1, or `None` if the message does not have this field.
fn bytes_of_field_1(bytes: &[u8]) -> Result<Option<&[u8]>, String> {
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next_field()? {
        if let (1, WireValue::Bytes(bytes)) = (number, wire) {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

/// Decodes a `MicroTime` if `micro` is true, otherwise a `Time`. Returns the time as JSON: a string, or null for Go's
/// zero time and all earlier times.
fn decode_time(bytes: &[u8], micro: bool) -> Result<Value, String> {
    let (mut seconds, mut nanos) = (None, 0);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next_field()? {
        match (number, wire) {
            (1, WireValue::Varint(n)) => seconds = Some(n.cast_signed()),
            (2, WireValue::Varint(n)) => nanos = i32::try_from(n.cast_signed()).unwrap_or(0),
            _ => {}
        }
    }
    // Go's zero time is 0001-01-01T00:00:00Z or an empty message. The zero time and all earlier times are null in JSON.
    let Some(seconds) = seconds.filter(|s| *s > -62_135_596_800) else { return Ok(Value::Null) };
    // Go formats times until the end of the year 9999, one day more than `jiff::Timestamp` represents.
    let at = SignedDuration::from_secs(seconds)
        .checked_add(SignedDuration::from_nanos(nanos.into()))
        .and_then(|since| date(1970, 1, 1).at(0, 0, 0, 0).checked_add(since).ok())
        .ok_or("a time is out of range")?;
    let format = if micro { "%Y-%m-%dT%H:%M:%S.%6fZ" } else { "%Y-%m-%dT%H:%M:%SZ" };
    Ok(at.strftime(format).to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Encodes a field whose value is bytes.
    fn encode_bytes(number: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
        out.extend_from_slice(content);
        out
    }

    /// Returns a request body with this `apiVersion`, this `kind` and the encoded object `raw`.
    fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let meta = [encode_bytes(1, api_version.as_bytes()), encode_bytes(2, kind.as_bytes())].concat();
        [MAGIC_NUMBER.to_vec(), encode_bytes(1, &meta), encode_bytes(2, raw)].concat()
    }

    #[test]
    fn objects_decode_to_their_json_form() {
        let label = encode_bytes(11, &[encode_bytes(1, b"app"), encode_bytes(2, b"web")].concat());
        let metadata = encode_bytes(1, &[encode_bytes(1, b"a"), encode_bytes(3, b"default"), label].concat());
        let data = encode_bytes(2, &[encode_bytes(1, b"k"), encode_bytes(2, b"v")].concat());
        let binary = encode_bytes(3, &[encode_bytes(1, b"b"), encode_bytes(2, &[0xff])].concat());
        let body = envelope("v1", "ConfigMap", &[metadata, data, binary, vec![4 << 3, 1]].concat());
        assert_eq!(
            decode(&body).unwrap(),
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "immutable": true,
                "metadata": {"name": "a", "namespace": "default", "labels": {"app": "web"}},
                "data": {"k": "v"}, "binaryData": {"b": "/w=="},
            })
        );
    }

    #[test]
    fn the_messages_time_and_int_or_string_decode_to_their_json_form() {
        let port =
            [encode_bytes(1, b"http"), vec![3 << 3, 80], encode_bytes(4, &[1 << 3, 1, 3 << 3 | 2, 1, b'x'])]
                .concat();
        let service = encode_bytes(2, &encode_bytes(1, &port));
        let object = decode(&envelope("v1", "Service", &service)).unwrap();
        assert_eq!(object["spec"]["ports"][0], json!({"name": "http", "port": 80, "targetPort": "x"}));
        let created = encode_bytes(1, &encode_bytes(8, &[1 << 3, 60]));
        let object = decode(&envelope("v1", "Pod", &created)).unwrap();
        assert_eq!(object["metadata"]["creationTimestamp"], "1970-01-01T00:01:00Z");
        let last = encode_bytes(1, &encode_bytes(8, &[1 << 3, 0xff, 0x82, 0xd1, 0xff, 0xaf, 0x07]));
        let object = decode(&envelope("v1", "Pod", &last)).unwrap();
        assert_eq!(object["metadata"]["creationTimestamp"], "9999-12-31T23:59:59Z");
        let forever = [vec![1 << 3], vec![0xff; 8], vec![0x7f, 2 << 3, 0xff, 0xff, 0xff, 0xff, 7]].concat();
        let error = decode(&envelope("v1", "Pod", &encode_bytes(1, &encode_bytes(8, &forever)))).unwrap_err();
        assert!(error.contains("out of range"), "{error}");
        let object = decode(&envelope("v1", "Pod", &encode_bytes(1, &encode_bytes(8, &[])))).unwrap();
        assert_eq!(object["metadata"]["creationTimestamp"], Value::Null);
    }

    #[test]
    fn zero_values_are_decoded_only_where_go_writes_them_to_json() {
        let spec = encode_bytes(2, &[1 << 3, 0, 5 << 3, 0]);
        let object = decode(&envelope("apps/v1", "Deployment", &spec)).unwrap();
        assert_eq!(object["spec"], json!({"replicas": 0}), "replicas is a pointer, minReadySeconds is not");
    }

    #[test]
    fn malformed_bodies_are_rejected_with_a_reason() {
        assert!(decode(b"{}").unwrap_err().contains("does not begin"));
        assert!(decode(&envelope("v1", "Nothing", b"")).unwrap_err().contains("no kind \"Nothing\""));
        let truncated = envelope("v1", "Pod", &[10, 200]);
        assert!(decode(&truncated).is_err());
        for end in 0..truncated.len() {
            let _ = decode(&truncated[..end]);
        }
    }
}
