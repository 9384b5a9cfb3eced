//! The strategies of the group `autoscaling`.

use serde_json::{Value, json};

use super::Strategy;
use super::defaulting::{object_in, set_default};
use super::validation::Errors;
use crate::schema::FieldError;

/// The strategy of autoscalers in `autoscaling/v2`.
const AUTOSCALER: Strategy = Strategy {
    group: "autoscaling",
    kind: "HorizontalPodAutoscaler",
    has_generation: true,
    set_defaults,
    validate,
    status_reset_fields: &["spec"],
    ..Strategy::DEFAULT
};

/// The strategy of autoscalers in `autoscaling/v1`, whose fields and defaults differ from `autoscaling/v2`.
pub(super) static AUTOSCALER_V1: Strategy = Strategy { set_defaults: set_defaults_v1, ..AUTOSCALER };

pub(super) static STRATEGIES: [Strategy; 1] = [AUTOSCALER];

/// Sets the defaults in `autoscaling/v2`. The default metric is a CPU utilization of 80 %.
fn set_defaults(_: Option<&Value>, object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default(spec, "minReplicas", 1);
    let cpu = json!({
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
    });
    set_default(spec, "metrics", json!([cpu]));
}

fn set_defaults_v1(_: Option<&Value>, object: &mut Value) {
    let Some(spec) = object_in(object, "spec") else { return };
    set_default(spec, "minReplicas", 1);
    set_default(spec, "targetCPUUtilizationPercentage", 80);
}

fn validate(new: &Value, out: &mut Errors) {
    let spec = &new["spec"];
    let (least, most) =
        (spec["minReplicas"].as_i64().unwrap_or(1), spec["maxReplicas"].as_i64().unwrap_or(0));
    if most < 1 {
        out.push(FieldError::invalid("spec.maxReplicas", most, "must be greater than 0"));
    }
    if most < least {
        let why = "must be greater than or equal to `minReplicas`";
        out.push(FieldError::invalid("spec.maxReplicas", most, why));
    }
    for field in ["kind", "name"] {
        out.require_string("spec.scaleTargetRef", &spec["scaleTargetRef"], field);
    }
}
