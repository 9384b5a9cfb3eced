//! The merge of an applied configuration into the live object.
//!
//! This module owns the merge algorithm and the order of list items: items in the configuration get the order of the
//! configuration, and the other live items keep their relative position where possible. This module must not know
//! about ownership.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::path::Element;
use super::value_types::{List, Shape, Type};

/// Merges `config` into `live`; `None` if the merged object is empty.
///
/// # Errors
/// A list item has no key, or two items of a list in the configuration have the same key.
pub(super) fn merge(ty: Type<'_>, live: &Value, config: &Value) -> Result<Option<Value>, String> {
    merge_values(ty, Some(live), Some(config))
}

/// Merges two values of type `ty`. At least one of the values is present.
///
/// If the type is scalar or atomic, does not merge: returns `config`, or `live` if `config` is absent.
/// Returns the same if neither value has a field or an item. In all other cases, returns the merged value;
/// `None` if the merged value is empty.
fn merge_values(ty: Type<'_>, live: Option<&Value>, config: Option<&Value>) -> Result<Option<Value>, String> {
    let shape = match config {
        Some(_) => ty.shape(config),
        None => ty.shape(live),
    };
    let keep = || Ok(config.or(live).cloned());
    match shape {
        Shape::Scalar(_) => keep(),
        Shape::List(list) => {
            let (before, applied) = (items_of(live), items_of(config));
            if list.is_atomic() || (before.is_empty() && applied.is_empty()) {
                return keep();
            }
            let merged = merge_items(list, before, applied)?;
            Ok((!merged.is_empty()).then_some(Value::Array(merged)))
        }
        Shape::Map(map) => {
            let empty = Map::new();
            let before = live.and_then(Value::as_object).unwrap_or(&empty);
            let applied = config.and_then(Value::as_object).unwrap_or(&empty);
            if map.atomic || (before.is_empty() && applied.is_empty()) {
                return keep();
            }
            let mut merged = Map::new();
            let only_applied = applied.iter().filter(|(name, _)| !before.contains_key(*name));
            for (name, _) in before.iter().chain(only_applied) {
                let value = match map.field_type(name) {
                    Some(ty) => merge_values(ty, before.get(name), applied.get(name))
                        .map_err(|problem| format!(".{name}{problem}"))?,
                    None => applied.get(name).or(before.get(name)).cloned(),
                };
                if let Some(value) = value {
                    merged.insert(name.clone(), value);
                }
            }
            Ok((!merged.is_empty()).then_some(Value::Object(merged)))
        }
    }
}

/// The items of a list; empty if the value is absent or not a list.
fn items_of(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The items of a list in the live object or in the configuration, with their keys.
struct KeyedItems<'a> {
    elements: Vec<Element>,
    items: &'a [Value],
    /// For each key, the index of the first item with this key, and whether several items have this key.
    by_key: BTreeMap<Element, (usize, bool)>,
}

impl<'a> KeyedItems<'a> {
    /// Reads the items of a list. Unless `allow_duplicates` is set, two items with the same key are an error.
    fn read(list: List<'_>, items: &'a [Value], allow_duplicates: bool) -> Result<Self, String> {
        let mut elements: Vec<Element> = Vec::with_capacity(items.len());
        let mut by_key: BTreeMap<Element, (usize, bool)> = BTreeMap::new();
        for (index, item) in items.iter().enumerate() {
            let element =
                list.path_element(item).map_err(|problem| format!(": element {index}: {problem}"))?;
            let (first, shared) = by_key.entry(element.clone()).or_insert((index, false));
            *shared = *first != index;
            if *shared && !allow_duplicates {
                return Err(format!(": duplicate entries for key {element}"));
            }
            elements.push(element);
        }
        Ok(Self { elements, items, by_key })
    }

    fn has_key(&self, element: &Element) -> bool {
        self.by_key.contains_key(element)
    }

    /// The item that has the key; `None` if no item has this key. If several items have this key, the result is null,
    /// because such items are not merged.
    fn get(&self, element: &Element) -> Option<&'a Value> {
        static NULL: Value = Value::Null;
        let (first, shared) = *self.by_key.get(element)?;
        if shared { Some(&NULL) } else { self.items.get(first) }
    }
}

/// Merges the items of a granular list. `before` contains the items in the live object. `applied` contains
/// the items in the applied configuration.
fn merge_items(list: List<'_>, before: &[Value], applied: &[Value]) -> Result<Vec<Value>, String> {
    let config = KeyedItems::read(list, applied, false)?;
    let live = KeyedItems::read(list, before, true)?;
    let mut shared = config.elements.iter().filter(|element| live.has_key(element));
    let mut next_shared = shared.next();
    let mut done: BTreeSet<&Element> = BTreeSet::new();
    let mut out = Vec::new();
    let mut push_merged =
        |element: &Element, old: Option<&Value>, new: Option<&Value>| -> Result<(), String> {
            let merged =
                merge_values(list.items, old, new).map_err(|problem| format!("{element}{problem}"))?;
            out.extend(merged);
            Ok(())
        };
    let (mut l, mut r) = (0, 0);
    while l < live.elements.len() || r < config.elements.len() {
        if let (Some(live_key), Some(config_key)) = (live.elements.get(l), config.elements.get(r)) {
            if live_key == config_key {
                done.insert(live_key);
                push_merged(live_key, live.get(live_key), config.get(live_key))?;
                l += 1;
                r += 1;
                next_shared = shared.next();
                continue;
            }
            if config.has_key(live_key) && next_shared.is_some_and(|next| next != live_key) {
                // Both lists contain this item, but the configuration has another common item before this item.
                l += 1;
                continue;
            }
        }
        if let Some(live_key) = live.elements.get(l) {
            if !config.has_key(live_key) {
                push_merged(live_key, Some(&live.items[l]), None)?;
                l += 1;
                continue;
            }
            if done.contains(live_key) {
                l += 1;
            }
        }
        if let Some(config_key) = config.elements.get(r) {
            done.insert(config_key);
            push_merged(config_key, live.get(config_key), config.get(config_key))?;
            r += 1;
            if next_shared == Some(config_key) {
                next_shared = shared.next();
            }
        }
    }
    Ok(out)
}
