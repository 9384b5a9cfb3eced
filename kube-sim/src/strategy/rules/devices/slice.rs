//! The validation of `ResourceSlice` objects, except for the fields of a device.

use serde_json::Value;

use super::Check::{AnyText, Text};
use super::{check_set, name_key, names, texts};
use crate::schema::FieldError;
use crate::strategy::rules::pod::check_node_selector;
use crate::strategy::validation::{Errors, is_empty, items, join};

/// The maximum number of devices in a slice, if no device has taints or consumes counters.
const MAX_DEVICES: usize = 128;
/// The maximum number of devices in a slice, if at least one device is advanced. An advanced device has
/// taints or consumes counters.
const MAX_DEVICES_IF_ANY_IS_ADVANCED: usize = 64;
/// The maximum number of counter sets in a slice.
const MAX_COUNTER_SETS: usize = 8;
/// The maximum number of counters in an item of `sharedCounters` or `consumesCounters`.
const MAX_COUNTERS: usize = 32;

/// The fields that select nodes, in the spec of a slice or in a device.
struct NodeSelection<'a> {
    fields: &'a [&'static str],
    /// The error text for a `nodeName` that is the empty string.
    empty_name: &'static str,
}

/// Checks the spec of a `ResourceSlice`.
pub(super) fn check_slice(path: &str, spec: &Value, out: &mut Errors) {
    names::check_driver_name(&join(path, "driver"), &spec["driver"], out);
    check_pool(&join(path, "pool"), &spec["pool"], out);
    check_node_selection(path, spec, out);
    if !spec["sharedCounters"].is_null() && !spec["devices"].is_null() {
        let why = "only one of `sharedCounters` or `devices` is allowed";
        out.push(FieldError::invalid(path, "", why));
    }
    let is_advanced = |device: &Value| !is_empty(&device["taints"]) || !is_empty(&device["consumesCounters"]);
    let has_advanced = items("", spec, "devices").any(|(_, device)| is_advanced(device));
    let max = if has_advanced { MAX_DEVICES_IF_ANY_IS_ADVANCED } else { MAX_DEVICES };
    let selects_per_device = spec["perDeviceNodeSelection"] == true;
    let check = |path: &str, device: &Value, out: &mut Errors| {
        super::device::check_device(path, device, selects_per_device, out);
    };
    check_set(&join(path, "devices"), &spec["devices"], max, name_key, check, out);
    let sets = &spec["sharedCounters"];
    check_set(&join(path, "sharedCounters"), sets, MAX_COUNTER_SETS, name_key, check_counter_set, out);
}

fn check_pool(path: &str, pool: &Value, out: &mut Errors) {
    names::check_pool_name(&join(path, "name"), &pool["name"], out);
    let number = |field: &str| pool[field].as_i64().unwrap_or_default();
    let (count, generation) = (number("resourceSliceCount"), number("generation"));
    if count <= 0 {
        let why = "must be greater than zero";
        out.push(FieldError::invalid(join(path, "resourceSliceCount"), count, why));
    }
    if generation < 0 {
        let why = "must be greater than or equal to zero";
        out.push(FieldError::invalid(join(path, "generation"), generation, why));
    }
}

/// Checks that the slice has exactly one field that selects nodes, and that `nodeSelector` has exactly one term.
fn check_node_selection(path: &str, spec: &Value, out: &mut Errors) {
    let selection = NodeSelection {
        fields: &["nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection"],
        empty_name: "must be either unset or set to a non-empty string",
    };
    let set = selection.check(path, spec, out);
    let selector = &spec["nodeSelector"];
    let terms = selector["nodeSelectorTerms"].as_array().map_or(0, Vec::len);
    if !selector.is_null() && terms != 1 {
        let value = selector["nodeSelectorTerms"].clone();
        let at = join(path, "nodeSelector.nodeSelectorTerms");
        out.push(FieldError::invalid(at, value, "must have exactly one node selector term"));
    }
    let why = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    match set[..] {
        [] => out.push(FieldError::required(path, why)),
        [_] => {}
        _ => {
            let why = format!("{why}, but multiple fields are set");
            out.push(FieldError::invalid(path, format!("{{{}}}", set.join(", ")), why));
        }
    }
}

/// If `wanted` is true, checks that a device has exactly one field that selects nodes. If `wanted` is false, checks that the
/// device has no field that selects nodes.
pub(super) fn check_device_node_selection(path: &str, device: &Value, wanted: bool, out: &mut Errors) {
    let fields = ["nodeName", "nodeSelector", "allNodes"];
    if !wanted {
        if fields.iter().any(|field| !device[*field].is_null()) {
            let why = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
            out.push(FieldError::invalid(path, Value::Null, why));
        }
        return;
    }
    let set = NodeSelection { fields: &fields, empty_name: "must not be empty" }.check(path, device, out);
    let why = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
    match set[..] {
        [] => out.push(FieldError::required(path, why)),
        [_] => {}
        _ => out.push(FieldError::invalid(path, format!("{{{}}}", set.join(", ")), why)),
    }
}

impl NodeSelection<'_> {
    /// Checks the value of each field. Returns the names, in backquotes, of the fields that select nodes. A field that
    /// is absent, `false` or an empty string selects no nodes.
    fn check(&self, path: &str, parent: &Value, out: &mut Errors) -> Vec<String> {
        let mut set = Vec::new();
        for field in self.fields {
            let (at, value) = (join(path, field), &parent[*field]);
            match value {
                Value::Null => continue,
                Value::String(name) if name.is_empty() => {
                    out.push(FieldError::invalid(at, "", self.empty_name));
                    continue;
                }
                Value::String(_) => Text(texts::subdomain_problem).run(&at, value, out),
                Value::Bool(false) => {
                    out.push(FieldError::invalid(at, false, "must be either unset or set to true"));
                    continue;
                }
                Value::Object(_) => check_node_selector(&at, value, out),
                _ => {}
            }
            set.push(format!("`{field}`"));
        }
        set
    }
}

fn check_counter_set(path: &str, set: &Value, out: &mut Errors) {
    check_counters(path, "name", set, out);
}

/// Checks an item of `sharedCounters` or `consumesCounters`. `name_field` is the field that contains the name of the
/// counter set: `name` or `counterSet`.
pub(super) fn check_counters(path: &str, name_field: &str, set: &Value, out: &mut Errors) {
    let at = join(path, name_field);
    if is_empty(&set[name_field]) {
        out.push(FieldError::required(at, ""));
    } else {
        AnyText(texts::dns_label_problem).run(&at, &set[name_field], out);
    }
    let path = join(path, "counters");
    let counters = set["counters"].as_object().filter(|counters| !counters.is_empty());
    let Some(counters) = counters else { return out.push(FieldError::required(path, "")) };
    if counters.len() > MAX_COUNTERS {
        return out.push(FieldError::too_many(path, counters.len() as u64, MAX_COUNTERS as u64));
    }
    for name in counters.keys() {
        if let Some(why) = texts::dns_label_problem(name) {
            out.push(FieldError::invalid(path.as_str(), name.as_str(), why));
        }
    }
}
