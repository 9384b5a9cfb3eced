//! The strategies of the group `admissionregistration.k8s.io`.

use serde_json::{Map, Value};

use super::Strategy;
use super::defaulting::{object_in, object_items, set_default};

/// The part of the strategy that all kinds of this API group share.
const DEFAULT: Strategy = Strategy {
    group: "admissionregistration.k8s.io",
    has_generation: true,
    allow_unconditional_update: false,
    ..Strategy::DEFAULT
};

pub(super) static STRATEGIES: [Strategy; 6] = [
    Strategy { kind: "MutatingAdmissionPolicy", ..DEFAULT },
    Strategy { kind: "MutatingAdmissionPolicyBinding", ..DEFAULT },
    Strategy {
        kind: "MutatingWebhookConfiguration",
        set_defaults: |_, object| {
            set_webhooks_defaults(object);
            object_items(object, "webhooks")
                .for_each(|hook| set_default(hook, "reinvocationPolicy", "Never"));
        },
        ..DEFAULT
    },
    Strategy {
        kind: "ValidatingAdmissionPolicy",
        set_defaults: |_, object| {
            let Some(spec) = object_in(object, "spec") else { return };
            set_default(spec, "failurePolicy", "Fail");
            set_match_defaults(spec, "matchConstraints");
        },
        ..DEFAULT
    },
    Strategy {
        kind: "ValidatingAdmissionPolicyBinding",
        set_defaults: |_, object| {
            if let Some(spec) = object_in(object, "spec") {
                set_match_defaults(spec, "matchResources");
            }
        },
        ..DEFAULT
    },
    Strategy {
        kind: "ValidatingWebhookConfiguration",
        set_defaults: |_, object| set_webhooks_defaults(object),
        ..DEFAULT
    },
];

/// Sets the defaults of the `MatchResources` in `field`.
fn set_match_defaults(spec: &mut Value, field: &str) {
    let Some(resources) = object_in(spec, field) else { return };
    set_default(resources, "matchPolicy", "Equivalent");
    set_default(resources, "namespaceSelector", Map::new());
    set_default(resources, "objectSelector", Map::new());
    for rules in ["resourceRules", "excludeResourceRules"] {
        object_items(resources, rules).for_each(|rule| set_default(rule, "scope", "*"));
    }
}

/// Sets the defaults that the webhooks of both kinds of configurations have.
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
