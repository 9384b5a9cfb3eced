//! The validation of the status of resource claims.

use serde_json::Value;

use super::Check::{AnyText, OneOf, PointerText};
use super::claim::RequestNames;
use super::{
    MAX_ITEMS, check_list, check_opaque_parameters, check_raw_object, check_set, check_toleration, names,
    text_key, texts,
};
use crate::schema::FieldError;
use crate::strategy::conditions;
use crate::strategy::rules::pod::check_node_selector;
use crate::strategy::validation::{Errors, is_empty, items, join, string_in};

/// The maximum number of consumers of a claim.
const MAX_CONSUMERS: usize = 256;
/// The maximum number of conditions of a device.
const MAX_CONDITIONS: usize = 8;
/// The maximum number of IP addresses of a device.
const MAX_ADDRESSES: usize = 16;
/// The maximum lengths of texts in the network data of a device, in bytes.
const MAX_NETWORK_TEXT_LENGTHS: [(&str, usize); 2] = [("interfaceName", 256), ("hardwareAddress", 128)];

/// Checks the status of the claim `new`. `old` is the claim before the write.
pub(in crate::strategy) fn check_claim_status(old: &Value, new: &Value, out: &mut Errors) {
    let path = "status";
    let status = &new["status"];
    let (allocation, before) = (&status["allocation"], &old["status"]["allocation"]);
    let consumers = join(path, "reservedFor");
    let uid = |consumer: &Value| string_in(consumer, "uid").to_owned();
    check_set(&consumers, &status["reservedFor"], MAX_CONSUMERS, uid, check_consumer, out);
    let allocated: Vec<String> =
        items("", &allocation["devices"], "results").map(|(_, result)| device_id(result)).collect();
    let check = |path: &str, device: &Value, out: &mut Errors| {
        check_device_status(path, device, &allocated, out);
    };
    check_set(&join(path, "devices"), &status["devices"], usize::MAX, device_id, check, out);
    if !is_empty(&status["reservedFor"]) {
        let known = old["status"]["reservedFor"].as_array().map_or(&[][..], Vec::as_slice);
        let adds = items("", status, "reservedFor").any(|(_, consumer)| !known.contains(consumer));
        if allocation.is_null() {
            let why = "may not be specified when `allocated` is not set";
            out.push(FieldError::forbidden(consumers, why));
        } else if adds && new["metadata"]["deletionTimestamp"].is_string() {
            let why =
                "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
            out.push(FieldError::forbidden(consumers, why));
        }
    }
    let path = join(path, "allocation");
    match (before.is_null(), allocation.is_null()) {
        (true, false) => check_allocation(&path, new, out),
        (false, false) if before != allocation => {
            out.push(FieldError::invalid(path, allocation.clone(), "field is immutable"));
        }
        (_, true) | (false, false) => {}
    }
}

/// The identity of an allocated device, as the API server prints it.
pub(in crate::strategy) fn device_id(device: &Value) -> String {
    let text = |field: &str| string_in(device, field);
    let id = [text("driver"), text("pool"), text("device")].join("/");
    match text("shareID") {
        "" => id,
        share => format!("{id}/{share}"),
    }
}

fn check_consumer(path: &str, consumer: &Value, out: &mut Errors) {
    for field in ["resource", "name", "uid"] {
        out.require_string(path, consumer, field);
    }
}

/// Checks the status that a driver reports for a device. The device must be one of the `allocated` devices.
fn check_device_status(path: &str, device: &Value, allocated: &[String], out: &mut Errors) {
    check_device_identity(path, device, out);
    let id = device_id(device);
    if !allocated.contains(&id) {
        out.push(FieldError::invalid(path, id, "must be an allocated device in the claim"));
    }
    let count = device["conditions"].as_array().map_or(0, Vec::len);
    if count > MAX_CONDITIONS {
        let path = join(path, "conditions");
        out.push(FieldError::too_many(path, count as u64, MAX_CONDITIONS as u64));
    }
    conditions::check_conditions_in(path, device, out);
    if !device["data"].is_null() {
        check_raw_object(&join(path, "data"), &device["data"], out);
    }
    let path = join(path, "networkData");
    let network = &device["networkData"];
    for (field, limit) in MAX_NETWORK_TEXT_LENGTHS {
        if string_in(network, field).len() > limit {
            out.push(FieldError::too_long(join(&path, field), limit as u64));
        }
    }
    let check = |path: &str, address: &Value, out: &mut Errors| {
        AnyText(texts::interface_address_problem).run(path, address, out);
    };
    check_set(&join(&path, "ips"), &network["ips"], MAX_ADDRESSES, text_key, check, out);
}

/// Checks the fields that identify a device: `driver`, `pool`, `device` and `shareID`.
fn check_device_identity(path: &str, device: &Value, out: &mut Errors) {
    names::check_driver_name(&join(path, "driver"), &device["driver"], out);
    names::check_pool_name(&join(path, "pool"), &device["pool"], out);
    AnyText(texts::dns_label_problem).run(&join(path, "device"), &device["device"], out);
    PointerText(names::uuid_problem).run(&join(path, "shareID"), &device["shareID"], out);
}

/// Checks a new allocation of the claim.
fn check_allocation(path: &str, claim: &Value, out: &mut Errors) {
    let requests = RequestNames::of(&claim["spec"]["devices"]);
    let allocation = &claim["status"]["allocation"];
    let devices = join(path, "devices");
    let check = |path: &str, result: &Value, out: &mut Errors| {
        requests.check_reference(&join(path, "request"), &result["request"], out);
        check_device_identity(path, result, out);
        super::device::check_binding_conditions(path, result, out);
        for (path, toleration) in items(path, result, "tolerations") {
            check_toleration(&path, toleration, out);
        }
    };
    let results = &allocation["devices"]["results"];
    check_list(&join(&devices, "results"), results, MAX_ITEMS, check, out);
    let check = |path: &str, config: &Value, out: &mut Errors| {
        let source = join(path, "source");
        if is_empty(&config["source"]) {
            out.push(FieldError::required(source, ""));
        } else {
            OneOf(&["FromClaim", "FromClass"]).run(&source, &config["source"], out);
        }
        requests.check_references(&join(path, "requests"), &config["requests"], out);
        check_opaque_parameters(path, config, out);
    };
    check_list(&join(&devices, "config"), &allocation["devices"]["config"], 2 * MAX_ITEMS, check, out);
    if !allocation["nodeSelector"].is_null() {
        check_node_selector(&join(path, "nodeSelector"), &allocation["nodeSelector"], out);
    }
}
