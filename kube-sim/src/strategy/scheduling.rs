//! The strategies of the group `scheduling.k8s.io`.

use serde_json::Value;

use super::Strategy;
use super::defaulting::set_default;
use super::printer::{self, Printer};
use super::validation::Errors;
use crate::schema::FieldError;

pub(super) static STRATEGIES: [Strategy; 1] = [Strategy {
    group: "scheduling.k8s.io",
    kind: "PriorityClass",
    has_generation: true,
    set_defaults: |_, object| set_default(object, "preemptionPolicy", "PreemptLowerPriority"),
    validate: check_new_class,
    validate_update: Some(check_update),
    printer: Printer::new(printer::cluster::priority_class_cells),
    ..Strategy::DEFAULT
}];

/// The priority classes that the API server creates, each with its value.
const SYSTEM_CLASSES: [(&str, i64); 2] =
    [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];

/// Whether the API server creates the priority class `name` when the API server starts.
pub(crate) fn is_system_class(name: &str) -> bool {
    SYSTEM_CLASSES.iter().any(|(known, _)| *known == name)
}

/// Checks a new priority class. A class whose name begins with `system-` must be listed in [`SYSTEM_CLASSES`], have the
/// listed value and not be the default class. The value of any other class must not exceed one billion.
fn check_new_class(class: &Value, out: &mut Errors) {
    const MAX_USER_VALUE: i64 = 1_000_000_000;
    let name = class["metadata"]["name"].as_str().unwrap_or_default();
    if name.starts_with("system-") {
        let problem = match SYSTEM_CLASSES.iter().find(|(known, _)| *known == name) {
            None => format!("{name} is not a known system priority class"),
            Some((_, value)) if class["value"] != *value => {
                format!("value of {name} PriorityClass must be {value}")
            }
            Some(_) if class["globalDefault"] == true => {
                format!("globalDefault of {name} PriorityClass must be false")
            }
            Some(_) => return,
        };
        let why = "priority class names with 'system-' prefix are reserved for system use only. error:";
        out.push(FieldError::forbidden("metadata.name", format!("{why} {problem}")));
    } else if class["value"].as_i64().is_some_and(|value| value > MAX_USER_VALUE) {
        out.push(FieldError::forbidden(
            "value",
            format!("maximum allowed value of a user defined priority is {MAX_USER_VALUE}"),
        ));
    }
}

fn check_update(old: &Value, new: &Value, out: &mut Errors) {
    for field in ["value", "preemptionPolicy"] {
        if old[field] != new[field] {
            out.push(FieldError::forbidden(field, "may not be changed in an update."));
        }
    }
}
