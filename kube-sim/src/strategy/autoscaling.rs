//! The strategies of the group `autoscaling`.

use serde_json::{Value, json};

use super::defaulting::{object_in, object_or_insert, set_default};
use super::printer::{self, Printer};
use super::validation::Errors;
use super::{InitialStatus, Strategy};
use crate::schema::FieldError;

/// The strategy of autoscalers in `autoscaling/v2`.
const AUTOSCALER: Strategy = Strategy {
    group: "autoscaling",
    kind: "HorizontalPodAutoscaler",
    has_generation: true,
    set_defaults,
    validate,
    initial_status: InitialStatus::Set(|_| json!({"currentMetrics": null, "desiredReplicas": 0})),
    status_reset_fields: &["spec"],
    printer: Printer::new(printer::autoscaler::cells),
    ..Strategy::DEFAULT
};

/// The strategy of autoscalers in `autoscaling/v1`, whose fields and defaults differ from `autoscaling/v2`.
pub(super) static AUTOSCALER_V1: Strategy =
    Strategy { set_defaults: set_defaults_v1, initial_status: InitialStatus::Zero, ..AUTOSCALER };

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
    let Some(behavior) = object_in(spec, "behavior") else { return };
    let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
    for (direction, policies) in [("scaleUp", json!([pods, percent])), ("scaleDown", json!([percent]))] {
        let Some(rules) = object_or_insert(behavior, direction) else { continue };
        set_default(rules, "selectPolicy", "Max");
        set_default(rules, "policies", policies);
        if direction == "scaleUp" {
            set_default(rules, "stabilizationWindowSeconds", 0);
        }
    }
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
