//! The strategies of the group `networking.k8s.io`.

use serde_json::{Value, json};

use super::Strategy;
use super::defaulting::{object_in, object_items, set_default};
use super::printer::{self, Printer};
use super::rules::{canonical_cidr_problem, canonical_ip, ip_address_problem};
use super::validation::{Errors, items, string_in};
use crate::schema::FieldError;

/// The part of the strategy that all kinds of this API group share.
const DEFAULT: Strategy = Strategy { group: "networking.k8s.io", ..Strategy::DEFAULT };

pub(super) static STRATEGIES: [Strategy; 5] = [
    Strategy {
        kind: "Ingress",
        has_generation: true,
        validate: check_ingress,
        status_reset_fields: &["spec"],
        printer: Printer::new(printer::networking::ingress_cells),
        ..DEFAULT
    },
    Strategy {
        kind: "IngressClass",
        has_generation: true,
        printer: Printer::new(printer::networking::ingress_class_cells),
        ..DEFAULT
    },
    Strategy {
        kind: "IPAddress",
        name_problem: ip_address_name_problem,
        validate_update: Some(check_parent_update),
        printer: Printer::new(printer::networking::ip_address_cells),
        ..DEFAULT
    },
    Strategy {
        kind: "NetworkPolicy",
        has_generation: true,
        set_defaults: set_network_policy_defaults,
        printer: Printer::new(printer::networking::network_policy_cells),
        ..DEFAULT
    },
    Strategy {
        kind: "ServiceCIDR",
        validate: |new, out| check_cidrs(&new["spec"], out),
        validate_update: Some(check_cidrs_update),
        status_metadata: &["managedFields"],
        printer: Printer::new(printer::networking::service_cidr_cells),
        ..DEFAULT
    },
];

/// Returns the error text for an invalid name of an `IPAddress`, or `None` for a valid name. A valid name is an IP address
/// in canonical form.
fn ip_address_name_problem(name: &str) -> Option<String> {
    if let Some(why) = ip_address_problem(name) {
        return Some(why.to_owned());
    }
    let canonical = canonical_ip(name)?;
    (canonical != name).then(|| format!("must be in canonical form ({canonical:?})"))
}

/// Rejects a change of the parent. As in the API server, the error contains no value.
fn check_parent_update(old: &Value, new: &Value, out: &mut Errors) {
    if old["spec"]["parentRef"] != new["spec"]["parentRef"] {
        out.push(FieldError::invalid("spec.parentRef", Value::Null, "field is immutable"));
    }
}

/// Checks that there are one or two CIDRs in canonical form, at most one of each IP family.
fn check_cidrs(spec: &Value, out: &mut Errors) {
    let path = "spec.cidrs";
    let cidrs: Vec<&str> = crate::json::texts(&spec["cidrs"]).collect();
    match cidrs.len() {
        0 => return out.push(FieldError::required(path, "at least one CIDR required")),
        1 | 2 => {}
        _ => {
            return out.push(FieldError::invalid(path, spec.clone(), "may only hold up to 2 values"));
        }
    }
    let before = out.0.len();
    for (index, cidr) in cidrs.iter().enumerate() {
        if let Some(why) = canonical_cidr_problem(cidr) {
            out.push(FieldError::invalid(format!("{path}[{index}]"), *cidr, why));
        }
    }
    let is_v6 = |cidr: &&str| cidr.contains(':');
    if out.0.len() == before && cidrs.len() == 2 && is_v6(&cidrs[0]) == is_v6(&cidrs[1]) {
        let why = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        out.push(FieldError::invalid(path, spec["cidrs"].clone(), why));
    }
}

/// Rejects changes of the CIDRs, except for the addition of a second CIDR.
fn check_cidrs_update(old: &Value, new: &Value, out: &mut Errors) {
    const IMMUTABLE_ERROR: &str = "field is immutable";
    let list = |object: &Value| object["spec"]["cidrs"].as_array().cloned().unwrap_or_default();
    let (before, after) = (list(old), list(new));
    let is_second = before.len() == 1 && after.len() == 2;
    if before.len() != after.len() && !is_second {
        return out.push(FieldError::invalid("spec.cidrs", after, IMMUTABLE_ERROR));
    }
    for (index, (before, after)) in before.iter().zip(&after).enumerate() {
        if before != after {
            out.push(FieldError::invalid(format!("spec.cidrs[{index}]"), after.clone(), IMMUTABLE_ERROR));
        }
    }
    if is_second {
        check_cidrs(&new["spec"], out);
    }
}

fn check_ingress(new: &Value, out: &mut Errors) {
    let spec = &new["spec"];
    if spec["rules"].as_array().is_none_or(Vec::is_empty) && spec["defaultBackend"].is_null() {
        out.push(FieldError::invalid(
            "spec",
            spec.clone(),
            "either `defaultBackend` or `rules` must be specified",
        ));
    }
    for (path, rule) in items("spec", spec, "rules") {
        for (path, entry) in items(&format!("{path}.http"), &rule["http"], "paths") {
            let field = format!("{path}.pathType");
            match string_in(entry, "pathType") {
                "" => out.push(FieldError::required(field, "pathType must be specified")),
                "Exact" | "Prefix" if !string_in(entry, "path").starts_with('/') => {
                    out.push(FieldError::invalid(
                        format!("{path}.path"),
                        string_in(entry, "path"),
                        "must be an absolute path",
                    ));
                }
                _ => {}
            }
        }
    }
}

fn set_network_policy_defaults(_: Option<&Value>, object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    for list in ["ingress", "egress"] {
        for rule in object_items(spec, list) {
            object_items(rule, "ports").for_each(|port| set_default(port, "protocol", "TCP"));
        }
    }
    let egress = spec.get("egress").and_then(Value::as_array).is_some_and(|rules| !rules.is_empty());
    set_default(spec, "policyTypes", if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
}
