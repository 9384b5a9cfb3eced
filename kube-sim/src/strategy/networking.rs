//! The strategies of the group `networking.k8s.io`.

use serde_json::{Value, json};

use super::Strategy;
use super::defaulting::{object_in, object_items, set_default};
use super::printer::{self, Printer};
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
        printer: Printer::new(printer::networking::ingress),
        ..DEFAULT
    },
    Strategy {
        kind: "IngressClass",
        has_generation: true,
        printer: Printer::new(printer::networking::ingress_class),
        ..DEFAULT
    },
    Strategy { kind: "IPAddress", printer: Printer::new(printer::networking::ip_address), ..DEFAULT },
    Strategy {
        kind: "NetworkPolicy",
        has_generation: true,
        set_defaults: set_network_policy_defaults,
        printer: Printer::new(printer::networking::network_policy),
        ..DEFAULT
    },
    Strategy { kind: "ServiceCIDR", printer: Printer::new(printer::networking::service_cidr), ..DEFAULT },
];

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
