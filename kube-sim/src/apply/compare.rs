//! The differences between two values of one type.
//!
//! This module owns the comparison with which `ownership` finds the fields that a write adds, removes or modifies.

use std::collections::BTreeMap;

use serde_json::Value;

use super::field_set::FieldSet;
use super::path::{Element, is_same_value};
use super::value_types::{List, Shape, Type};

/// The fields in which two values differ. The three sets are disjoint, unless several items of a list have the same key.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) removed: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) added: FieldSet,
}

impl Comparison {
    /// Removes the paths in `ignored`, and all paths below these paths.
    pub(super) fn without(self, ignored: &FieldSet) -> Self {
        Self {
            removed: self.removed.recursive_difference(ignored),
            modified: self.modified.recursive_difference(ignored),
            added: self.added.recursive_difference(ignored),
        }
    }
}

/// Compares `old` with `new`, two values of the type `ty`.
pub(super) fn compare(ty: Type<'_>, old: &Value, new: &Value) -> Comparison {
    let mut walker = Walker { path: Vec::new(), found: Comparison::default() };
    walker.compare_values(ty, Some(old), Some(new));
    walker.found
}

/// A comparison in progress: the path of the current values, and the differences so far.
struct Walker {
    path: Vec<Element>,
    found: Comparison,
}

impl Walker {
    /// Compares two values of type `ty`, at least one of which is present.
    fn compare_values(&mut self, ty: Type<'_>, old: Option<&Value>, new: Option<&Value>) {
        let (old_shape, new_shape) = (ty.shape(old), ty.shape(new));
        let alike = std::mem::discriminant(&old_shape) == std::mem::discriminant(&new_shape);
        let was_leaf = match (old, new) {
            (_, None) => self.compare_as(old_shape, old, new),
            (None, _) => self.compare_as(new_shape, old, new),
            _ if alike => self.compare_as(new_shape, old, new),
            _ => {
                self.compare_as(old_shape, old, new);
                self.compare_as(new_shape, old, new)
            }
        };
        if !was_leaf {
            match (old, new) {
                (None, _) => self.found.added.insert(&self.path),
                (_, None) => self.found.removed.insert(&self.path),
                _ => {}
            }
        }
    }

    /// Compares two values as if both had the shape `shape`. Returns whether the values are leaves: scalar, atomic or empty.
    fn compare_as(&mut self, shape: Shape<'_>, old: Option<&Value>, new: Option<&Value>) -> bool {
        match shape {
            Shape::Scalar(_) => self.compare_leaves(old, new),
            Shape::List(list) => {
                let (before, after) = (items_of(old), items_of(new));
                if list.is_atomic() || (before.is_empty() && after.is_empty()) {
                    return self.compare_leaves(old, new);
                }
                self.compare_items(list, before, after);
                false
            }
            Shape::Map(map) => {
                let empty = serde_json::Map::new();
                let before = old.and_then(Value::as_object).unwrap_or(&empty);
                let after = new.and_then(Value::as_object).unwrap_or(&empty);
                if map.atomic || (before.is_empty() && after.is_empty()) {
                    return self.compare_leaves(old, new);
                }
                let only_after = after.iter().filter(|(name, _)| !before.contains_key(*name));
                for (name, _) in before.iter().chain(only_after) {
                    let Some(ty) = map.field_type(name) else { continue };
                    self.descend(Element::Field(name.clone()), ty, before.get(name), after.get(name));
                }
                false
            }
        }
    }

    /// Compares two leaves as a whole. Always returns true, which [`Self::compare_as`] returns for leaves.
    fn compare_leaves(&mut self, old: Option<&Value>, new: Option<&Value>) -> bool {
        match (old, new) {
            (None, _) => self.found.added.insert(&self.path),
            (_, None) => self.found.removed.insert(&self.path),
            (Some(old), Some(new)) if !is_same_value(old, new) => self.found.modified.insert(&self.path),
            _ => {}
        }
        true
    }

    /// Compares the values of a field or list item, whose path element is `element`.
    fn descend(&mut self, element: Element, ty: Type<'_>, old: Option<&Value>, new: Option<&Value>) {
        self.path.push(element);
        self.compare_values(ty, old, new);
        self.path.pop();
    }

    /// Compares the items of two lists, matched by key.
    fn compare_items(&mut self, list: List<'_>, before: &[Value], after: &[Value]) {
        let mut by_key: BTreeMap<Element, [Vec<&Value>; 2]> = BTreeMap::new();
        for (side, items) in [before, after].into_iter().enumerate() {
            for item in items {
                if let Ok(element) = list.path_element(item) {
                    by_key.entry(element).or_default()[side].push(item);
                }
            }
        }
        for (element, [before, after]) in &by_key {
            self.compare_items_of_key(list, element, before, after);
        }
    }

    /// Compares the items that have the key `element`. If both lists have several such items, compares these
    /// items as one value. If only `before` has several such items, their path counts as removed, and a
    /// single item in `after` counts as added. If only `after` has several such items, their path counts as
    /// added, and a single item in `before` counts as removed.
    fn compare_items_of_key(
        &mut self,
        list: List<'_>,
        element: &Element,
        before: &[&Value],
        after: &[&Value],
    ) {
        let mut path = self.path.clone();
        path.push(element.clone());
        match (before, after) {
            ([] | [_], [] | [_]) => {
                self.descend(element.clone(), list.items, before.first().copied(), after.first().copied());
            }
            ([_, _, ..], [_, _, ..]) => {
                let equal = before.len() == after.len()
                    && before.iter().zip(after).all(|(old, new)| is_same_value(old, new));
                if !equal {
                    self.found.modified.insert(&path);
                }
            }
            ([_, _, ..], _) => {
                if let Some(new) = after.first() {
                    self.descend(element.clone(), list.items, None, Some(new));
                }
                self.found.removed.insert(&path);
            }
            (_, [_, _, ..]) => {
                if let Some(old) = before.first() {
                    self.descend(element.clone(), list.items, Some(old), None);
                }
                self.found.added.insert(&path);
            }
        }
    }
}

/// The items of a list; empty if the value is absent or not a list.
fn items_of(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
