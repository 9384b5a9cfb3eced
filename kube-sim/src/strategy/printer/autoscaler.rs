//! The cells of horizontal pod autoscalers, in `autoscaling/v2` and `autoscaling/v1`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{age_cell, items, name_cell, number_or_text, number_or_zero, string_or_empty};

/// The maximum number of metrics in the cell `Targets`.
const MAX_SHOWN_METRICS: usize = 2;
const UNKNOWN: &str = "<unknown>";

pub(in crate::strategy) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let targets = match &spec["targetCPUUtilizationPercentage"] {
        Value::Null => targets(&spec["metrics"], &status["currentMetrics"]),
        // The CPU utilization is the only metric in `autoscaling/v1`.
        percent => {
            let metric = |utilization: &Value| {
                json!([{"type": "Resource", "resource": {
                    "name": "cpu",
                    "target": {"averageUtilization": utilization},
                    "current": {"averageUtilization": utilization},
                }}])
            };
            targets(&metric(percent), &metric(&status["currentCPUUtilizationPercentage"]))
        }
    };
    let least = match number_or_text(&spec["minReplicas"]) {
        text if text.is_empty() => "<unset>".to_owned(),
        text => text,
    };
    let target = &spec["scaleTargetRef"];
    vec![
        name_cell(object),
        format!("{}/{}", string_or_empty(&target["kind"]), string_or_empty(&target["name"])).into(),
        targets.into(),
        least.into(),
        number_or_zero(&spec["maxReplicas"]).into(),
        number_or_zero(&status["currentReplicas"]).into(),
        age_cell(object, now),
    ]
}

/// The current and the wanted values of the first [`MAX_SHOWN_METRICS`] metrics, and the number of the other metrics.
fn targets(metrics: &Value, current: &Value) -> String {
    let mut shown: Vec<String> =
        items(metrics).enumerate().map(|(index, metric)| target(metric, &current[index])).collect();
    if shown.is_empty() {
        return "<none>".to_owned();
    }
    let more = shown.len().saturating_sub(MAX_SHOWN_METRICS);
    shown.truncate(MAX_SHOWN_METRICS);
    let shown = shown.join(", ");
    if more == 0 { shown } else { format!("{shown} + {more} more...") }
}

/// The current and the wanted value of one metric, such as `cpu: 20%/80%`.
fn target(metric: &Value, status: &Value) -> String {
    let (field, is_resource) = match string_or_empty(&metric["type"]) {
        "External" => ("external", false),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        _ => return "<unknown type>".to_owned(),
    };
    let (wanted, current) = (&metric[field]["target"], &status[field]["current"]);
    let known = |value: &Value, unit: &str| match number_or_text(value) {
        text if text.is_empty() => UNKNOWN.to_owned(),
        text => format!("{text}{unit}"),
    };
    let name = string_or_empty(&metric[field]["name"]);
    match (is_resource, &wanted["averageValue"]) {
        (true, Value::Null) => {
            let percent = match &wanted["averageUtilization"] {
                Value::Null => "<auto>".to_owned(),
                percent => format!("{percent}%"),
            };
            format!("{name}: {}/{percent}", known(&current["averageUtilization"], "%"))
        }
        (true, average) => {
            format!("{name}: {}/{}", known(&current["averageValue"], ""), number_or_text(average))
        }
        (false, Value::Null) => {
            format!("{}/{}", known(&current["value"], ""), number_or_text(&wanted["value"]))
        }
        (false, average) => {
            let suffix = if field == "pods" { "" } else { " (avg)" };
            format!("{}/{}{suffix}", known(&current["averageValue"], ""), number_or_text(average))
        }
    }
}
