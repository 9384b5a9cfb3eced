//! The types of values in server-side apply: scalar, list or map, and whether a list or map is atomic.
//!
//! This module owns the interpretation of schemas for server-side apply, the keys of list items, and the check that a
//! value has its type. This module must not compare or change values.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::path::Element;
use crate::schema::{AdditionalFields, Kind, ListType, Schema};

/// The type of a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Type<'a> {
    /// The type that a schema specifies. `preserves_unknown` is set if the schema of an enclosing value preserves
    /// unknown fields.
    Schema { schema: &'a Schema, preserves_unknown: bool },
    /// A type without a schema, in which maps are granular and lists are atomic.
    Deduced,
    /// A type without a schema, in which maps and lists are atomic.
    Untyped,
}

/// The shape of a value: scalar, list or map.
#[derive(Clone, Copy)]
pub(super) enum Shape<'a> {
    Scalar(Scalar),
    List(List<'a>),
    Map(MapType<'a>),
}

/// The scalars that a type allows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar {
    Numeric,
    String,
    Boolean,
    Any,
}

/// The type of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct List<'a> {
    /// The fields that identify an item; `None` for an atomic list. Empty for a set, and for a list with only a
    /// `merge_key`.
    pub(super) keys: Option<&'a [Box<str>]>,
    /// An additional key field: the patch merge key, if the schema specifies the patch strategy `merge` but no list
    /// type.
    merge_key: Option<&'a str>,
    pub(super) items: Type<'a>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct MapType<'a> {
    schema: Option<&'a Schema>,
    preserves_unknown: bool,
    /// Whether writes replace the map as a whole.
    pub(super) atomic: bool,
    /// The type of fields that `schema` does not declare; `None` if the map must not have such fields.
    rest: Option<Type<'a>>,
}

impl<'a> Type<'a> {
    /// The type that a schema specifies.
    pub(super) fn of(schema: &'a Schema) -> Self {
        Self::Schema { schema, preserves_unknown: false }
    }

    /// The shape of `value`, if the type allows this shape. If not, or if the value is absent or null, returns the first
    /// allowed shape in the order map, scalar, list.
    pub(super) fn shape(self, value: Option<&Value>) -> Shape<'a> {
        let (scalar, list, map) = self.allowed_shapes();
        match value {
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                if let Some(scalar) = scalar {
                    return Shape::Scalar(scalar);
                }
            }
            Some(Value::Array(_)) => {
                if let Some(list) = list {
                    return Shape::List(list);
                }
            }
            Some(Value::Object(_)) => {
                if let Some(map) = map {
                    return Shape::Map(map);
                }
            }
            Some(Value::Null) | None => {}
        }
        match (map, scalar, list) {
            (Some(map), _, _) => Shape::Map(map),
            (_, Some(scalar), _) => Shape::Scalar(scalar),
            (_, _, Some(list)) => Shape::List(list),
            _ => Shape::Scalar(Scalar::Any),
        }
    }

    /// The shapes that the type allows.
    fn allowed_shapes(self) -> (Option<Scalar>, Option<List<'a>>, Option<MapType<'a>>) {
        let Self::Schema { schema, preserves_unknown } = self else {
            let (rest, atomic) = match self {
                Self::Deduced => (Self::Deduced, false),
                _ => (Self::Untyped, true),
            };
            let list = List { keys: None, merge_key: None, items: Self::Untyped };
            let map = MapType { schema: None, preserves_unknown: true, atomic, rest: Some(rest) };
            return (Some(Scalar::Any), Some(list), Some(map));
        };
        let shape = schema.shape();
        let preserves_unknown = preserves_unknown || schema.preserve_unknown || shape.preserve_unknown;
        match schema.component() {
            Some(name) if name.ends_with("apimachinery.pkg.runtime.RawExtension") => {
                return Self::Untyped.allowed_shapes();
            }
            Some(name) if name.ends_with("apimachinery.pkg.api.resource.Quantity") => {
                return (Some(Scalar::Any), None, None);
            }
            _ => {}
        }
        let list = || Some(list_type(schema, preserves_unknown));
        let map = || Some(map_type(schema, preserves_unknown));
        match schema.kind() {
            Kind::Any | Kind::IntOrString => (Some(Scalar::Any), list(), map()),
            Kind::Object => (None, None, map()),
            Kind::Array => (None, list(), None),
            Kind::Integer | Kind::Number => (Some(Scalar::Numeric), None, None),
            Kind::Boolean => (Some(Scalar::Boolean), None, None),
            Kind::String => {
                let format = shape.format.as_deref().or(schema.format.as_deref());
                let scalar = if matches!(format, None | Some("byte")) { Scalar::String } else { Scalar::Any };
                (Some(scalar), None, None)
            }
        }
    }
}

fn list_type(schema: &Schema, preserves_unknown: bool) -> List<'_> {
    let items = match schema.items() {
        Some(items) => Type::Schema { schema: items, preserves_unknown },
        None => Type::Untyped,
    };
    let merges = schema.patch_strategies().any(|strategy| strategy == "merge");
    let (keys, merge_key) = match schema.list_type {
        Some(ListType::Set) => (Some(&[][..]), None),
        Some(ListType::Map) => (Some(schema.list_keys()), None),
        None if merges => (Some(&[][..]), schema.merge_key.as_deref()),
        None | Some(ListType::Atomic) => (None, None),
    };
    List { keys, merge_key, items }
}

fn map_type(schema: &Schema, preserves_unknown: bool) -> MapType<'_> {
    let rest = match schema.additional_fields() {
        AdditionalFields::Unset if preserves_unknown || !schema.has_properties() => Some(Type::Deduced),
        AdditionalFields::Any => Some(Type::Deduced),
        AdditionalFields::Of(values) => Some(Type::Schema { schema: values, preserves_unknown }),
        AdditionalFields::Unset | AdditionalFields::Denied => None,
    };
    MapType { schema: Some(schema), preserves_unknown, atomic: schema.is_atomic_map(), rest }
}

impl<'a> MapType<'a> {
    /// Whether the field `name` is in the `properties` of the schema.
    pub(super) fn declares_field(&self, name: &str) -> bool {
        self.schema.is_some_and(|schema| schema.property(name).is_some())
    }

    /// The type of the field `name`; `None` if the map must not have this field.
    pub(super) fn field_type(&self, name: &str) -> Option<Type<'a>> {
        match self.schema.and_then(|schema| schema.property(name)) {
            Some(field) => Some(Type::Schema { schema: field, preserves_unknown: self.preserves_unknown }),
            None => self.rest,
        }
    }

    /// Whether the map can have fields of any name, and has neither `properties` nor a schema for its values.
    pub(super) fn accepts_any_fields(&self) -> bool {
        matches!(self.rest, Some(Type::Deduced | Type::Untyped))
            && self.schema.is_none_or(|schema| !schema.has_properties())
    }
}

impl List<'_> {
    /// Whether writes replace the list as a whole.
    pub(super) fn is_atomic(&self) -> bool {
        self.keys.is_none()
    }

    /// The path element that identifies an item.
    ///
    /// # Errors
    /// The list is atomic, the item has no key field, or the item has a type that the list must not contain.
    pub(super) fn path_element(&self, item: &Value) -> Result<Element, String> {
        let Some(keys) = self.keys else { return Err("invalid indexing of non-associative list".to_owned()) };
        let merge_key = self.merge_key.as_slice().iter().copied();
        let keys: Vec<&str> = keys.iter().map(|key| &**key).chain(merge_key).collect();
        if keys.is_empty() {
            return path_element_of_set_item(item);
        }
        let Value::Object(map) = item else {
            let what = if item.is_null() { "a null element" } else { "non-map elements" };
            return Err(format!("associative list with keys may not have {what}"));
        };
        let mut found = Map::new();
        for key in &keys {
            let value = map.get(*key).or_else(|| self.key_default(key));
            if let Some(value) = value {
                found.insert((*key).to_owned(), value.clone());
            }
        }
        if found.is_empty() {
            let names: Vec<String> = keys.iter().map(|key| format!("\"{key}\"")).collect();
            return Err(format!(
                "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
                names.join(" ")
            ));
        }
        Ok(Element::Key(found))
    }

    /// The value of a key field for items that do not have the field.
    fn key_default(&self, key: &str) -> Option<&Value> {
        match self.items {
            Type::Schema { schema, .. } => schema.property(key)?.key_default(),
            _ => None,
        }
    }
}

/// The path element of an item of a set: its value.
fn path_element_of_set_item(item: &Value) -> Result<Element, String> {
    match item {
        Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
        Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
        Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
        scalar => Ok(Element::Value(scalar.clone())),
    }
}

/// The paths of the atomic lists and maps in `value`, in the order of the fields. Skips each field that the
/// `properties` of its map's schema do not declare, and everything in this field.
pub(super) fn atomic_paths(ty: Type<'_>, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect_atomic_paths(ty, value, "", &mut found);
    found
}

fn collect_atomic_paths(ty: Type<'_>, value: &Value, path: &str, found: &mut Vec<String>) {
    match (ty.shape(Some(value)), value) {
        (Shape::Map(map), Value::Object(fields)) => {
            if map.atomic {
                found.push(path.to_owned());
            }
            for (name, value) in fields.iter().filter(|(name, _)| map.declares_field(name)) {
                if let Some(ty) = map.field_type(name) {
                    collect_atomic_paths(ty, value, &format!("{path}.{name}"), found);
                }
            }
        }
        (Shape::List(list), Value::Array(items)) => {
            if list.is_atomic() {
                found.push(path.to_owned());
            }
            for (index, item) in items.iter().enumerate() {
                collect_atomic_paths(list.items, item, &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

/// Checks that `value` has the type `ty`. If `allow_duplicates` is false, also checks that each item of a list has a
/// different key.
///
/// # Errors
/// The message of the API server: one error, or several on separate lines.
pub(super) fn check_type(ty: Type<'_>, value: &Value, allow_duplicates: bool) -> Result<(), String> {
    let mut errors = Vec::new();
    check_value(ty, value, "", allow_duplicates, &mut errors);
    match errors.as_slice() {
        [] => Ok(()),
        [only] => Err(only.clone()),
        many => Err(format!("errors:\n  {}", many.join("\n  "))),
    }
}

fn check_value(ty: Type<'_>, value: &Value, path: &str, allow_duplicates: bool, errors: &mut Vec<String>) {
    match (ty.shape(Some(value)), value) {
        (_, Value::Null) => {}
        (Shape::Scalar(scalar), value) => {
            if let Some(problem) = scalar.mismatch(value) {
                push_error(path, problem, errors);
            }
        }
        (Shape::List(list), Value::Array(items)) => check_items(list, items, path, allow_duplicates, errors),
        (Shape::Map(map), Value::Object(fields)) => {
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                let Some(ty) = map.field_type(name) else {
                    return push_error(&path, "field not declared in schema".to_owned(), errors);
                };
                check_value(ty, value, &path, allow_duplicates, errors);
            }
        }
        (Shape::List(_), value) => {
            push_error(path, format!("expected list, got {}", format_go_pointer(value)), errors);
        }
        (Shape::Map(_), value) => {
            push_error(path, format!("expected map, got {}", format_go_pointer(value)), errors);
        }
    }
}

fn check_items(
    list: List<'_>,
    items: &[Value],
    path: &str,
    allow_duplicates: bool,
    errors: &mut Vec<String>,
) {
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let element = if list.is_atomic() {
            Element::Index(i64::try_from(index).unwrap_or(i64::MAX))
        } else {
            match list.path_element(item) {
                Ok(element) => element,
                Err(problem) => return push_error(path, format!("element {index}: {problem}"), errors),
            }
        };
        if !seen.insert(element.clone()) && !allow_duplicates {
            push_error(path, format!("duplicate entries for key {element}"), errors);
        }
        check_value(list.items, item, &format!("{path}{element}"), allow_duplicates, errors);
    }
}

/// Adds an error about the value at `path`.
fn push_error(path: &str, problem: String, errors: &mut Vec<String>) {
    errors.push(if path.is_empty() { problem } else { format!("{path}: {problem}") });
}

impl Scalar {
    /// The error text for a value that is not a scalar of this type; `None` for a scalar of this type and for null.
    fn mismatch(self, value: &Value) -> Option<String> {
        let go_type = match value {
            Value::Bool(_) => "bool",
            Value::Number(number) if number.is_f64() => "float64",
            Value::Number(_) => "int64",
            Value::String(_) => "string",
            Value::Array(_) => "[]interface {}",
            Value::Object(_) => "map[string]interface {}",
            Value::Null => return None,
        };
        match (self, value) {
            (Self::Numeric, Value::Number(_))
            | (Self::String, Value::String(_))
            | (Self::Boolean, Value::Bool(_))
            | (Self::Any, Value::Number(_) | Value::String(_) | Value::Bool(_)) => None,
            (Self::Numeric, _) => Some(format!("expected numeric (int or float), got {go_type}")),
            (Self::String, _) => Some(format!(
                "expected string, got &value.valueUnstructured{{Value:{}}}",
                format_go_syntax(value)
            )),
            (Self::Boolean, _) => Some(format!("expected boolean, got {}", format_go_pointer(value))),
            (Self::Any, _) => Some(format!("expected any scalar, got {}", format_go_pointer(value))),
        }
    }
}

/// Formats a pointer to a Go struct whose only field contains this value: `&{a}` (`%v`).
fn format_go_pointer(value: &Value) -> String {
    format!("&{{{}}}", crate::patch::format_go_value(value))
}

/// Formats a value in Go syntax (`%#v`).
fn format_go_syntax(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(format_go_syntax).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(map) => {
            let entries: Vec<String> =
                map.iter().map(|(name, value)| format!("\"{name}\":{}", format_go_syntax(value))).collect();
            format!("map[string]interface {{}}{{{}}}", entries.join(", "))
        }
        Value::Null => "interface {}(nil)".to_owned(),
        scalar => scalar.to_string(),
    }
}
