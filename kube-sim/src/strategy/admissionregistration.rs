//! The strategies of the group `admissionregistration.k8s.io`.

use serde_json::{Map, Value};

use super::Strategy;
use super::defaulting::{object_in, object_items, set_default};
use super::printer::{self, Printer};

/// The part of the strategy that all kinds of this API group share.
const DEFAULT: Strategy = Strategy {
    group: "admissionregistration.k8s.io",
    has_generation: true,
    allow_unconditional_update: false,
    ..Strategy::DEFAULT
};

/// The part of the strategy that validating and mutating webhook configurations share.
const WEBHOOKS: Strategy =
    Strategy { printer: Printer::new(printer::cluster::webhook_configuration_cells), ..DEFAULT };

/// The part of the strategy that the bindings of validating and mutating policies share.
const POLICY_BINDING: Strategy = Strategy {
    set_defaults: |_, binding| set_match_defaults(binding, "matchResources"),
    printer: Printer::new(printer::cluster::policy_binding_cells),
    ..DEFAULT
};

pub(super) static STRATEGIES: [Strategy; 6] = [
    Strategy {
        kind: "MutatingAdmissionPolicy",
        set_defaults: |_, policy| set_policy_defaults(policy),
        printer: Printer::new(printer::cluster::mutating_policy_cells),
        ..DEFAULT
    },
    Strategy { kind: "MutatingAdmissionPolicyBinding", ..POLICY_BINDING },
    Strategy {
        kind: "MutatingWebhookConfiguration",
        set_defaults: |_, object| {
            set_webhooks_defaults(object);
            object_items(object, "webhooks")
                .for_each(|hook| set_default(hook, "reinvocationPolicy", "Never"));
        },
        ..WEBHOOKS
    },
    Strategy {
        kind: "ValidatingAdmissionPolicy",
        set_defaults: |_, policy| set_policy_defaults(policy),
        printer: Printer::new(printer::cluster::validating_policy_cells),
        ..DEFAULT
    },
    Strategy { kind: "ValidatingAdmissionPolicyBinding", ..POLICY_BINDING },
    Strategy {
        kind: "ValidatingWebhookConfiguration",
        set_defaults: |_, object| set_webhooks_defaults(object),
        ..WEBHOOKS
    },
];

/// Sets the defaults that validating and mutating policies share.
fn set_policy_defaults(policy: &mut Value) {
    if let Some(spec) = object_in(policy, "spec") {
        set_default(spec, "failurePolicy", "Fail");
    }
    set_match_defaults(policy, "matchConstraints");
}

/// Sets the defaults of the `MatchResources` in a field of the spec.
fn set_match_defaults(object: &mut Value, field: &str) {
    let Some(matched) = object_in(object, "spec").and_then(|spec| object_in(spec, field)) else { return };
    set_default(matched, "matchPolicy", "Equivalent");
    set_default(matched, "namespaceSelector", Map::new());
    set_default(matched, "objectSelector", Map::new());
    for list in ["resourceRules", "excludeResourceRules"] {
        object_items(matched, list).for_each(|rule| set_default(rule, "scope", "*"));
    }
}

/// Sets the defaults that validating and mutating webhooks share.
fn set_webhooks_defaults(object: &mut Value) {
    for hook in object_items(object, "webhooks") {
        set_default(hook, "failurePolicy", "Fail");
        set_default(hook, "matchPolicy", "Equivalent");
        set_default(hook, "namespaceSelector", Map::new());
        set_default(hook, "objectSelector", Map::new());
        set_default(hook, "timeoutSeconds", 10);
        object_items(hook, "rules").for_each(|rule| set_default(rule, "scope", "*"));
        if let Some(service) = object_in(hook, "clientConfig").and_then(|config| object_in(config, "service"))
        {
            set_default(service, "port", 443);
        }
    }
}
