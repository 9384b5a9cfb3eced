//! The strategy of limit ranges.

use serde_json::{Map, Value};

use crate::strategy::Strategy;
use crate::strategy::defaulting::{object_in, object_items};

pub(super) const STRATEGY: Strategy = Strategy {
    kind: "LimitRange",
    allow_create_on_update: true,
    set_defaults: |_, range| {
        if let Some(spec) = object_in(range, "spec") {
            object_items(spec, "limits").filter(|limit| limit["type"] == "Container").for_each(complete);
        }
    },
    ..Strategy::DEFAULT
};

/// Completes the defaults of containers: default limits from the maxima, and default requests from the default limits and
/// the minima.
fn complete(limit: &mut Value) {
    for (source, target) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
        let Some(quantities) = limit[source].as_object().filter(|list| !list.is_empty()).cloned() else {
            continue;
        };
        if !limit[target].is_object() {
            limit[target] = Map::new().into();
        }
        let Some(defaults) = limit[target].as_object_mut() else { continue };
        for (resource, quantity) in quantities {
            defaults.entry(resource).or_insert(quantity);
        }
    }
}
