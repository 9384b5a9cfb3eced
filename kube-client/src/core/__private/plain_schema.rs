//! The schemas of plain types with `#[derive(KubeSchema)]`: structs with named fields, and enums of unit variants.
//!
//! The schemas must equal the schemas of schemars' derive.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Value, json};

/// The type of schema names and schema IDs.
pub type SchemaName = Cow<'static, str>;

/// A field of a plain struct.
#[derive(Debug, Clone, Copy)]
pub struct Property {
    name: &'static str,
    /// The doc comment of the field; empty without a doc comment.
    description: &'static str,
    /// Generates the schema of [`OneField`] for the type of the field.
    one_field_schema: fn(&mut SchemaGenerator) -> Schema,
    /// For a field with `#[serde(default)]`: returns the value of the keyword `default`.
    default: Option<fn() -> Option<Value>>,
    /// Whether the field has `#[serde(skip_serializing_if = "..")]`.
    is_skippable: bool,
}

/// A struct with one field. Its schema contains the schema of the field, and tells whether the field is required: a field
/// is not required if its type is an `Option`, or a transparent type that contains an `Option`.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "only the schema of this type is used")]
struct OneField<T: ?Sized> {
    value: T,
}

impl Property {
    pub const fn new<T: JsonSchema + ?Sized>(name: &'static str, description: &'static str) -> Self {
        Self {
            name,
            description,
            one_field_schema: OneField::<T>::json_schema,
            default: None,
            is_skippable: false,
        }
    }

    /// Marks a field with `#[serde(default)]`. `value` returns the value of the keyword `default`.
    #[must_use]
    pub const fn default_value(self, value: fn() -> Option<Value>) -> Self {
        Self { default: Some(value), ..self }
    }

    /// Marks a field with `#[serde(skip_serializing_if = "..")]`.
    #[must_use]
    pub const fn skippable(self) -> Self {
        Self { is_skippable: true, ..self }
    }

    /// Returns the schema of the field, and whether the field is required.
    fn schema(&self, generator: &mut SchemaGenerator) -> (Value, bool) {
        let mut one_field = (self.one_field_schema)(generator);
        let is_required = one_field.get("required").is_some();
        let value = one_field.pointer_mut("/properties/value").map_or(Value::Bool(true), Value::take);
        let is_required = if generator.contract().is_deserialize() {
            is_required && self.default.is_none()
        } else {
            !self.is_skippable
        };
        let mut schema = Schema::try_from(value).unwrap_or_default();
        insert_description(&mut schema, self.description);
        if let Some(default) = self.default.and_then(|default| default()) {
            schema.insert("default".to_owned(), default);
        }
        (schema.to_value(), is_required)
    }
}

/// The schema of a struct with the fields `properties`.
pub fn object_schema(generator: &mut SchemaGenerator, description: &str, properties: &[Property]) -> Schema {
    let mut schema = json_schema!({ "type": "object" });
    let mut required = Vec::new();
    let mut schemas = serde_json::Map::new();
    for property in properties {
        let (schema, is_required) = property.schema(generator);
        schemas.insert(property.name.to_owned(), schema);
        if is_required {
            required.push(property.name);
        }
    }
    if !schemas.is_empty() {
        schema.insert("properties".to_owned(), Value::Object(schemas));
    }
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    insert_description(&mut schema, description);
    schema
}

/// The schema of an enum of unit variants. `variants` contains the names of the variants in JSON.
pub fn enum_schema(description: &str, variants: &[&str]) -> Schema {
    let mut schema = json_schema!({ "type": "string", "enum": variants });
    insert_description(&mut schema, description);
    schema
}

fn insert_description(schema: &mut Schema, description: &str) {
    if !description.is_empty() {
        schema.insert("description".to_owned(), description.into());
    }
}

/// Serializes a value whose type may implement `Serialize`. `SerializeProbe(value).default_to_value()` calls the inherent
/// method if the type implements `Serialize`, and the method of [`SerializeFallback`] otherwise.
#[derive(Debug)]
pub struct SerializeProbe<T>(pub T);

impl<T: Serialize> SerializeProbe<T> {
    /// The JSON of the value; `None` if the value cannot be serialized.
    pub fn default_to_value(self) -> Option<Value> {
        serde_json::to_value(self.0).ok()
    }
}

/// The fallback of [`SerializeProbe`]. Its method is called if the type of the value does not implement `Serialize`.
pub trait SerializeFallback: Sized {
    /// Returns `None`.
    fn default_to_value(self) -> Option<Value> {
        None
    }
}

impl<T> SerializeFallback for SerializeProbe<T> {}
