//! The validation of a device in a resource slice.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::Check::AnyText;
use super::capacity::check_request_policy;
use super::slice::{check_counters, check_device_node_selection};
use super::{check_list, check_set, check_taint, names, texts};
use crate::cel::is_semantic_version;
use crate::schema::FieldError;
use crate::strategy::validation::{Errors, join, string_in};

/// The maximum total number of attributes and capacities of a device.
const MAX_ATTRIBUTES_AND_CAPACITIES: usize = 32;
/// The maximum number of attribute values of a device. The strategy drops the attribute fields that contain lists, so
/// each attribute counts as one value.
const MAX_ATTRIBUTE_VALUES_PER_DEVICE: usize = 48;
const MAX_TAINTS: usize = 16;
const MAX_CONSUMED_COUNTER_SETS: usize = 2;
/// The maximum length of an attribute value, in bytes.
const MAX_VALUE_LENGTH: usize = 64;
/// The maximum number of items in each of `bindingConditions` and `bindingFailureConditions`.
const MAX_BINDING_CONDITIONS: usize = 4;

/// Checks a device. `selects_nodes` is the value of `perDeviceNodeSelection` of the slice.
pub(super) fn check_device(path: &str, device: &Value, selects_nodes: bool, out: &mut Errors) {
    AnyText(texts::dns_label_problem).run(&join(path, "name"), &device["name"], out);
    let empty = Map::new();
    let attributes = device["attributes"].as_object().unwrap_or(&empty);
    let capacity = device["capacity"].as_object().unwrap_or(&empty);
    let total = attributes.len() + capacity.len();
    if total > MAX_ATTRIBUTES_AND_CAPACITIES {
        let why = format!(
            "the total number of attributes and capacities must not exceed {MAX_ATTRIBUTES_AND_CAPACITIES}"
        );
        out.push(FieldError::invalid(path, total, why));
    }
    if attributes.len() > MAX_ATTRIBUTE_VALUES_PER_DEVICE {
        let why =
            format!("the total number of attribute values must not exceed {MAX_ATTRIBUTE_VALUES_PER_DEVICE}");
        out.push(FieldError::invalid(path, attributes.len(), why));
    }
    check_map(&join(path, "attributes"), attributes, check_attribute, out);
    let is_shared = device["allowMultipleAllocations"] == true;
    let check = if is_shared { check_request_policy } else { forbid_request_policy };
    check_map(&join(path, "capacity"), capacity, check, out);
    check_list(&join(path, "taints"), &device["taints"], MAX_TAINTS, check_taint, out);
    check_set(
        &join(path, "consumesCounters"),
        &device["consumesCounters"],
        MAX_CONSUMED_COUNTER_SETS,
        |consumption| string_in(consumption, "counterSet").to_owned(),
        |path, consumption, out| check_counters(path, "counterSet", consumption, out),
        out,
    );
    check_device_node_selection(path, device, selects_nodes, out);
    check_binding_conditions(path, device, out);
}

/// Checks the keys and the values of `attributes` or `capacity`. An error about a key has the path of the map.
fn check_map(path: &str, map: &Map<String, Value>, check: fn(&str, &Value, &mut Errors), out: &mut Errors) {
    for (key, value) in map {
        names::check_qualified_name(path, key, out);
        check(&format!("{path}[{}]", shorten_key(key)), value, out);
    }
}

/// Returns the key for an error path. In a key of more than 96 bytes, `...` replaces the middle.
fn shorten_key(key: &str) -> String {
    const MAX_LENGTH: usize = 96;
    if key.len() <= MAX_LENGTH {
        return key.to_owned();
    }
    let kept = MAX_LENGTH - 3;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let bytes = key.as_bytes();
    format!("{}...{}", text(&bytes[..kept.div_ceil(2)]), text(&bytes[bytes.len() - kept / 2..]))
}

/// The fields that can contain the value of an attribute. The last four fields are lists of values.
const VALUE_FIELDS: [&str; 8] = ["int", "bool", "string", "version", "ints", "bools", "strings", "versions"];

/// Checks that an attribute has exactly one value, and validates this value. The strategy drops lists of values, because
/// their feature gate, `DRAListTypeAttributes`, is off by default.
fn check_attribute(path: &str, attribute: &Value, out: &mut Errors) {
    let check_length = |field: &str, out: &mut Errors| {
        if string_in(attribute, field).len() > MAX_VALUE_LENGTH {
            out.push(FieldError::too_long(join(path, field), MAX_VALUE_LENGTH as u64));
        }
    };
    check_length("string", out);
    let version = &attribute["version"];
    if let Some(text) = version.as_str().filter(|text| !is_semantic_version(text)) {
        let why = "must be a string compatible with semver.org spec 2.0.0";
        out.push(FieldError::invalid(join(path, "version"), text, why));
    }
    check_length("version", out);
    let set: Vec<String> = VALUE_FIELDS[..4]
        .iter()
        .filter(|field| !attribute[**field].is_null())
        .map(|field| format!("`{field}`"))
        .collect();
    let members = VALUE_FIELDS.map(|field| format!("`{field}`")).join(", ");
    match set[..] {
        [] => out.push(FieldError::invalid(path, "", format!("must specify one of: {members}"))),
        [_] => {}
        _ => {
            let why = format!("must specify exactly one of: {members}");
            out.push(FieldError::invalid(path, format!("{{{}}}", set.join(", ")), why));
        }
    }
}

/// Rejects `requestPolicy` in a capacity of a device without `allowMultipleAllocations`.
fn forbid_request_policy(path: &str, capacity: &Value, out: &mut Errors) {
    if !capacity["requestPolicy"].is_null() {
        let why = "allowMultipleAllocations must be true";
        out.push(FieldError::forbidden(join(path, "requestPolicy"), why));
    }
}

/// Checks `bindingConditions` and `bindingFailureConditions`. Both lists must have items, or both must be
/// empty.
pub(super) fn check_binding_conditions(path: &str, device: &Value, out: &mut Errors) {
    let fields = ["bindingConditions", "bindingFailureConditions"];
    let lists = fields.map(|field| {
        let list = device[field].as_array().into_iter().flatten();
        list.map(|item| item.as_str().unwrap_or_default()).collect::<Vec<_>>()
    });
    for (field, list) in fields.iter().zip(&lists) {
        let path = join(path, field);
        check_list(&path, &device[*field], MAX_BINDING_CONDITIONS, check_label_key, out);
        let mut seen = HashSet::new();
        for (index, item) in list.iter().enumerate().filter(|(_, item)| !seen.insert(**item)) {
            out.push(FieldError::duplicate(format!("{path}[{index}]"), *item));
        }
    }
    let [conditions, failures] = lists;
    for (index, item) in failures.iter().enumerate().filter(|(_, item)| conditions.contains(item)) {
        let why = "bindingFailureConditions must not overlap with bindingConditions";
        let at = format!("{}[{index}]", join(path, "bindingFailureConditions"));
        out.push(FieldError::invalid(at, *item, why));
    }
    if conditions.is_empty() == failures.is_empty() {
        return;
    }
    let [missing, present] = if conditions.is_empty() { fields } else { [fields[1], fields[0]] };
    let why = format!("{missing} are required to use {present}");
    out.push(FieldError::invalid(join(path, missing), device[missing].clone(), why));
}

fn check_label_key(path: &str, key: &Value, out: &mut Errors) {
    AnyText(texts::qualified_name_problem).run(path, key, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_key_is_shortened_in_the_middle() {
        let key = format!("{}{}", "a".repeat(100), "b".repeat(100));
        assert_eq!(shorten_key(&key), format!("{}...{}", "a".repeat(47), "b".repeat(46)));
        assert_eq!(shorten_key("a"), "a");
    }
}
