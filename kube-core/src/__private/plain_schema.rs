//! The schemas of plain types with `#[derive(KubeSchema)]`: structs with named fields, and enums of unit variants.
//!
//! The schemas must equal the schemas of schemars' derive.

use std::borrow::Cow;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Value, json};

use super::FieldType;

/// The type of schema names and schema IDs.
pub type SchemaName = Cow<'static, str>;

/// The name and the doc comment of a field, and a function that returns its type. The doc comment may be empty.
type Field = (&'static str, &'static str, fn() -> FieldType);

/// The index of a field with `#[serde(default)]`, and a function that returns the value of the keyword `default`.
type FieldDefault = (usize, fn() -> Option<Value>);

/// The schema of a struct. `skippable` contains the indices of the fields with `#[serde(skip_serializing_if = "..")]`.
pub fn object_schema(
    generator: &mut SchemaGenerator,
    description: &str,
    fields: &[Field],
    defaults: &[FieldDefault],
    skippable: &[usize],
) -> Schema {
    let mut schema = json_schema!({ "type": "object" });
    let mut required = Vec::new();
    let mut schemas = serde_json::Map::new();
    for (index, &(name, description, field_type)) in fields.iter().enumerate() {
        let (mut schema, is_required) = field_type().field_schema(generator);
        insert_description(&mut schema, description);
        let default = defaults.iter().find(|(field, _)| *field == index);
        if let Some(default) = default.and_then(|(_, default)| default()) {
            schema.insert("default".to_owned(), default);
        }
        schemas.insert(name.to_owned(), schema.to_value());
        let is_required = if generator.contract().is_deserialize() {
            is_required && default.is_none()
        } else {
            !skippable.contains(&index)
        };
        if is_required {
            required.push(name);
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
