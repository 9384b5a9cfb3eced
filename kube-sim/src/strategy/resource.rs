//! The strategies of the group `resource.k8s.io` (dynamic resource allocation).

use serde_json::{Value, json};

use super::defaulting::{object_in, object_items, set_default, set_default_string};
use super::deletion::DeletionStrategy;
use super::fields::SelectableField;
use super::printer::{self, Printer};
use super::rules::{check_claim, check_claim_status, device_id};
use super::validation::{Errors, items, join, string_in};
use super::{Strategy, SubresourceUpdate, conditions};
use crate::schema::FieldError;
use crate::store::selector::Labels;

/// The part of the strategy that the kinds of this API group share. Some kinds replace `printer` or `deletion`.
const DEFAULT: Strategy = Strategy {
    group: "resource.k8s.io",
    status_metadata: &["managedFields"],
    printer: Printer::new(printer::cluster::name_and_age_cells),
    deletion: DeletionStrategy::RETURNS_OBJECT,
    ..Strategy::DEFAULT
};

/// A label of namespaces. Its value `true` permits `adminAccess: true` in the claims of the namespace.
const ADMIN_LABEL: &str = "resource.kubernetes.io/admin-access";

pub(super) static STRATEGIES: [Strategy; 5] = [
    Strategy { kind: "DeviceClass", has_generation: true, ..DEFAULT },
    Strategy {
        kind: "DeviceTaintRule",
        has_generation: true,
        allow_unconditional_update: false,
        deletion: DeletionStrategy::DEFAULT,
        set_times: Some(set_taint_rule_time),
        validate_subresource: |_, rule, out| check_taint_rule_status(rule, out),
        printer: Printer::new(printer::cluster::device_taint_rule_cells),
        ..DEFAULT
    },
    Strategy {
        kind: "ResourceClaim",
        set_defaults: |_, claim| set_claim_defaults(claim),
        prepare_for_create: |claim, _| drop_derived_attributes(claim),
        prepare_for_update: |_, claim| drop_derived_attributes(claim),
        prepare_status: prepare_claim_status,
        validate: check_claim,
        validate_update: Some(|old, new, out| out.reject_change("spec", old, new)),
        validate_in_namespace: |claim, labels, out| check_admin_access(&claim["spec"], labels, out),
        validate_subresource: |update, claim, out| {
            check_admin_allocation(update, claim, out);
            check_claim_status(update.old, claim, out);
        },
        printer: Printer::new(printer::cluster::resource_claim_cells),
        ..DEFAULT
    },
    Strategy {
        kind: "ResourceClaimTemplate",
        set_defaults: |_, template| {
            if let Some(spec) = object_in(template, "spec") {
                set_claim_defaults(spec);
            }
        },
        prepare_for_create: |template, _| drop_derived_attributes_of_template(template),
        prepare_for_update: |_, template| drop_derived_attributes_of_template(template),
        validate_update: Some(|old, new, out| out.reject_change("spec", old, new)),
        validate_in_namespace: |template, labels, out| {
            check_admin_access(&template["spec"]["spec"], labels, out);
        },
        ..DEFAULT
    },
    Strategy {
        kind: "ResourceSlice",
        has_generation: true,
        set_times: Some(set_slice_taint_times),
        prepare_for_create: |slice, _| drop_gated_slice_fields(slice),
        prepare_for_update: |_, slice| drop_gated_slice_fields(slice),
        validate_update: Some(check_slice_update),
        warn: |_, slice, out| warn_of_uppercase_driver(slice, out),
        printer: Printer::new(printer::cluster::resource_slice_cells),
        selectable_fields: &[
            SelectableField::new("spec.nodeName"),
            SelectableField::new("spec.driver"),
            SelectableField::new("spec.pool.name"),
        ],
        ..DEFAULT
    },
];

/// For each request, calls `change` with the field `exactly` and with each item of `firstAvailable`. `claim` is a claim or
/// the spec of a claim template.
fn for_each_request(claim: &mut Value, change: fn(&mut Value)) {
    let Some(devices) = object_in(claim, "spec").and_then(|spec| object_in(spec, "devices")) else { return };
    for request in object_items(devices, "requests") {
        if let Some(exactly) = object_in(request, "exactly") {
            change(exactly);
        }
        object_items(request, "firstAvailable").for_each(change);
    }
}

fn set_claim_defaults(claim: &mut Value) {
    for_each_request(claim, |request| {
        set_default_string(request, "allocationMode", "ExactCount");
        let is_absent = request.get("count").is_none_or(|count| count.is_null() || *count == 0);
        if is_absent && request["allocationMode"] == "ExactCount" {
            request["count"] = 1.into();
        }
        for toleration in object_items(request, "tolerations") {
            set_default_string(toleration, "operator", "Equal");
        }
    });
}

/// Drops `derivedAttributes` from the requests: the feature gate `DRADerivedAttributes` is off by default.
fn drop_derived_attributes(claim: &mut Value) {
    for_each_request(claim, |request| drop_fields(request, &["derivedAttributes"]));
}

fn drop_derived_attributes_of_template(template: &mut Value) {
    if let Some(spec) = object_in(template, "spec") {
        drop_derived_attributes(spec);
    }
}

/// Drops the fields of a `ResourceSlice` whose feature gates are off by default.
fn drop_gated_slice_fields(slice: &mut Value) {
    let Some(spec) = object_in(slice, "spec") else { return };
    drop_fields(spec, &["partitionTypeAttribute", "skipNodeOperations"]);
    for device in object_items(spec, "devices") {
        drop_fields(device, &["nodeAllocatableResources"]);
        let attributes = device.get_mut("attributes").and_then(Value::as_object_mut);
        for attribute in attributes.into_iter().flat_map(|map| map.values_mut()) {
            drop_fields(attribute, &["bools", "ints", "strings", "versions"]);
        }
        for consumption in object_items(device, "consumesCounters") {
            drop_fields(consumption, &["compatibilityGroups"]);
        }
    }
}

fn drop_fields(object: &mut Value, fields: &[&str]) {
    if let Some(map) = object.as_object_mut() {
        map.retain(|field, _| !fields.contains(&field.as_str()));
    }
}

/// Sets `timeAdded` of the taint to `now` if `timeAdded` is absent, or if the write changes `effect` but not `timeAdded`.
fn set_taint_rule_time(old: Option<&Value>, rule: &mut Value, now: &str) {
    let Some(taint) = object_in(rule, "spec").and_then(|spec| object_in(spec, "taint")) else { return };
    let has_old_time = old.is_some_and(|old| {
        let before = &old["spec"]["taint"];
        before["effect"] != taint["effect"] && before["timeAdded"] == taint["timeAdded"]
    });
    if has_old_time {
        taint["timeAdded"] = now.into();
    }
    set_default(taint, "timeAdded", now);
}

/// Sets `timeAdded` of each device taint to `now` if the field is absent.
fn set_slice_taint_times(_: Option<&Value>, slice: &mut Value, now: &str) {
    let Some(spec) = object_in(slice, "spec") else { return };
    for device in object_items(spec, "devices") {
        for taint in object_items(device, "taints") {
            set_default(taint, "timeAdded", now);
        }
    }
}

fn check_taint_rule_status(rule: &Value, out: &mut Errors) {
    const MAX_CONDITIONS: usize = 8;
    conditions::check_status_conditions(rule, out);
    let count = rule["status"]["conditions"].as_array().map_or(0, Vec::len);
    if count > MAX_CONDITIONS {
        out.push(FieldError::too_many("status.conditions", count as u64, MAX_CONDITIONS as u64));
    }
}

/// Drops the status of each device that this write deallocates. Drops `skipNodeOperations` from the allocation results:
/// the feature gate of this field is off by default.
fn prepare_claim_status(update: &SubresourceUpdate<'_>, claim: &mut Value) {
    let allocated = |claim: &Value| -> Vec<String> {
        let devices = &claim["status"]["allocation"]["devices"];
        items("", devices, "results").map(|(_, result)| device_id(result)).collect()
    };
    let kept = allocated(claim);
    let deallocated: Vec<_> = allocated(update.old).into_iter().filter(|id| !kept.contains(id)).collect();
    let Some(status) = object_in(claim, "status") else { return };
    if let Some(devices) = status.get_mut("devices").and_then(Value::as_array_mut) {
        devices.retain(|device| !deallocated.contains(&device_id(device)));
        if devices.is_empty() {
            drop_fields(status, &["devices"]);
        }
    }
    let devices = object_in(status, "allocation").and_then(|allocation| object_in(allocation, "devices"));
    for result in devices.into_iter().flat_map(|devices| object_items(devices, "results")) {
        drop_fields(result, &["skipNodeOperations"]);
    }
}

/// Rejects the first device request with `adminAccess: true`, if the `labels` of the namespace do not permit
/// admin access.
fn check_admin_access(spec: &Value, labels: &Labels, out: &mut Errors) {
    let wants_access = |request: &Value| request["exactly"]["adminAccess"] == true;
    let mut requests = items("spec.devices", &spec["devices"], "requests");
    if let Some((path, _)) = requests.find(|(_, request)| wants_access(request)) {
        require_admin_label(&path, labels, out);
    }
}

/// Rejects a device with `adminAccess: true` in the new allocation, if the labels of the namespace do not permit admin
/// access. Does not check the labels if the old allocation already has a device with `adminAccess: true`.
fn check_admin_allocation(update: &SubresourceUpdate<'_>, claim: &Value, out: &mut Errors) {
    let with_access = |claim: &Value| {
        let devices = &claim["status"]["allocation"]["devices"];
        let mut results = items("status.allocation.devices", devices, "results");
        results.find(|(_, result)| result["adminAccess"] == true).map(|(path, _)| path)
    };
    if let Some(path) = with_access(claim).filter(|_| with_access(update.old).is_none()) {
        require_admin_label(&path, &(update.namespace_labels)(), out);
    }
}

/// Rejects `adminAccess` in the item at `path`, unless the namespace has the label [`ADMIN_LABEL`] with the value `true`.
fn require_admin_label(path: &str, labels: &Labels, out: &mut Errors) {
    if labels.get(ADMIN_LABEL) != Some("true") {
        let why = format!(
            "admin access to devices requires the `{ADMIN_LABEL}: true` label on the containing namespace"
        );
        out.push(FieldError::forbidden(join(path, "adminAccess"), why));
    }
}

fn check_slice_update(old: &Value, new: &Value, out: &mut Errors) {
    for field in ["spec.pool.name", "spec.driver", "spec.nodeName"] {
        out.reject_change(field, old, new);
    }
}

fn warn_of_uppercase_driver(slice: &Value, out: &mut Vec<String>) {
    let driver = string_in(&slice["spec"], "driver");
    if driver != driver.to_lowercase() {
        let shown = json!(driver);
        out.push(format!(
            "spec.driver: driver names should be lowercase; {shown} contains uppercase characters"
        ));
    }
}
