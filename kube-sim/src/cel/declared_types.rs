//! The types that a structural schema declares for values, with the size limits that cost estimates need.
//!
//! This module owns the translation of schemas to declared types. Rules cannot access values without a declared type,
//! such as unknown fields that `x-kubernetes-preserve-unknown-fields` preserves.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::escape::escape;
use super::keywords::{entries, flag, limit, list, text};
use super::types::{ObjectType, Type};

/// The maximum size of a request in bytes. It limits the values whose schema specifies no limit.
pub(super) const MAX_REQUEST_SIZE: u64 = 3 * 1024 * 1024;

/// The type that a schema declares for a value.
#[derive(Debug)]
pub(super) struct DeclaredType {
    pub(super) shape: Shape,
    /// The maximum number of bytes in a string, items in a list or entries in a map. For any other value, the size that
    /// the API server assumes, which is 0 for most types.
    pub(super) max_elements: u64,
    /// The minimum size of the value as JSON, in bytes.
    pub(super) min_size: u64,
    /// Whether the value may be null.
    pub(super) nullable: bool,
}

/// The structure of a value, from the keywords `type`, `format` and others of its schema.
#[derive(Debug)]
pub(super) enum Shape {
    /// An integer or a string (`x-kubernetes-int-or-string`).
    IntOrString,
    Bool,
    Int,
    Double,
    String,
    /// A string with the format `byte`.
    Bytes,
    Duration,
    /// A string with the format `date`.
    Date,
    /// A string with the format `date-time`.
    DateTime,
    List {
        items: Arc<DeclaredType>,
        keys: ListType,
    },
    Map {
        /// The maximum number of characters of a key; 0 for a map that a schema declares, as in the API server.
        key_size: u64,
        entry: Arc<DeclaredType>,
    },
    /// A quantity, such as a capacity of a device.
    Quantity,
    /// The value of an attribute of a device: a bool, an int, a string or a version.
    DeviceAttribute,
    /// An object. Each key is the name of a field in CEL rules: the result of [`escape`].
    Object(BTreeMap<String, Field>),
}

/// How comparisons identify the items of a list (`x-kubernetes-list-type`).
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ListType {
    Atomic,
    Set,
    /// The names of the key fields.
    Map(Vec<String>),
}

/// A field of an object.
#[derive(Debug)]
pub(super) struct Field {
    /// The name of the field in objects. Rules use the name that [`escape`] returns.
    pub(super) name: String,
    pub(super) declared: Arc<DeclaredType>,
}

impl DeclaredType {
    /// The declared type of the values of `schema`; `None` if rules cannot access these values. `root` is whether the values
    /// are whole objects, with `apiVersion`, `kind` and `metadata`.
    pub(super) fn of(schema: &Value, root: bool) -> Option<Arc<Self>> {
        let of_child = |child: &Value| Self::of(child, flag(child, "x-kubernetes-embedded-resource"));
        let (shape, max_elements, min_size) = if flag(schema, "x-kubernetes-int-or-string") {
            let max =
                limit(schema, "maxLength").map_or(MAX_REQUEST_SIZE - 2, |length| length.saturating_mul(4));
            (Shape::IntOrString, max, 1)
        } else {
            match text(schema, "type") {
                "array" => {
                    let items = of_child(schema.get("items")?)?;
                    let fit = (MAX_REQUEST_SIZE - 2) / (items.min_size + 1);
                    let keys = list_type(schema);
                    (Shape::List { items, keys }, limit(schema, "maxItems").unwrap_or(fit), 2)
                }
                "object" => match schema.get("additionalProperties").filter(|entry| entry.is_object()) {
                    Some(entry) if !root => {
                        let entry = of_child(entry)?;
                        let fit = (MAX_REQUEST_SIZE - 2) / (entry.min_size + 6);
                        (Shape::Map { key_size: 0, entry }, limit(schema, "maxProperties").unwrap_or(fit), 2)
                    }
                    _ => {
                        let (fields, min_size) = fields(schema, root, &of_child);
                        (Shape::Object(fields), 0, min_size)
                    }
                },
                "string" => string_type(schema),
                "boolean" => (Shape::Bool, 0, 4),
                "number" => (Shape::Double, 0, 1),
                "integer" => (Shape::Int, 0, 1),
                _ => return None,
            }
        };
        Some(Arc::new(Self { shape, max_elements, min_size, nullable: flag(schema, "nullable") }))
    }

    /// The type of the value in rules. An object type gets the name `name`, and the names of nested object types begin with
    /// `name`.
    pub(super) fn to_type(self: &Arc<Self>, name: &str) -> Type {
        match &self.shape {
            Shape::IntOrString => Type::Dyn,
            Shape::Bool => Type::Bool,
            Shape::Int => Type::Int,
            Shape::Double => Type::Double,
            Shape::String => Type::String,
            Shape::Bytes => Type::Bytes,
            Shape::Duration => Type::Duration,
            Shape::Date | Shape::DateTime => Type::Timestamp,
            Shape::List { items, .. } => Type::list(items.to_type(&format!("{name}.@idx"))),
            Shape::Map { entry, .. } => Type::map(Type::String, entry.to_type(&format!("{name}.@elem"))),
            Shape::Quantity => Type::Named("kubernetes.Quantity"),
            Shape::DeviceAttribute => Type::Any,
            Shape::Object(_) => Type::Object(ObjectType { name: name.into(), declared: Arc::clone(self) }),
        }
    }

    /// The declared type of the items of a list or of the values of a map.
    pub(super) fn element(&self) -> Option<&Arc<Self>> {
        match &self.shape {
            Shape::List { items, .. } => Some(items),
            Shape::Map { entry, .. } => Some(entry),
            _ => None,
        }
    }

    /// The field of an object, by its name in rules.
    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        match &self.shape {
            Shape::Object(fields) => fields.get(name).or_else(|| {
                // A rule may also use a reserved word without escaping it, as in `self.namespace`.
                let escaped = escape(name)?;
                fields.get(&escaped).filter(|_| escaped == format!("__{name}__"))
            }),
            _ => None,
        }
    }
}

fn list_type(schema: &Value) -> ListType {
    match text(schema, "x-kubernetes-list-type") {
        "set" => ListType::Set,
        "map" => {
            let keys = list(schema, "x-kubernetes-list-map-keys").iter();
            ListType::Map(keys.filter_map(Value::as_str).map(str::to_owned).collect())
        }
        _ => ListType::Atomic,
    }
}

/// The fields that rules can access in an object, and the minimum size of the object as JSON.
fn fields(
    schema: &Value,
    root: bool,
    of_child: &impl Fn(&Value) -> Option<Arc<DeclaredType>>,
) -> (BTreeMap<String, Field>, u64) {
    let required = |name: &str| list(schema, "required").iter().any(|field| field == name);
    let mut fields = BTreeMap::new();
    let mut min_size = 2;
    let mut add = |name: &str, property: &Value| {
        let Some(declared) = of_child(property) else { return };
        if required(name) && property.get("default").is_none_or(Value::is_null) {
            min_size += name.len() as u64 + declared.min_size + 4;
        }
        if let Some(escaped) = escape(name) {
            fields.insert(escaped, Field { name: name.to_owned(), declared });
        }
    };
    for (name, property) in entries(schema, "properties") {
        if !(root && matches!(name, "apiVersion" | "kind" | "metadata")) {
            add(name, property);
        }
    }
    if root {
        let string = serde_json::json!({"type": "string"});
        let names = serde_json::json!({"name": string, "generateName": string});
        add("apiVersion", &string);
        add("kind", &string);
        add("metadata", &serde_json::json!({"type": "object", "properties": names}));
    }
    (fields, min_size)
}

/// The shape of a string, its maximum number of bytes, and its minimum size as JSON.
fn string_type(schema: &Value) -> (Shape, u64, u64) {
    let max_length = limit(schema, "maxLength");
    match text(schema, "format") {
        "byte" => (Shape::Bytes, max_length.unwrap_or(MAX_REQUEST_SIZE - 2), 2),
        "duration" => (Shape::Duration, 32, 3),
        "date" => (Shape::Date, 12, 12),
        "date-time" => (Shape::DateTime, 32, 21),
        _ => {
            let longest = list(schema, "enum").iter().filter_map(Value::as_str).map(str::len).max();
            let max = match (max_length, longest) {
                (Some(length), _) => length.saturating_mul(4),
                (None, Some(longest)) => longest as u64,
                (None, None) => MAX_REQUEST_SIZE - 2,
            };
            (Shape::String, max, 2)
        }
    }
}
