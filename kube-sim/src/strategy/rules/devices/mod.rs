//! The validation of the group `resource.k8s.io`: device classes, taint rules, resource claims and resource slices.

mod capacity;
mod claim;
mod device;
mod names;
mod slice;
mod status;

use std::collections::HashSet;

use serde_json::Value;

use super::Check::{self, AnyText, Custom, Labels, OneOf, Text};
use super::{KindRules, Rule, texts};
use crate::cel::{DeviceSelectorProblem, device_selector_problem};
use crate::schema::FieldError;
use crate::strategy::validation::{Errors, is_empty, join, string_in};

pub(in crate::strategy) use self::claim::check_claim;
pub(in crate::strategy) use self::status::{check_claim_status, device_id};

const GROUP: &str = "resource.k8s.io";

/// The rules of the kinds that have the same validation for creates and updates. `ResourceClaim` is absent: the API
/// server validates the spec of a claim only when a client creates the claim.
pub(super) static KIND_RULES: [KindRules; 4] = [
    KindRules::new(GROUP, "DeviceClass", &DEVICE_CLASS),
    KindRules::new(GROUP, "DeviceTaintRule", &DEVICE_TAINT_RULE),
    KindRules::new(GROUP, "ResourceClaimTemplate", &CLAIM_TEMPLATE),
    KindRules::new(GROUP, "ResourceSlice", &[("spec", Custom(slice::check_slice))]),
];

static DEVICE_CLASS: [Rule; 3] = [
    ("spec.selectors", Custom(check_selectors)),
    ("spec.config", Custom(check_class_config)),
    ("spec.extendedResourceName", Check::PointerText(names::extended_resource_problem)),
];

static DEVICE_TAINT_RULE: [Rule; 4] = [
    ("spec.deviceSelector?.driver?", Custom(names::check_driver_name)),
    ("spec.deviceSelector?.pool?", Custom(names::check_pool_name)),
    ("spec.deviceSelector?.device?", AnyText(texts::dns_label_problem)),
    ("spec.taint", Custom(check_taint)),
];

static CLAIM_TEMPLATE: [Rule; 3] = [
    ("spec.metadata.labels", Labels),
    ("spec.metadata.annotations", Custom(check_annotation_keys)),
    ("spec.spec.devices", Custom(claim::check_devices)),
];

/// The maximum number of items in a list of selectors, configurations, requests, constraints, allocation results or names
/// of requests. The list of configurations in an allocation may have twice as many items.
const MAX_ITEMS: usize = 32;

/// Checks each item of a list that has at most `max` items. For a longer list, reports one error and checks no
/// item.
fn check_list(
    path: &str,
    list: &Value,
    max: usize,
    mut check: impl FnMut(&str, &Value, &mut Errors),
    out: &mut Errors,
) {
    let items = list.as_array().map_or(&[][..], Vec::as_slice);
    if items.len() > max {
        return out.push(FieldError::too_many(path, items.len() as u64, max as u64));
    }
    for (index, item) in items.iter().enumerate() {
        check(&format!("{path}[{index}]"), item, out);
    }
}

/// Like [`check_list`], but also reports each item whose key equals the key of an earlier item.
fn check_set(
    path: &str,
    list: &Value,
    max: usize,
    key: fn(&Value) -> String,
    check: impl FnMut(&str, &Value, &mut Errors),
    out: &mut Errors,
) {
    check_list(path, list, max, check, out);
    let items = list.as_array().map_or(&[][..], Vec::as_slice);
    if items.len() > max {
        return;
    }
    let mut seen = HashSet::new();
    for (index, item) in items.iter().enumerate() {
        let key = key(item);
        if !seen.insert(key.clone()) {
            out.push(FieldError::duplicate(format!("{path}[{index}]"), key));
        }
    }
}

/// The key of an item that is a string: the item itself.
fn text_key(item: &Value) -> String {
    item.as_str().unwrap_or_default().to_owned()
}

/// The key of an item that is an object: its field `name`.
fn name_key(item: &Value) -> String {
    string_in(item, "name").to_owned()
}

/// Checks the CEL selectors of a device class or of a request.
fn check_selectors(path: &str, selectors: &Value, out: &mut Errors) {
    const MAX_LENGTH: usize = 10 << 10;
    let check = |path: &str, selector: &Value, out: &mut Errors| {
        if selector["cel"].is_null() {
            return out.push(FieldError::required(join(path, "cel"), ""));
        }
        let path = join(path, "cel.expression");
        let text = string_in(&selector["cel"], "expression");
        if text.len() > MAX_LENGTH {
            return out.push(FieldError::too_long(path, MAX_LENGTH as u64));
        }
        match device_selector_problem(text) {
            None => {}
            Some(DeviceSelectorProblem::Invalid(why)) => out.push(FieldError::invalid(path, text, why)),
            Some(DeviceSelectorProblem::TooComplex) => {
                out.push(FieldError::forbidden(path, "too complex, exceeds cost limit"));
            }
        }
    };
    check_list(path, selectors, MAX_ITEMS, check, out);
}

fn check_class_config(path: &str, config: &Value, out: &mut Errors) {
    check_list(path, config, MAX_ITEMS, check_opaque_parameters, out);
}

/// Checks `opaque`, the parameters for a driver. Each configuration must have this field.
fn check_opaque_parameters(path: &str, config: &Value, out: &mut Errors) {
    let path = join(path, "opaque");
    let opaque = &config["opaque"];
    if opaque.is_null() {
        return out.push(FieldError::required(path, ""));
    }
    names::check_driver_name(&join(&path, "driver"), &opaque["driver"], out);
    check_raw_object(&join(&path, "parameters"), &opaque["parameters"], out);
}

/// Checks that an object is present and has at most 10 KiB. Its fields can be arbitrary.
fn check_raw_object(path: &str, raw: &Value, out: &mut Errors) {
    const MAX_SIZE: usize = 10 << 10;
    if raw.is_null() {
        out.push(FieldError::required(path, ""));
    } else if raw.to_string().len() > MAX_SIZE {
        out.push(FieldError::too_long(path, MAX_SIZE as u64));
    } else if !raw.is_object() {
        out.push(FieldError::invalid(path, "<value omitted>", "must be a valid JSON object"));
    }
}

/// The effects of taints, in the order in which the API server lists them.
const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "None"];

fn check_taint(path: &str, taint: &Value, out: &mut Errors) {
    AnyText(texts::qualified_name_problem).run(&join(path, "key"), &taint["key"], out);
    Text(texts::label_value_problem).run(&join(path, "value"), &taint["value"], out);
    let path = join(path, "effect");
    if is_empty(&taint["effect"]) {
        out.push(FieldError::required(path, ""));
    } else {
        OneOf(&EFFECTS).run(&path, &taint["effect"], out);
    }
}

fn check_toleration(path: &str, toleration: &Value, out: &mut Errors) {
    Text(texts::qualified_name_problem).run(&join(path, "key"), &toleration["key"], out);
    let value = string_in(toleration, "value");
    let at = join(path, "value");
    match string_in(toleration, "operator") {
        "Exists" if !value.is_empty() => {
            out.push(FieldError::invalid(at, value, "must be empty for operator `Exists`"));
        }
        "Exists" => {}
        "Equal" => Text(texts::label_value_problem).run(&at, &toleration["value"], out),
        "" => out.push(FieldError::required(join(path, "operator"), "")),
        _ => OneOf(&["Equal", "Exists"]).run(&join(path, "operator"), &toleration["operator"], out),
    }
    if !is_empty(&toleration["effect"]) {
        OneOf(&EFFECTS).run(&join(path, "effect"), &toleration["effect"], out);
    }
}

/// Checks the keys of annotations.
fn check_annotation_keys(path: &str, annotations: &Value, out: &mut Errors) {
    for key in annotations.as_object().into_iter().flat_map(|map| map.keys()) {
        if let Some(why) = texts::qualified_name_problem(&key.to_lowercase()) {
            out.push(FieldError::invalid(path, key.as_str(), why));
        }
    }
}
