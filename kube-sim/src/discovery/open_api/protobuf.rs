//! Encodes the OpenAPI 2 document in Protobuf, with the messages of `openapiv2.proto` in the library gnostic. Clients
//! in Go use this encoding.

use serde_json::{Map, Value};

/// A message that is being encoded.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(u8::try_from(value & 0x7f | 0x80).unwrap_or_default());
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap_or_default());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A string; nothing if it is absent or empty.
    fn text(&mut self, field: u64, value: &Value) {
        if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
            self.bytes(field, text.as_bytes());
        }
    }

    /// The strings of a list, or one string.
    fn texts(&mut self, field: u64, value: &Value) {
        match value.as_array() {
            Some(list) => list.iter().for_each(|text| self.text(field, text)),
            None => self.text(field, value),
        }
    }

    fn flag(&mut self, field: u64, value: &Value) {
        if value == &Value::Bool(true) {
            self.varint(field << 3);
            self.varint(1);
        }
    }

    fn integer(&mut self, field: u64, value: &Value) {
        if let Some(number) = value.as_u64().filter(|number| *number > 0) {
            self.varint(field << 3);
            self.varint(number);
        }
    }

    fn double(&mut self, field: u64, value: &Value) {
        if let Some(number) = value.as_f64().filter(|number| *number != 0.0) {
            self.varint(field << 3 | 1);
            self.0.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn message(&mut self, field: u64, message: &Self) {
        self.bytes(field, &message.0);
    }

    /// A message; nothing if `value` is absent.
    fn optional(&mut self, field: u64, value: &Value, encode: fn(&Value) -> Self) {
        if !value.is_null() {
            self.message(field, &encode(value));
        }
    }

    /// The entries of an object, as messages with the fields `name` and `value`.
    fn named(&mut self, field: u64, value: &Value, encode: fn(&Value) -> Self) {
        for (name, value) in value.as_object().into_iter().flatten() {
            let mut entry = Self::default();
            entry.bytes(1, name.as_bytes());
            entry.message(2, &encode(value));
            self.message(field, &entry);
        }
    }

    /// The extensions of an object: the keys that begin with `x-`.
    fn extensions(&mut self, field: u64, value: &Value) {
        let entries = value.as_object().into_iter().flatten();
        let extensions = entries.filter(|(name, _)| name.starts_with("x-"));
        let extensions: Map<_, _> = extensions.map(|(name, value)| (name.clone(), value.clone())).collect();
        self.named(field, &extensions.into(), any);
    }
}

/// Encodes a document.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut message = Message::default();
    message.text(1, &document["swagger"]);
    message.optional(2, &document["info"], |info| {
        let mut message = Message::default();
        message.text(1, &info["title"]);
        message.text(2, &info["version"]);
        message
    });
    message.optional(8, &document["paths"], |paths| {
        let mut message = Message::default();
        message.named(2, paths, path_item);
        message
    });
    message.optional(9, &document["definitions"], named_schemas);
    message.optional(10, &document["parameters"], |parameters| {
        let mut message = Message::default();
        message.named(1, parameters, parameter);
        message
    });
    for requirement in document["security"].as_array().into_iter().flatten() {
        message.optional(12, requirement, |requirement| {
            let mut message = Message::default();
            message.named(1, requirement, string_array);
            message
        });
    }
    message.optional(13, &document["securityDefinitions"], |definitions| {
        let mut message = Message::default();
        message.named(1, definitions, api_key);
        message
    });
    message.0
}

/// Any value, as YAML; JSON is YAML.
fn any(value: &Value) -> Message {
    let mut message = Message::default();
    message.bytes(2, value.to_string().as_bytes());
    message
}

fn string_array(value: &Value) -> Message {
    let mut message = Message::default();
    message.texts(1, value);
    message
}

/// A `SecurityDefinitionsItem` of an API key.
fn api_key(value: &Value) -> Message {
    let mut key = Message::default();
    for (field, name) in [(1, "type"), (2, "name"), (3, "in"), (4, "description")] {
        key.text(field, &value[name]);
    }
    wrapped(2, &key)
}

/// A message that consists of one field.
fn wrapped(field: u64, inner: &Message) -> Message {
    let mut message = Message::default();
    message.message(field, inner);
    message
}

fn path_item(item: &Value) -> Message {
    let mut message = Message::default();
    let methods = ["get", "put", "post", "delete", "options", "head", "patch"];
    for (field, method) in (2..).zip(methods) {
        message.optional(field, &item[method], operation);
    }
    for parameter in item["parameters"].as_array().into_iter().flatten() {
        message.message(9, &parameter_item(parameter));
    }
    message
}

fn operation(operation: &Value) -> Message {
    let mut message = Message::default();
    message.texts(1, &operation["tags"]);
    message.text(3, &operation["description"]);
    message.text(5, &operation["operationId"]);
    message.texts(6, &operation["produces"]);
    message.texts(7, &operation["consumes"]);
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        message.message(8, &parameter_item(parameter));
    }
    message.optional(9, &operation["responses"], |responses| {
        let mut message = Message::default();
        message.named(1, responses, response);
        message
    });
    message.texts(10, &operation["schemes"]);
    message.flag(11, &operation["deprecated"]);
    message.extensions(13, operation);
    message
}

/// A parameter, or a reference to one.
fn parameter_item(value: &Value) -> Message {
    if value["$ref"].is_null() {
        return wrapped(1, &parameter(value));
    }
    let mut reference = Message::default();
    reference.text(1, &value["$ref"]);
    wrapped(2, &reference)
}

fn parameter(parameter: &Value) -> Message {
    let mut message = Message::default();
    if parameter["in"] == "body" {
        for (field, name) in [(1, "description"), (2, "name"), (3, "in")] {
            message.text(field, &parameter[name]);
        }
        message.flag(4, &parameter["required"]);
        message.optional(5, &parameter["schema"], schema);
        return wrapped(1, &message);
    }
    message.flag(1, &parameter["required"]);
    for (field, name) in [(2, "in"), (3, "description"), (4, "name")] {
        message.text(field, &parameter[name]);
    }
    // The message of a query parameter has an additional field 5, so its later fields have larger numbers.
    let (kind, shift) = if parameter["in"] == "path" { (4, 0) } else { (3, 1) };
    message.text(5 + shift, &parameter["type"]);
    message.text(6 + shift, &parameter["format"]);
    message.flag(19 + shift, &parameter["uniqueItems"]);
    wrapped(2, &wrapped(kind, &message))
}

fn response(response: &Value) -> Message {
    let mut message = Message::default();
    message.text(1, &response["description"]);
    message.optional(2, &response["schema"], |value| wrapped(1, &schema(value)));
    wrapped(1, &message)
}

fn named_schemas(schemas: &Value) -> Message {
    let mut message = Message::default();
    message.named(1, schemas, schema);
    message
}

fn schema(schema: &Value) -> Message {
    let mut message = Message::default();
    for (field, name) in [(1, "$ref"), (2, "format"), (3, "title"), (4, "description"), (13, "pattern")] {
        message.text(field, &schema[name]);
    }
    for (field, name) in [(6, "multipleOf"), (7, "maximum"), (9, "minimum")] {
        message.double(field, &schema[name]);
    }
    for (field, name) in [(8, "exclusiveMaximum"), (10, "exclusiveMinimum"), (16, "uniqueItems")] {
        message.flag(field, &schema[name]);
    }
    for (field, name) in [
        (11, "maxLength"),
        (12, "minLength"),
        (14, "maxItems"),
        (15, "minItems"),
        (17, "maxProperties"),
        (18, "minProperties"),
    ] {
        message.integer(field, &schema[name]);
    }
    message.texts(19, &schema["required"]);
    for value in schema["enum"].as_array().into_iter().flatten() {
        message.message(20, &any(value));
    }
    message.optional(21, &schema["additionalProperties"], additional_properties);
    message.optional(22, &schema["type"], string_array);
    message.optional(23, &schema["items"], |items| wrapped(1, &self::schema(items)));
    message.optional(25, &schema["properties"], named_schemas);
    message.extensions(31, schema);
    message
}

fn additional_properties(value: &Value) -> Message {
    if value.is_object() {
        return wrapped(1, &schema(value));
    }
    let mut message = Message::default();
    message.flag(2, value);
    message
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_have_numbers_and_lengths() {
        let document = json!({"swagger": "2.0", "info": {"title": "K"}});
        assert_eq!(encode(&document), b"\x0a\x032.0\x12\x03\x0a\x01K");
    }

    #[test]
    fn extensions_are_yaml_and_numbers_of_128_or_more_have_two_bytes() {
        let message = schema(&json!({"maxLength": 300, "x-a": {"b": 1}}));
        // Field 11 with 300, field 31 with the name `x-a` and the value `{"b":1}` in field 2.
        let expected = [&[0x58, 0xac, 0x02, 0xfa, 0x01, 0x10][..], b"\x0a\x03x-a\x12\x09\x12\x07{\"b\":1}"];
        assert_eq!(message.0, expected.concat());
    }

    #[test]
    fn parameters_of_path_and_query_have_their_own_messages() {
        let path = parameter(&json!({"in": "path", "uniqueItems": true}));
        assert_eq!(path.0, b"\x12\x0b\x22\x09\x12\x04path\x98\x01\x01");
        let query = parameter(&json!({"in": "query", "uniqueItems": true}));
        assert_eq!(query.0, b"\x12\x0c\x1a\x0a\x12\x05query\xa0\x01\x01");
    }
}
