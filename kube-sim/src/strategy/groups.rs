//! The strategies of the API groups that have no file of their own.

use serde_json::Value;

use super::defaulting::{object_in, set_default};
use super::printer::{self, Printer};
use super::{InitialStatus, Strategy};

/// The part of the strategy that the kinds of `flowcontrol.apiserver.k8s.io` share.
const FLOW_CONTROL: Strategy =
    Strategy { group: "flowcontrol.apiserver.k8s.io", has_generation: true, ..Strategy::DEFAULT };

pub(super) static STRATEGIES: [Strategy; 4] = [
    Strategy {
        group: "apiregistration.k8s.io",
        kind: "APIService",
        printer: Printer::new(printer::cluster::api_service_cells),
        initial_status: InitialStatus::Kept,
        ..Strategy::DEFAULT
    },
    Strategy {
        kind: "FlowSchema",
        set_defaults: set_flow_schema_defaults,
        printer: Printer {
            arrange: printer::cluster::sort_flow_schemas,
            ..Printer::new(printer::cluster::flow_schema_cells)
        },
        ..FLOW_CONTROL
    },
    Strategy {
        kind: "PriorityLevelConfiguration",
        set_defaults: set_priority_level_defaults,
        printer: Printer::new(printer::cluster::priority_level_cells),
        ..FLOW_CONTROL
    },
    Strategy {
        group: "node.k8s.io",
        kind: "RuntimeClass",
        printer: Printer::new(printer::cluster::runtime_class_cells),
        allow_create_on_update: true,
        allow_unconditional_update: false,
        ..Strategy::DEFAULT
    },
];

/// Sets `field` to `number` if the field is absent, null or 0.
fn set_default_number(object: &mut Value, field: &str, number: i64) {
    if object.get(field).is_some_and(|present| *present == 0) {
        object[field] = Value::Null;
    }
    set_default(object, field, number);
}

fn set_flow_schema_defaults(_: Option<&Value>, object: &mut Value) {
    if let Some(spec) = object_in(object, "spec") {
        set_default_number(spec, "matchingPrecedence", 1_000);
    }
}

fn set_priority_level_defaults(_: Option<&Value>, object: &mut Value) {
    let Some(limited) = object_in(object, "spec").and_then(|spec| object_in(spec, "limited")) else { return };
    set_default(limited, "nominalConcurrencyShares", 30);
    set_default(limited, "lendablePercent", 0);
    let queuing = object_in(limited, "limitResponse").and_then(|response| object_in(response, "queuing"));
    if let Some(queuing) = queuing {
        set_default_number(queuing, "queues", 64);
        set_default_number(queuing, "handSize", 8);
        set_default_number(queuing, "queueLengthLimit", 50);
    }
}
