//! Finds schema nodes at which the API server would prune unknown fields that the Rust type preserves.
//!
//! For some types that preserve unknown fields, schemars generates a schema that does not preserve unknown fields. For
//! example, an internally tagged variant with a `serde_json::Value` has the same schema as a variant without content. This
//! module adds an unknown field to a sample object, decodes and encodes the object, and checks whether the field is still
//! present.
//!
//! This module must not report a node if its sample does not decode: a custom `Deserialize` may have conditions that the
//! schema does not contain.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::Definition;
use crate::schema::SchemaProblem;

/// A field name that is not in any schema.
const UNKNOWN_FIELD: &str = "fieldThatNoTypeHas";

/// A step from a node of a schema to one of its child nodes.
#[derive(Clone)]
enum Step {
    Property(String),
    /// Any element of a list.
    Item,
    /// Any value of a map.
    Entry,
}

/// Reports the nodes of `schema` at which `K` preserves unknown fields, but the API server prunes them.
pub(super) fn report_pruned_fields<K: Serialize + DeserializeOwned>(
    definition: &Definition,
    schema: &JSONSchemaProps,
    problems: &mut Vec<SchemaProblem>,
) {
    let survives = |steps: &[Step], leaf: Value| -> Option<bool> {
        let mut object = place_leaf(schema, steps, leaf)?;
        let fields = object.as_object_mut()?;
        fields.insert("apiVersion".to_owned(), json!(definition.api_version));
        fields.insert("kind".to_owned(), json!(definition.kind));
        fields.insert("metadata".to_owned(), json!({ "name": "probe" }));
        let object: K = serde_json::from_value(object).ok()?;
        let encoded = serde_json::to_value(object).ok()?;
        let kept = steps.iter().try_fold(&encoded, |value, step| match step {
            Step::Property(name) => value.get(name),
            Step::Item => value.get(0),
            Step::Entry => value.get(UNKNOWN_FIELD),
        });
        Some(kept.is_some_and(|kept| kept.get(UNKNOWN_FIELD).is_some()))
    };
    visit_pruning_nodes(schema, &mut Vec::new(), &mut |node, steps| {
        if sample_objects(node).into_iter().any(|mut sample| {
            sample.insert(UNKNOWN_FIELD.to_owned(), json!({ "a": 1 }));
            survives(steps, Value::Object(sample)) == Some(true)
        }) {
            problems.push(SchemaProblem::new(
                format_path(steps),
                "the type preserves fields that the schema does not have, and the server prunes them",
                "use a map as content, such as `Other(BTreeMap<String, serde_json::Value>)`",
            ));
        }
    });
}

/// Visits the object nodes at which the server prunes unknown fields.
fn visit_pruning_nodes(
    node: &JSONSchemaProps,
    steps: &mut Vec<Step>,
    visit: &mut dyn FnMut(&JSONSchemaProps, &[Step]),
) {
    let prunes = node.x_kubernetes_preserve_unknown_fields != Some(true);
    if prunes && node.type_.as_deref() == Some("object") && node.additional_properties.is_none() {
        visit(node, steps);
    }
    let mut child = |step: Step, node: &JSONSchemaProps| {
        steps.push(step);
        visit_pruning_nodes(node, steps, visit);
        steps.pop();
    };
    for (name, property) in node.properties.iter().flatten() {
        child(Step::Property(name.clone()), property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &node.items {
        child(Step::Item, items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &node.additional_properties {
        child(Step::Entry, values);
    }
}

/// Returns sample objects for a node: a minimal object, and one copy for each enumerated value of a required property. The
/// copy contains this value. A property with enumerated values may be the tag of a Rust enum.
fn sample_objects(node: &JSONSchemaProps) -> Vec<Map<String, Value>> {
    let Value::Object(sample) = minimal_value(node) else { return Vec::new() };
    let mut all = vec![sample.clone()];
    for name in node.required.iter().flatten() {
        let property = node.properties.as_ref().and_then(|properties| properties.get(name));
        for value in property.and_then(|property| property.enum_.as_ref()).into_iter().flatten() {
            let mut other = sample.clone();
            other.insert(name.clone(), value.0.clone());
            all.push(other);
        }
    }
    all
}

/// Builds a small value for the schema `node`, with `leaf` at the path `steps`. Returns `None` if the schema
/// does not have this path.
fn place_leaf(node: &JSONSchemaProps, steps: &[Step], leaf: Value) -> Option<Value> {
    let Some((step, rest)) = steps.split_first() else { return Some(leaf) };
    Some(match step {
        Step::Property(name) => {
            let child = place_leaf(node.properties.as_ref()?.get(name)?, rest, leaf)?;
            let mut object = minimal_value(node);
            object.as_object_mut()?.insert(name.clone(), child);
            object
        }
        Step::Item => match &node.items {
            Some(JSONSchemaPropsOrArray::Schema(items)) => json!([place_leaf(items, rest, leaf)?]),
            _ => return None,
        },
        Step::Entry => match &node.additional_properties {
            Some(JSONSchemaPropsOrBool::Schema(values)) => {
                json!({ UNKNOWN_FIELD: place_leaf(values, rest, leaf)? })
            }
            _ => return None,
        },
    })
}

/// A small value of a node: its default, else its first enumerated value, else a small value of its type. The small value of
/// the type `array` has at most 16 items, even if the schema requires more. The small value of the type `string` is a
/// date-time, or has at most 16 characters, even if the schema requires more. For a node without a type, the value is 0 if
/// the node has `x-kubernetes-int-or-string`, else null.
fn minimal_value(node: &JSONSchemaProps) -> Value {
    if let Some(value) = node.default.as_ref().or(node.enum_.as_ref().and_then(|values| values.first())) {
        return value.0.clone();
    }
    let least = |bound: Option<i64>| usize::try_from(bound.unwrap_or_default()).unwrap_or_default().min(16);
    match node.type_.as_deref() {
        Some("object") => {
            let property =
                |name: &String| Some((name.clone(), minimal_value(node.properties.as_ref()?.get(name)?)));
            Value::Object(node.required.iter().flatten().filter_map(property).collect())
        }
        Some("array") => match &node.items {
            Some(JSONSchemaPropsOrArray::Schema(items)) => {
                Value::Array(vec![minimal_value(items); least(node.min_items)])
            }
            _ => json!([]),
        },
        Some("string") if node.format.as_deref() == Some("date-time") => json!("2024-01-01T00:00:00Z"),
        Some("string") => Value::String("a".repeat(least(node.min_length))),
        Some("integer" | "number") => {
            let minimum = node.minimum.map_or(0.0, f64::ceil).max(0.0);
            // The text has no fraction, because a JSON number without a fraction decodes as an integer and as a float.
            serde_json::from_str(&format!("{minimum}")).unwrap_or_default()
        }
        Some("boolean") => json!(false),
        _ if node.x_kubernetes_int_or_string == Some(true) => json!(0),
        _ => Value::Null,
    }
}

/// Formats steps as the path of a problem, such as `.spec.rules[*]`.
fn format_path(steps: &[Step]) -> String {
    let step = |step: &Step| match step {
        Step::Property(name) => format!(".{name}"),
        Step::Item | Step::Entry => "[*]".to_owned(),
    };
    steps.iter().map(step).collect()
}
