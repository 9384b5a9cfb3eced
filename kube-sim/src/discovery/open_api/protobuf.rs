//! Encodes the OpenAPI 2 document in Protobuf, with the messages of `openapiv2.proto` in the library gnostic. Clients
//! in Go use this encoding.

use serde_json::{Map, Value};

/// A message that is being encoded.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn write_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(u8::try_from(value & 0x7f | 0x80).unwrap_or_default());
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap_or_default());
    }

    fn write_bytes(&mut self, field: u64, bytes: &[u8]) {
        self.write_varint(field << 3 | 2);
        self.write_varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// Writes a string. Writes nothing if the string is absent or empty.
    fn write_text(&mut self, field: u64, value: &Value) {
        if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
            self.write_bytes(field, text.as_bytes());
        }
    }

    /// Writes each string of a list. Writes one string if `value` is not a list.
    fn write_texts(&mut self, field: u64, value: &Value) {
        match value.as_array() {
            Some(list) => list.iter().for_each(|text| self.write_text(field, text)),
            None => self.write_text(field, value),
        }
    }

    fn write_flag(&mut self, field: u64, value: &Value) {
        if value == &Value::Bool(true) {
            self.write_varint(field << 3);
            self.write_varint(1);
        }
    }

    fn write_integer(&mut self, field: u64, value: &Value) {
        if let Some(number) = value.as_u64().filter(|number| *number > 0) {
            self.write_varint(field << 3);
            self.write_varint(number);
        }
    }

    fn write_double(&mut self, field: u64, value: &Value) {
        if let Some(number) = value.as_f64().filter(|number| *number != 0.0) {
            self.write_varint(field << 3 | 1);
            self.0.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn write_message(&mut self, field: u64, message: &Self) {
        self.write_bytes(field, &message.0);
    }

    /// Writes `value` as a message. Writes nothing if `value` is absent.
    fn write_optional_message(&mut self, field: u64, value: &Value, encode: fn(&Value) -> Self) {
        if !value.is_null() {
            self.write_message(field, &encode(value));
        }
    }

    /// Writes each entry of an object as a message with the fields `name` and `value`.
    fn write_entries(&mut self, field: u64, value: &Value, encode: fn(&Value) -> Self) {
        for (name, value) in value.as_object().into_iter().flatten() {
            let mut entry = Self::default();
            entry.write_bytes(1, name.as_bytes());
            entry.write_message(2, &encode(value));
            self.write_message(field, &entry);
        }
    }

    /// Writes the extensions of an object: the entries whose names begin with `x-`.
    fn write_extensions(&mut self, field: u64, value: &Value) {
        let entries = value.as_object().into_iter().flatten();
        let extensions = entries.filter(|(name, _)| name.starts_with("x-"));
        let extensions: Map<_, _> = extensions.map(|(name, value)| (name.clone(), value.clone())).collect();
        self.write_entries(field, &extensions.into(), any_message);
    }
}

/// Encodes a document.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut message = Message::default();
    message.write_text(1, &document["swagger"]);
    message.write_optional_message(2, &document["info"], |info| {
        let mut message = Message::default();
        message.write_text(1, &info["title"]);
        message.write_text(2, &info["version"]);
        message
    });
    message.write_optional_message(8, &document["paths"], |paths| {
        let mut message = Message::default();
        message.write_entries(2, paths, path_item);
        message
    });
    message.write_optional_message(9, &document["definitions"], named_schemas);
    message.write_optional_message(10, &document["parameters"], |parameters| {
        let mut message = Message::default();
        message.write_entries(1, parameters, parameter);
        message
    });
    for requirement in document["security"].as_array().into_iter().flatten() {
        message.write_optional_message(12, requirement, |requirement| {
            let mut message = Message::default();
            message.write_entries(1, requirement, string_array);
            message
        });
    }
    message.write_optional_message(13, &document["securityDefinitions"], |definitions| {
        let mut message = Message::default();
        message.write_entries(1, definitions, api_key);
        message
    });
    message.0
}

/// The message `Any` with a value. The field `yaml` of the message contains the value as JSON, which is valid YAML.
fn any_message(value: &Value) -> Message {
    let mut message = Message::default();
    message.write_bytes(2, value.to_string().as_bytes());
    message
}

fn string_array(value: &Value) -> Message {
    let mut message = Message::default();
    message.write_texts(1, value);
    message
}

/// A `SecurityDefinitionsItem` of an API key.
fn api_key(value: &Value) -> Message {
    let mut key = Message::default();
    for (field, name) in [(1, "type"), (2, "name"), (3, "in"), (4, "description")] {
        key.write_text(field, &value[name]);
    }
    wrap_message(2, &key)
}

/// Returns a message whose only field is `inner`, with the number `field`.
fn wrap_message(field: u64, inner: &Message) -> Message {
    let mut message = Message::default();
    message.write_message(field, inner);
    message
}

fn path_item(item: &Value) -> Message {
    let mut message = Message::default();
    let methods = ["get", "put", "post", "delete", "options", "head", "patch"];
    for (field, method) in (2..).zip(methods) {
        message.write_optional_message(field, &item[method], operation);
    }
    for parameter in item["parameters"].as_array().into_iter().flatten() {
        message.write_message(9, &parameter_item(parameter));
    }
    message
}

fn operation(operation: &Value) -> Message {
    let mut message = Message::default();
    message.write_texts(1, &operation["tags"]);
    message.write_text(3, &operation["description"]);
    message.write_text(5, &operation["operationId"]);
    message.write_texts(6, &operation["produces"]);
    message.write_texts(7, &operation["consumes"]);
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        message.write_message(8, &parameter_item(parameter));
    }
    message.write_optional_message(9, &operation["responses"], |responses| {
        let mut message = Message::default();
        message.write_entries(1, responses, response);
        message
    });
    message.write_texts(10, &operation["schemes"]);
    message.write_flag(11, &operation["deprecated"]);
    message.write_extensions(13, operation);
    message
}

/// A `ParametersItem`: a parameter, or a reference to a parameter.
fn parameter_item(value: &Value) -> Message {
    if value["$ref"].is_null() {
        return wrap_message(1, &parameter(value));
    }
    let mut reference = Message::default();
    reference.write_text(1, &value["$ref"]);
    wrap_message(2, &reference)
}

fn parameter(parameter: &Value) -> Message {
    let mut message = Message::default();
    if parameter["in"] == "body" {
        for (field, name) in [(1, "description"), (2, "name"), (3, "in")] {
            message.write_text(field, &parameter[name]);
        }
        message.write_flag(4, &parameter["required"]);
        message.write_optional_message(5, &parameter["schema"], schema);
        return wrap_message(1, &message);
    }
    message.write_flag(1, &parameter["required"]);
    for (field, name) in [(2, "in"), (3, "description"), (4, "name")] {
        message.write_text(field, &parameter[name]);
    }
    // The message of a query parameter has an additional field 5, so its later fields have larger numbers.
    let (kind, shift) = if parameter["in"] == "path" { (4, 0) } else { (3, 1) };
    message.write_text(5 + shift, &parameter["type"]);
    message.write_text(6 + shift, &parameter["format"]);
    message.write_flag(19 + shift, &parameter["uniqueItems"]);
    wrap_message(2, &wrap_message(kind, &message))
}

fn response(response: &Value) -> Message {
    let mut message = Message::default();
    message.write_text(1, &response["description"]);
    message.write_optional_message(2, &response["schema"], |value| wrap_message(1, &schema(value)));
    wrap_message(1, &message)
}

fn named_schemas(schemas: &Value) -> Message {
    let mut message = Message::default();
    message.write_entries(1, schemas, schema);
    message
}

fn schema(schema: &Value) -> Message {
    let mut message = Message::default();
    for (field, name) in [(1, "$ref"), (2, "format"), (3, "title"), (4, "description"), (13, "pattern")] {
        message.write_text(field, &schema[name]);
    }
    for (field, name) in [(6, "multipleOf"), (7, "maximum"), (9, "minimum")] {
        message.write_double(field, &schema[name]);
    }
    for (field, name) in [(8, "exclusiveMaximum"), (10, "exclusiveMinimum"), (16, "uniqueItems")] {
        message.write_flag(field, &schema[name]);
    }
    for (field, name) in [
        (11, "maxLength"),
        (12, "minLength"),
        (14, "maxItems"),
        (15, "minItems"),
        (17, "maxProperties"),
        (18, "minProperties"),
    ] {
        message.write_integer(field, &schema[name]);
    }
    message.write_texts(19, &schema["required"]);
    for value in schema["enum"].as_array().into_iter().flatten() {
        message.write_message(20, &any_message(value));
    }
    message.write_optional_message(21, &schema["additionalProperties"], additional_properties);
    message.write_optional_message(22, &schema["type"], string_array);
    message.write_optional_message(23, &schema["items"], |items| wrap_message(1, &self::schema(items)));
    message.write_optional_message(25, &schema["properties"], named_schemas);
    message.write_extensions(31, schema);
    message
}

fn additional_properties(value: &Value) -> Message {
    if value.is_object() {
        return wrap_message(1, &schema(value));
    }
    let mut message = Message::default();
    message.write_flag(2, value);
    message
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_and_messages_are_encoded_with_field_number_and_length() {
        let document = json!({"swagger": "2.0", "info": {"title": "K"}});
        assert_eq!(encode(&document), b"\x0a\x032.0\x12\x03\x0a\x01K");
    }

    #[test]
    fn extensions_are_encoded_as_yaml_and_large_numbers_as_varints() {
        let message = schema(&json!({"maxLength": 300, "x-a": {"b": 1}}));
        // Field 11 is 300. Field 31 has the name `x-a` and an `Any` as its value; field 2 of `Any` is `{"b":1}`.
        let expected = [&[0x58, 0xac, 0x02, 0xfa, 0x01, 0x10][..], b"\x0a\x03x-a\x12\x09\x12\x07{\"b\":1}"];
        assert_eq!(message.0, expected.concat());
    }

    #[test]
    fn path_and_query_parameters_are_encoded_as_different_messages() {
        let path = parameter(&json!({"in": "path", "uniqueItems": true}));
        assert_eq!(path.0, b"\x12\x0b\x22\x09\x12\x04path\x98\x01\x01");
        let query = parameter(&json!({"in": "query", "uniqueItems": true}));
        assert_eq!(query.0, b"\x12\x0c\x1a\x0a\x12\x05query\xa0\x01\x01");
    }
}
