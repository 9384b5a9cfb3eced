//! Recursive functions on one value or one field set: they compute the field set of a value, remove fields from a
//! value, and adapt a field set to a changed schema.
//!
//! [`super::compare`] and [`super::merge`] work on two values. Callers must pass only values that
//! [`super::value_types::check_type`] accepts.

use serde_json::Value;

use std::collections::{BTreeMap, BTreeSet};

use super::field_set::FieldSet;
use super::path::Element;
use super::value_types::{Shape, Type};

/// The field set of a value: the paths of scalars, nulls, atomic lists and maps, empty maps, items of granular lists,
/// and map entries that are not in the `properties` of a schema.
pub(super) fn field_set(ty: Type<'_>, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    collect_fields(ty, value, &mut Vec::new(), &mut set);
    set
}

/// Adds the paths in the field set of `value` to `set`; `path` is the path of `value`.
fn collect_fields(ty: Type<'_>, value: &Value, path: &mut Vec<Element>, set: &mut FieldSet) {
    match (ty.shape(Some(value)), value) {
        (Shape::Scalar(_), _) => set.insert(path),
        (Shape::List(list), _) if list.is_atomic() => set.insert(path),
        (Shape::Map(map), _) if map.atomic => set.insert(path),
        (Shape::List(list), Value::Array(items)) => {
            let elements: Vec<Element> =
                items.iter().filter_map(|item| list.path_element(item).ok()).collect();
            let mut counts: BTreeMap<&Element, usize> = BTreeMap::new();
            for element in &elements {
                *counts.entry(element).or_default() += 1;
            }
            for (element, item) in elements.iter().zip(items) {
                path.push(element.clone());
                set.insert(path);
                if counts.get(element) == Some(&1) {
                    collect_fields(list.items, item, path, set);
                }
                path.pop();
            }
        }
        (Shape::Map(map), Value::Object(entries)) => {
            for (name, value) in entries {
                let Some(ty) = map.field_type(name) else { continue };
                path.push(Element::Field(name.clone()));
                collect_fields(ty, value, path, set);
                let is_empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
                if is_empty || !map.declares_field(name) {
                    set.insert(path);
                }
                path.pop();
            }
        }
        _ => {}
    }
}

/// Removes the fields and items in `set` from `value`. Returns `None` if nothing remains. If `set` contains a
/// path below an atomic list or map, nothing of this list or map remains. A field or item that is not in
/// `set` stays, even if nothing of its value remains: the value then becomes null.
pub(super) fn remove_fields(ty: Type<'_>, value: &Value, set: &FieldSet) -> Option<Value> {
    match (ty.shape(Some(value)), value) {
        (Shape::Scalar(_), value) => Some(value.clone()),
        (Shape::List(list), Value::Array(items)) if !list.is_atomic() => {
            let mut kept = Vec::new();
            for item in items {
                let Ok(element) = list.path_element(item) else { continue };
                if set.has_member(&element) {
                    continue;
                }
                match set.paths_below(&element) {
                    Some(below) => kept.push(remove_fields(list.items, item, below).unwrap_or(Value::Null)),
                    None => kept.push(item.clone()),
                }
            }
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        (Shape::Map(map), Value::Object(entries)) if !map.atomic => {
            let mut kept = serde_json::Map::new();
            for (name, value) in entries {
                let element = Element::Field(name.clone());
                if set.has_member(&element) {
                    continue;
                }
                let rest = match (set.paths_below(&element), map.field_type(name)) {
                    (Some(below), Some(ty)) => remove_fields(ty, value, below).unwrap_or(Value::Null),
                    _ => value.clone(),
                };
                kept.insert(name.clone(), rest);
            }
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        _ => None,
    }
}

/// Adds the parent paths of the paths in `set`, if the parents are in the `properties` of a schema. A removal of all
/// fields of an object then also removes the object.
pub(super) fn with_parents(ty: Type<'_>, set: &FieldSet) -> FieldSet {
    let shape = ty.shape(None);
    let declares = |element: &Element| match (&shape, element) {
        (Shape::Map(map), Element::Field(name)) => map.declares_field(name),
        _ => false,
    };
    let below = |element: &Element, set: FieldSet| {
        let ty = match (ty.shape(Some(&empty_parent(element))), element) {
            (Shape::Map(map), Element::Field(name)) => map.field_type(name),
            (Shape::List(list), _) => Some(list.items),
            _ => None,
        };
        match ty {
            Some(ty) => with_parents(ty, &set),
            None => set,
        }
    };
    set.with_members(declares).map_children(below)
}

/// An empty value that may contain `element`: a map for a field, otherwise a list.
fn empty_parent(element: &Element) -> Value {
    match element {
        Element::Field(_) => Value::Object(serde_json::Map::new()),
        _ => Value::Array(Vec::new()),
    }
}

/// Adapts a field set to a changed schema, as Go's `ReconcileFieldSetWithSchema` does; `None` if nothing changes. If a
/// list or map has become atomic, the paths below it are replaced with the path of the list or map.
pub(super) fn reconcile_with_schema(ty: Type<'_>, set: &FieldSet) -> Option<FieldSet> {
    let mut atomic = FieldSet::default();
    collect_newly_atomic_fields(ty, set, &mut Vec::new(), false, &mut atomic);
    (!atomic.is_empty()).then(|| set.recursive_difference(&atomic).union(&atomic))
}

/// Adds to `atomic` the paths of lists and maps that have become atomic. `set` contains the paths below `path`;
/// `is_leaf` is true if the whole field set contains `path` but no paths below it.
fn collect_newly_atomic_fields(
    ty: Type<'_>,
    set: &FieldSet,
    path: &mut Vec<Element>,
    is_leaf: bool,
    atomic: &mut FieldSet,
) {
    let field = |element: &Element| match (ty.shape(Some(&empty_parent(element))), element) {
        (Shape::Map(map), Element::Field(name)) => map.field_type(name),
        (Shape::List(list), _) => Some(list.items),
        _ => None,
    };
    let is_atomic = match ty.shape(None) {
        Shape::Map(map) => map.atomic && !map.accepts_any_fields(),
        Shape::List(list) => list.is_atomic(),
        Shape::Scalar(_) => false,
    };
    if is_atomic {
        if !is_leaf && !set.is_empty() {
            atomic.insert(path);
        }
        return;
    }
    let empty = FieldSet::default();
    let all: BTreeSet<&Element> = set.members().chain(set.children().map(|(element, _)| element)).collect();
    for element in all {
        let Some(ty) = field(element) else { continue };
        let below = set.paths_below(element);
        path.push(element.clone());
        collect_newly_atomic_fields(ty, below.unwrap_or(&empty), path, below.is_none(), atomic);
        path.pop();
    }
}
