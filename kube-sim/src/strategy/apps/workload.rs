//! The validation, defaults and `Table` cells that deployments, replica sets, stateful sets, daemon sets and
//! replication controllers share.

use jiff::Timestamp;
use serde_json::Value;

use crate::schema::FieldError;
use crate::store::selector::{LabelSelector, Labels};
use crate::strategy::core::pod;
use crate::strategy::defaulting::{has_string, object_or_insert, set_default, set_default_string};
use crate::strategy::printer::{
    self, Printer, age_cell, name_cell, number_or_zero, string_or_empty, text_cell_or_none,
};
use crate::strategy::rules;
use crate::strategy::validation::{Errors, string_in};

/// The `Table` rows of replica sets and replication controllers.
pub(in crate::strategy) const REPLICA_SET_PRINTER: Printer = Printer::new(replica_set_cells);

/// Sets the default type `RollingUpdate` of the update strategy in `field`. If the strategy has this type, sets the default
/// `parameters` of the rolling update.
pub(super) fn set_rolling_update_defaults(spec: &mut Value, field: &str, parameters: &[(&str, Value)]) {
    let Some(strategy) = object_or_insert(spec, field) else { return };
    set_default_string(strategy, "type", "RollingUpdate");
    if !has_string(strategy, "type", "RollingUpdate") {
        return;
    }
    if let Some(rolling_update) = object_or_insert(strategy, "rollingUpdate") {
        for (parameter, value) in parameters {
            set_default(rolling_update, parameter, value.clone());
        }
    }
}

/// Validates the common fields of deployments, replica sets, stateful sets and daemon sets.
pub(super) fn validate(new: &Value, out: &mut Errors) {
    let spec = &new["spec"];
    out.require_at_least("spec", spec, "replicas", 0);
    let selector = &spec["selector"];
    let before = out.0.len();
    rules::check_selector("spec.selector", selector, out);
    let is_valid = out.0.len() == before;
    // For a daemon set, the API server reports fewer errors. For an absent selector, it reports only the
    // mismatch with the labels of the template. For an invalid selector, it reports only the errors about the
    // parts of the selector.
    let is_daemon_set = new["kind"] == "DaemonSet";
    if selector.is_null() && !is_daemon_set {
        out.push(FieldError::required("spec.selector", ""));
    } else if !selector.is_null() && is_empty_selector(selector) {
        out.push(FieldError::invalid("spec.selector", selector.clone(), "empty selector is invalid"));
    }
    if is_valid && !selector_matches(selector, &spec["template"]["metadata"]) {
        push_selector_mismatch(&spec["template"], out);
    } else if !is_valid && !is_daemon_set {
        out.push(FieldError::invalid("spec.selector", selector.clone(), "invalid label selector"));
    }
    pod::check_spec("spec.template.spec", &spec["template"]["spec"], out);
    require_restart_policy_always(spec, out);
}

/// Validates the common fields in an update of a deployment, replica set, stateful set or daemon set.
pub(super) fn validate_update(old: &Value, new: &Value, out: &mut Errors) {
    validate(new, out);
    out.reject_change("spec.selector", old, new);
}

/// Adds the error about a selector that does not match the labels of the pod template.
pub(in crate::strategy) fn push_selector_mismatch(template: &Value, out: &mut Errors) {
    let labels = template["metadata"]["labels"].clone();
    let why = "`selector` does not match template `labels`";
    out.push(FieldError::invalid("spec.template.metadata.labels", labels, why));
}

pub(in crate::strategy) fn require_restart_policy_always(spec: &Value, out: &mut Errors) {
    let policy = string_in(&spec["template"]["spec"], "restartPolicy");
    if !matches!(policy, "Always" | "") {
        out.push(FieldError::not_supported("spec.template.spec.restartPolicy", policy, &["Always"]));
    }
}

fn is_empty_selector(selector: &Value) -> bool {
    let no_labels = selector["matchLabels"].as_object().is_none_or(serde_json::Map::is_empty);
    no_labels && selector["matchExpressions"].as_array().is_none_or(Vec::is_empty)
}

/// Whether the labels of an object match a selector; a null selector matches nothing.
pub(in crate::strategy) fn selector_matches(selector: &Value, metadata: &Value) -> bool {
    !selector.is_null() && LabelSelector::from_json(selector).matches(&Labels::of(metadata))
}

/// The cells with the names and the images of the containers.
pub(in crate::strategy) fn container_names_and_images(template: &Value) -> [Value; 2] {
    let join = |field: &str| -> Value {
        let all: Vec<&str> =
            printer::items(&template["spec"]["containers"]).map(|c| string_or_empty(&c[field])).collect();
        all.join(",").into()
    };
    [join("name"), join("image")]
}

pub(in crate::strategy) fn selector_cell(object: &Value) -> Value {
    text_cell_or_none(&LabelSelector::from_json(&object["spec"]["selector"]).to_string())
}

fn replica_set_cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = &object["status"];
    let [names, images] = container_names_and_images(&object["spec"]["template"]);
    vec![
        name_cell(object),
        object["spec"]["replicas"].as_i64().unwrap_or(1).into(),
        number_or_zero(&status["replicas"]).into(),
        number_or_zero(&status["readyReplicas"]).into(),
        age_cell(object, now),
        names,
        images,
        selector_cell(object),
    ]
}
