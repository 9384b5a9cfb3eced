//! Conversion between the API version of a request and the storage version.
//!
//! Only events, horizontal pod autoscalers and custom resources are converted. All versions of any other kind have the
//! same fields. [`super::conversion_webhooks`] has the conversions by webhooks.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::registry::{Conversion, Resource};
use crate::schema;
use crate::store::object::StoredObject;

/// Converts a stored object to the API version of `resource`.
pub(crate) fn from_stored(resource: &Resource, object: &StoredObject) -> Value {
    from_storage_version(resource, object.typed_value(&resource.api_version, &resource.kind))
}

/// The object as clients read it in the API version of `resource`. As in the API server, a custom resource gets the
/// defaults of the version in which it is stored, and loses the fields that the requested version does not have,
/// because the schemas may have changed since the object was written. An object of another version is returned
/// unchanged if a webhook converts it afterwards.
///
/// Returns `object` itself if nothing changes. An object that was stored with the schema of `resource` is not decoded.
pub(crate) fn to_read_form(resource: &Resource, object: Arc<StoredObject>) -> Arc<StoredObject> {
    let Some(custom) = resource.custom_properties() else { return object };
    if object.schema.as_ref().is_some_and(|schema| Arc::ptr_eq(schema, &custom.schema)) {
        return object;
    }
    let is_other_version =
        object.api_version.as_deref().is_some_and(|version| version != resource.api_version);
    if is_other_version && custom.webhook.is_some() {
        return object;
    }
    let mut value = with_stored_defaults(resource, &object);
    value["apiVersion"] = resource.api_version.as_str().into();
    let _ = schema::prune(&custom.schema, &mut value);
    schema::drop_nulls(&custom.schema, &mut value);
    let fields = resource.field_values(&value);
    let read = StoredObject::new(object.key.clone(), object.version, fields, value)
        .with_api_version(resource.stored_version(&resource.api_version))
        .with_schema(Some(custom.schema.clone()));
    if read.bare_json() == object.bare_json() && read.fields == object.fields {
        object
    } else {
        Arc::new(read)
    }
}

/// A stored custom resource with its `apiVersion` and `kind`, and with the defaults of the version in which it is
/// stored.
pub(crate) fn with_stored_defaults(resource: &Resource, object: &StoredObject) -> Value {
    let version = object.api_version.as_deref().unwrap_or(&resource.api_version);
    let mut value = object.typed_value(version, &resource.kind);
    if let Some(schema) = resource.custom_properties().and_then(|custom| custom.schemas.get(version)) {
        schema::apply_defaults(schema, &mut value);
    }
    value
}

/// Converts an object from one API version of a resource to another.
pub(crate) fn between_versions(from: &Resource, to: &Resource, object: Value) -> Value {
    let mut object = to_storage_version(from, object);
    object["apiVersion"] = to.api_version.as_str().into();
    object["kind"] = to.kind.as_str().into();
    from_storage_version(to, object)
}

fn from_storage_version(resource: &Resource, object: Value) -> Value {
    match (resource.conversion, object) {
        (Conversion::Events, Value::Object(map)) => {
            Value::Object(rename_fields(map, &EVENT_FIELD_NAMES, Direction::FromStorage))
        }
        (Conversion::Autoscaler, Value::Object(map)) => Value::Object(autoscaler_from_storage(map)),
        (Conversion::Pruning, mut object) => {
            let _ = schema::prune(&resource.schema(), &mut object);
            object
        }
        (_, object) => object,
    }
}

/// Converts an object from the API version of `resource` to the storage version.
pub(crate) fn to_storage_version(resource: &Resource, object: Value) -> Value {
    match (resource.conversion, object) {
        (Conversion::None | Conversion::Pruning, mut object) => {
            if let Some(custom) = resource.custom_properties() {
                object["apiVersion"] = custom.storage_version.as_ref().into();
            }
            object
        }
        (Conversion::Events, Value::Object(map)) => {
            Value::Object(rename_fields(map, &EVENT_FIELD_NAMES, Direction::ToStorage))
        }
        (Conversion::Autoscaler, Value::Object(map)) => Value::Object(autoscaler_to_storage(map)),
        (_, object) => object,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToStorage,
    FromStorage,
}

/// The fields of an event that have one name in core `v1` (the storage version) and another in `events.k8s.io/v1`, as
/// pairs of these names.
const EVENT_FIELD_NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

fn rename_fields(
    mut map: Map<String, Value>,
    names: &[(&str, &str)],
    direction: Direction,
) -> Map<String, Value> {
    for (stored, served) in names {
        let (from, to) = if direction == Direction::ToStorage { (served, stored) } else { (stored, served) };
        if let Some(value) = map.remove(*from) {
            map.insert((*to).to_owned(), value);
        }
    }
    if direction == Direction::FromStorage {
        // The Go type of `events.k8s.io/v1` omits these fields if they are empty (`omitempty`). The Go type of core
        // `v1` does not omit them.
        map.retain(|name, value| {
            !(matches!(name.as_str(), "reportingController" | "reportingInstance") && *value == "")
        });
    }
    map
}

/// The annotation in which an `autoscaling/v1` object contains the metrics that have no field in `autoscaling/v1`.
const METRICS_ANNOTATION: &str = "autoscaling.alpha.kubernetes.io/metrics";

fn is_cpu_utilization(metric: &Value) -> bool {
    metric["type"] == "Resource"
        && metric["resource"]["name"] == "cpu"
        && metric["resource"]["target"]["averageUtilization"].is_number()
}

fn autoscaler_from_storage(mut map: Map<String, Value>) -> Map<String, Value> {
    let mut other = Vec::new();
    if let Some(spec) = map.get_mut("spec").and_then(Value::as_object_mut) {
        for metric in spec.remove("metrics").and_then(|m| m.as_array().cloned()).unwrap_or_default() {
            if is_cpu_utilization(&metric) {
                let percent = metric["resource"]["target"]["averageUtilization"].clone();
                spec.insert("targetCPUUtilizationPercentage".into(), percent);
            } else {
                other.push(metric);
            }
        }
        spec.remove("behavior");
    }
    if !other.is_empty()
        && let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut)
        && let Some(annotations) = metadata.entry("annotations").or_insert_with(|| json!({})).as_object_mut()
    {
        annotations.insert(METRICS_ANNOTATION.into(), Value::Array(other).to_string().into());
    }
    if let Some(status) = map.get_mut("status").and_then(Value::as_object_mut) {
        status.remove("conditions");
        status.remove("currentMetrics");
    }
    map
}

fn autoscaler_to_storage(mut map: Map<String, Value>) -> Map<String, Value> {
    let carried = map
        .get_mut("metadata")
        .and_then(|m| m.get_mut("annotations"))
        .and_then(Value::as_object_mut)
        .and_then(|a| a.remove(METRICS_ANNOTATION))
        .and_then(|text| serde_json::from_str::<Value>(text.as_str()?).ok());
    let mut metrics = carried.and_then(|v| v.as_array().cloned()).unwrap_or_default();
    if let Some(spec) = map.get_mut("spec").and_then(Value::as_object_mut) {
        if let Some(percent) = spec.remove("targetCPUUtilizationPercentage").filter(Value::is_number) {
            metrics.insert(
                0,
                json!({"type": "Resource", "resource": {"name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": percent}}}),
            );
        }
        if !metrics.is_empty() {
            spec.insert("metrics".into(), metrics.into());
        }
    }
    map
}
