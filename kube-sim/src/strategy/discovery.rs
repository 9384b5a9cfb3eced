//! The strategies of the group `discovery.k8s.io`.

use serde_json::Value;

use super::Strategy;
use super::defaulting::{object_items, set_default};
use super::printer::{self, Printer};

pub(super) static STRATEGIES: [Strategy; 1] = [Strategy {
    group: "discovery.k8s.io",
    kind: "EndpointSlice",
    has_generation: true,
    generation_metadata: &["labels"],
    set_defaults: set_endpoint_slice_defaults,
    printer: Printer::new(printer::networking::endpoint_slice_cells),
    ..Strategy::DEFAULT
}];

fn set_endpoint_slice_defaults(_: Option<&Value>, object: &mut Value) {
    for port in object_items(object, "ports") {
        set_default(port, "name", "");
        set_default(port, "protocol", "TCP");
    }
}
