//! The strategy of replication controllers.

use serde_json::Value;

use super::pod;
use crate::schema::FieldError;
use crate::strategy::Strategy;
use crate::strategy::apps::workload::{
    REPLICA_SET_PRINTER, push_selector_mismatch, require_restart_policy_always, selector_matches,
};
use crate::strategy::defaulting::{object_in, set_default};
use crate::strategy::deletion::DeletionStrategy;
use crate::strategy::fields::SelectableField;
use crate::strategy::validation::Errors;

pub(super) const STRATEGY: Strategy = Strategy {
    kind: "ReplicationController",
    has_generation: true,
    set_defaults,
    validate,
    warn: |old, new, out| {
        pod::warn_of_name(old, new, out);
        // As in the API server, the warnings of an update are about the template before the update.
        match old {
            Some(old) => pod::warn_of_template("spec.template", Some(new), old, out),
            None => pod::warn_of_template("spec.template", None, new, out),
        }
    },
    status_reset_fields: &["spec"],
    selectable_fields: &[SelectableField::with_value_if_absent("status.replicas", "0")],
    printer: REPLICA_SET_PRINTER,
    deletion: DeletionStrategy::ORPHANS_BY_DEFAULT,
    ..Strategy::DEFAULT
};

fn set_defaults(_: Option<&Value>, object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default(spec, "replicas", 1);
    // The schema sets an absent `minReadySeconds` to 0, but Go omits this field if the value is 0.
    if let Some(fields) = spec.as_object_mut()
        && fields.get("minReadySeconds").is_some_and(|seconds| *seconds == 0)
    {
        fields.remove("minReadySeconds");
    }
    pod::set_template_defaults(spec);
    let Some(labels) = spec.pointer("/template/metadata/labels").filter(|labels| labels.is_object()).cloned()
    else {
        return;
    };
    set_default(spec, "selector", labels.clone());
    if let Some(metadata) = object_in(object, "metadata") {
        set_default(metadata, "labels", labels);
    }
}

fn validate(new: &Value, out: &mut Errors) {
    let spec = &new["spec"];
    out.require_at_least("spec", spec, "replicas", 0);
    let selector = serde_json::json!({"matchLabels": spec["selector"]});
    if spec["selector"].as_object().is_none_or(serde_json::Map::is_empty) {
        out.push(FieldError::required("spec.selector", ""));
    } else if !spec["template"].is_null() && !selector_matches(&selector, &spec["template"]["metadata"]) {
        push_selector_mismatch(&spec["template"], out);
    }
    if spec["template"].is_null() {
        out.push(FieldError::required("spec.template", ""));
        return;
    }
    pod::check_spec("spec.template.spec", &spec["template"]["spec"], out);
    require_restart_policy_always(spec, out);
}
