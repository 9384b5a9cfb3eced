//! The strategy of replica sets.

use serde_json::{Value, json};

use super::{WORKLOAD, workload};
use crate::strategy::Strategy;
use crate::strategy::core::pod;
use crate::strategy::defaulting::{object_in, set_default};
use crate::strategy::fields::SelectableField;

pub(super) const STRATEGY: Strategy = Strategy {
    kind: "ReplicaSet",
    set_defaults,
    validate: workload::validate,
    validate_update: Some(workload::validate_update),
    warn: |old, new, out| {
        pod::warn_of_name(old, new, out);
        pod::warn_of_template("spec.template", old, new, out);
    },
    selectable_fields: &[SelectableField::with_value_if_absent("status.replicas", "0")],
    printer: workload::REPLICA_SET_PRINTER,
    zero_value: Some(|| {
        let template = json!({"metadata": {}, "spec": {"containers": null}});
        (json!({"selector": null, "template": template}), json!({"replicas": 0}))
    }),
    ..WORKLOAD
};

fn set_defaults(_: Option<&Value>, object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default(spec, "replicas", 1);
    pod::set_template_defaults(spec);
}
