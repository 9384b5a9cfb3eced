//! Prepares and validates the `ObjectMeta` of objects of all kinds.

use serde_json::{Map, Value};

use crate::clock::Clock;
use crate::clock::Random;
use crate::names;
use crate::registry::Resource;
use crate::schema::FieldError;
use crate::status::SimError;

/// The maximum number of characters that a generated name takes from `generateName`: 63 minus the 5 characters of the
/// random suffix.
const MAX_GENERATED_NAME_PREFIX: usize = 58;

/// Returns `metadata` as a map. Inserts an empty map if `metadata` is missing or null.
///
/// # Errors
/// 400 if `object` is not a JSON object, or if `metadata` is neither null nor a JSON object.
pub(crate) fn metadata_mut(object: &mut Value) -> Result<&mut Map<String, Value>, SimError> {
    let Some(map) = object.as_object_mut() else {
        return Err(SimError::bad_request("the object provided is unrecognized: it is not a JSON object"));
    };
    let metadata = map.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if metadata.is_null() {
        *metadata = Value::Object(Map::new());
    }
    match metadata {
        Value::Object(map) => Ok(map),
        other => Err(SimError::bad_request(format!(
            "metadata: Invalid value: {other}: metadata in body must be of type object"
        ))),
    }
}

/// The string in a field of the metadata; empty if the field is absent.
pub(crate) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

pub(crate) fn finalizers(object: &Value) -> Vec<String> {
    let list = object["metadata"]["finalizers"].as_array().into_iter().flatten();
    list.filter_map(|f| f.as_str().map(str::to_owned)).collect()
}

pub(crate) fn set_finalizers(object: &mut Value, finalizers: &[String]) {
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    } else {
        metadata.insert("finalizers".into(), finalizers.to_vec().into());
    }
}

pub(crate) fn is_being_deleted(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// The fields that a client cannot set in a new object.
pub(crate) const SYSTEM_FIELDS: [&str; 5] =
    ["selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "uid", "creationTimestamp"];

/// Prepares the metadata of a new object: clears the fields that clients cannot set, and sets the name (from
/// `generateName`), the namespace, the uid and the creation time.
pub(crate) fn prepare_for_create(
    object: &mut Value,
    namespace: &str,
    random: &mut Random,
    clock: &Clock,
) -> Result<(), SimError> {
    let metadata = metadata_mut(object)?;
    for field in SYSTEM_FIELDS {
        metadata.remove(field);
    }
    let empty = |v: Option<&Value>| v.and_then(Value::as_str).is_none_or(str::is_empty);
    if empty(metadata.get("name")) && !empty(metadata.get("generateName")) {
        let prefix: String = metadata["generateName"]
            .as_str()
            .unwrap_or_default()
            .chars()
            .take(MAX_GENERATED_NAME_PREFIX)
            .collect();
        metadata.insert("name".into(), format!("{prefix}{}", random.suffix(5)).into());
    }
    if namespace.is_empty() {
        metadata.remove("namespace");
    } else {
        metadata.insert("namespace".into(), namespace.into());
    }
    metadata.insert("uid".into(), random.uid().into());
    metadata.insert("creationTimestamp".into(), clock.stamp().into());
    drop_empty_fields(metadata);
    Ok(())
}

/// Removes empty fields of the metadata, as Go's `omitempty` does.
fn drop_empty_fields(metadata: &mut Map<String, Value>) {
    for field in ["labels", "annotations", "finalizers", "ownerReferences", "generateName"] {
        let empty = metadata.get(field).is_some_and(|v| match v {
            Value::Null => true,
            Value::Object(map) => map.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::String(text) => text.is_empty(),
            _ => false,
        });
        if empty {
            metadata.remove(field);
        }
    }
}

/// Prepares the metadata of an updated object: restores the fields that clients cannot change.
pub(crate) fn prepare_for_update(old: &Value, new: &mut Value) -> Result<(), SimError> {
    let metadata = metadata_mut(new)?;
    for field in ["name", "namespace", "creationTimestamp", "deletionTimestamp", "generation"] {
        // A `deletionTimestamp` from the client stays, so that validation can refuse a changed `deletionTimestamp`.
        if field == "deletionTimestamp" && metadata.get(field).is_some_and(|time| !time.is_null()) {
            continue;
        }
        match old["metadata"].get(field) {
            Some(value) => metadata.insert(field.into(), value.clone()),
            None => metadata.remove(field),
        };
    }
    metadata.remove("selfLink");
    if metadata.get("uid").and_then(Value::as_str).is_none_or(str::is_empty) {
        metadata.insert("uid".into(), old["metadata"]["uid"].clone());
    }
    let grace = "deletionGracePeriodSeconds";
    match old["metadata"].get(grace) {
        Some(value) => metadata.insert(grace.into(), value.clone()),
        None => metadata.remove(grace),
    };
    drop_empty_fields(metadata);
    Ok(())
}

/// Validates the metadata of an object before it is stored.
pub(crate) fn validate(resource: &Resource, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let prefix = text(object, "generateName");
    if let Some(why) = generate_name_problem(resource, prefix) {
        errors.push(FieldError::invalid("metadata.generateName", prefix, why));
    }
    let name = text(object, "name");
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else if let Some(why) = (resource.strategy.name_problem)(name) {
        errors.push(FieldError::invalid("metadata.name", name, why));
    }
    if let Some(generation) = object["metadata"]["generation"].as_i64().filter(|number| *number < 0) {
        let why = "must be greater than or equal to 0";
        errors.push(FieldError::invalid("metadata.generation", generation, why));
    }
    check_labels_or_annotations(&object["metadata"]["labels"], "metadata.labels", true, &mut errors);
    check_labels_or_annotations(
        &object["metadata"]["annotations"],
        "metadata.annotations",
        false,
        &mut errors,
    );
    let finalizers = finalizers(object);
    for finalizer in &finalizers {
        for why in names::qualified_name_problems(finalizer) {
            errors.push(FieldError::invalid("metadata.finalizers", finalizer.as_str(), why));
        }
    }
    if ["orphan", "foregroundDeletion"].iter().all(|f| finalizers.iter().any(|x| x == f)) {
        errors.push(FieldError::invalid(
            "metadata.finalizers",
            finalizers.clone(),
            "finalizer orphan and foregroundDeletion cannot be both set",
        ));
    }
    // For built-in kinds, except CustomResourceDefinitions, a finalizer without a domain must be a standard name.
    let is_checked = resource.custom_properties().is_none() && resource.group != "apiextensions.k8s.io";
    for (index, finalizer) in finalizers.iter().enumerate().filter(|_| is_checked) {
        if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer.as_str()) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(
                format!("metadata.finalizers[{index}]"),
                finalizer.as_str(),
                why,
            ));
        }
    }
    check_owner_references(&object["metadata"]["ownerReferences"], &mut errors);
    errors
}

/// Finalizer names that are valid without a domain prefix.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// Validates labels if `are_labels` is true, otherwise annotations. An annotation may have any value, but the total
/// size of all annotations is limited.
fn check_labels_or_annotations(map: &Value, field: &str, are_labels: bool, errors: &mut Vec<FieldError>) {
    let mut size = 0;
    for (key, value) in map.as_object().into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        size += key.len() + text.len();
        let lower = key.to_lowercase();
        for why in names::qualified_name_problems(if are_labels { key } else { &lower }) {
            errors.push(FieldError::invalid(field, key.as_str(), why));
        }
        if are_labels && !names::is_label_value(text) {
            errors.push(FieldError::invalid(
                field,
                text,
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ));
        }
    }
    if !are_labels && size > 256 * 1024 {
        errors.push(FieldError::too_long(field, 256 * 1024));
    }
}

fn check_owner_references(owners: &Value, errors: &mut Vec<FieldError>) {
    let mut controllers = Vec::new();
    for (i, owner) in owners.as_array().into_iter().flatten().enumerate() {
        let version = owner["apiVersion"].as_str().unwrap_or_default();
        if version.matches('/').count() > 1 {
            errors.push(FieldError::invalid(
                format!("metadata.ownerReferences[{i}].apiVersion"),
                version,
                "must be <group>/<version> or <version>",
            ));
        }
        for part in ["apiVersion", "kind", "name", "uid"] {
            if owner[part].as_str().is_none_or(str::is_empty) {
                let field = format!("metadata.ownerReferences[{i}].{part}");
                errors.push(FieldError::required(field, "must not be empty"));
            }
        }
        if owner["controller"] == true {
            let text = |field: &str| owner[field].as_str().unwrap_or_default();
            controllers.push(format!("{}/{}", text("kind"), text("name")));
        }
    }
    if controllers.len() > 1 {
        errors.push(FieldError::invalid(
            "metadata.ownerReferences",
            owners.clone(),
            format!(
                "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
                controllers[0], controllers[1]
            ),
        ));
    }
}

/// Validates the changes that an update makes to the metadata.
pub(crate) fn validate_update(old: &Value, new: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if text(new, "uid") != text(old, "uid") {
        errors.push(FieldError::invalid("metadata.uid", text(new, "uid"), "field is immutable"));
    }
    if text(new, "deletionTimestamp") != text(old, "deletionTimestamp") {
        let time = text(new, "deletionTimestamp");
        errors.push(FieldError::invalid("metadata.deletionTimestamp", time, "field is immutable"));
    }
    if is_being_deleted(old) {
        let before = finalizers(old);
        let added: Vec<_> = finalizers(new).into_iter().filter(|f| !before.contains(f)).collect();
        if !added.is_empty() {
            let list = added.iter().map(|f| format!("\"{f}\"")).collect::<Vec<_>>().join(", ");
            errors.push(FieldError::forbidden(
                "metadata.finalizers",
                format!("no new finalizers can be added if the object is being deleted, found new finalizers []string{{{list}}}"),
            ));
        }
    }
    errors
}

/// Whether an update changes only owner references, finalizers and `managedFields`. The garbage collector must be able
/// to change these fields without the permissions that any other write of the object requires.
pub(crate) fn changes_only_gc_fields(old: &Value, new: &Value) -> bool {
    let [old, new] = [old, new].map(|object| {
        let mut object = object.clone();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            for field in ["ownerReferences", "finalizers", "managedFields"] {
                metadata.remove(field);
            }
        }
        object
    });
    old == new
}

/// The error text for an invalid `generateName`. A trailing dash is valid, although a name must not end with a dash.
fn generate_name_problem(resource: &Resource, prefix: &str) -> Option<String> {
    if prefix.is_empty() {
        return None;
    }
    let shortened = match prefix.strip_suffix('-') {
        Some(start) if !start.is_empty() => format!("{}a", start.get(..start.len() - 1).unwrap_or(start)),
        _ => prefix.to_owned(),
    };
    (resource.strategy.name_problem)(&shortened)
}
