//! A webhook of a `MutatingWebhookConfiguration` or `ValidatingWebhookConfiguration`.

use std::time::Duration;

use serde_json::Value;

use crate::store::object::StoredObject;
use crate::store::selector::LabelSelector;

/// The time limit of a call in seconds, unless the configuration has one.
const DEFAULT_TIMEOUT: u64 = 10;

/// A webhook. Its configuration has been validated and its defaults are set.
#[derive(Debug)]
pub(super) struct Webhook {
    pub(super) name: String,
    /// The entry in the list `webhooks` of the configuration.
    pub(super) spec: Value,
    pub(super) namespace_selector: LabelSelector,
    pub(super) object_selector: LabelSelector,
}

impl Webhook {
    /// The webhooks of a configuration.
    pub(super) fn all_of(configuration: &StoredObject) -> Vec<Self> {
        let mut value = configuration.value();
        let Value::Array(entries) = value["webhooks"].take() else { return Vec::new() };
        entries.into_iter().map(Self::of).collect()
    }

    fn of(spec: Value) -> Self {
        Self {
            name: spec["name"].as_str().unwrap_or_default().to_owned(),
            namespace_selector: LabelSelector::from_json(&spec["namespaceSelector"]),
            object_selector: LabelSelector::from_json(&spec["objectSelector"]),
            spec,
        }
    }

    /// The items of the list `field` in the entry of the webhook; empty if the field is absent.
    pub(super) fn list_field(&self, field: &str) -> &[Value] {
        self.spec[field].as_array().map_or(&[], Vec::as_slice)
    }

    /// Whether a failed call admits the request.
    pub(super) fn ignores_failures(&self) -> bool {
        self.spec["failurePolicy"] == "Ignore"
    }

    /// Whether the webhook is also called for other versions of the resources in its rules.
    pub(super) fn matches_equivalents(&self) -> bool {
        self.spec["matchPolicy"] != "Exact"
    }

    /// Whether the webhook is called again if a later webhook changes the object.
    pub(super) fn is_reinvocable(&self) -> bool {
        self.spec["reinvocationPolicy"] == "IfNeeded"
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs(self.spec["timeoutSeconds"].as_u64().unwrap_or(DEFAULT_TIMEOUT))
    }
}
