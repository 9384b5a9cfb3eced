//! Decodes the `metadata` of custom resources and of embedded resources (`x-kubernetes-embedded-resource`) as Go does.
//! In embedded resources, also checks that `apiVersion` and `kind` are strings.
//!
//! This module owns only these fields: the API server decodes them into Go structs, like the fields of built-in
//! kinds. The other fields of a custom resource have no Go struct.

use serde_json::Value;

use super::decode::{OmitsZeroPredicate, decode};
use super::field_error::FieldError;
use super::node::{AdditionalFields, Schema};

/// Normalizes the metadata of the custom resource `object` and of its embedded resources: replaces the metadata by the
/// JSON that Go writes after it has decoded the metadata into `ObjectMeta`. In contrast to Go, does not remove
/// unknown fields from the metadata.
///
/// # Errors
/// The error text of Go's decoder. In an embedded resource, the path and the value of the `metadata` precede this text. An
/// `apiVersion` or `kind` of an embedded resource is an error if it is not a string. All fields before the wrong field have
/// already been changed.
pub(crate) fn coerce_metadata(
    schema: &Schema,
    object: &mut Value,
    omits_zero: OmitsZeroPredicate,
) -> Result<(), String> {
    if let Some(metadata) = object.get_mut("metadata") {
        decode_metadata(metadata, omits_zero)?;
    }
    let Value::Object(map) = object else { return Ok(()) };
    for (name, value) in map.iter_mut().filter(|(name, _)| *name != "metadata") {
        if let Some(field) = schema.field(name) {
            coerce_value(field, value, name, omits_zero)?;
        }
    }
    Ok(())
}

fn decode_metadata(metadata: &mut Value, omits_zero: OmitsZeroPredicate) -> Result<(), String> {
    let mut decoded = match &*metadata {
        Value::Null => Value::Object(serde_json::Map::new()),
        // `decode` changes a copy. After an error, `metadata` must be unchanged, because the error text of an
        // embedded resource contains the original value.
        other => other.clone(),
    };
    decode(&Schema::of_metadata(), &mut decoded, omits_zero)?;
    *metadata = decoded;
    Ok(())
}

fn coerce_value(
    schema: &Schema,
    value: &mut Value,
    path: &str,
    omits_zero: OmitsZeroPredicate,
) -> Result<(), String> {
    match value {
        Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                if schema.embedded_resource {
                    coerce_embedded_resource_field(name, value, path, omits_zero)?;
                }
                let (field, path) = match (schema.property(name), schema.additional_fields()) {
                    // Skip `metadata`. Its schema is the only reference. The referenced `ObjectMeta` has no
                    // embedded resources.
                    (Some(field), _) if !field.is_reference() => (field, format!("{path}.{name}")),
                    (None, AdditionalFields::Of(field)) => (field, format!("{path}[{name}]")),
                    _ => continue,
                };
                coerce_value(field, value, &path, omits_zero)?;
            }
            Ok(())
        }
        Value::Array(items) => {
            let Some(schema) = schema.items() else { return Ok(()) };
            let mut items = items.iter_mut().enumerate();
            items.try_for_each(|(index, item)| {
                coerce_value(schema, item, &format!("{path}[{index}]"), omits_zero)
            })
        }
        _ => Ok(()),
    }
}

/// Handles one field of an embedded resource: normalizes `metadata`, and checks that `apiVersion` and `kind` are
/// strings. Ignores all other fields.
fn coerce_embedded_resource_field(
    name: &str,
    value: &mut Value,
    path: &str,
    omits_zero: OmitsZeroPredicate,
) -> Result<(), String> {
    let invalid = |value: &Value, why: String| {
        Err(FieldError::invalid(format!("{path}.{name}"), value.clone(), why).to_string())
    };
    match name {
        "apiVersion" | "kind" if !value.is_string() => invalid(value, "must be a string".to_owned()),
        "metadata" => match decode_metadata(value, omits_zero) {
            Ok(()) => Ok(()),
            Err(why) => invalid(value, why),
        },
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn coerce_object(mut object: Value) -> Result<Value, String> {
        let pod = json!({
            "type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true,
        });
        let schema = Schema::of_custom_resource(&json!({"type": "object", "properties": {
            "pod": pod, "list": {"type": "array", "items": pod}, "map": {"type": "object", "additionalProperties": pod},
        }}));
        coerce_metadata(&schema, &mut object, crate::protobuf::omits_zero).map(|()| object)
    }

    #[test]
    fn metadata_has_the_form_of_the_go_struct() {
        let metadata = json!({
            "labels": {"a": null}, "annotations": {}, "generation": 0, "creationTimestamp": "2020-01-01T01:00:00+01:00",
            "finalizers": ["a/b", null],
        });
        let expected = json!({
            "labels": {"a": ""}, "creationTimestamp": "2020-01-01T00:00:00Z", "finalizers": ["a/b", ""],
        });
        let object =
            json!({"metadata": metadata, "pod": {"metadata": metadata}, "list": [{"metadata": null}]});
        let expected =
            json!({"metadata": expected, "pod": {"metadata": expected}, "list": [{"metadata": {}}]});
        assert_eq!(coerce_object(object), Ok(expected));
    }

    /// The expected texts are those of kube-apiserver 1.37.2.
    #[test]
    fn an_error_in_an_embedded_resource_contains_the_path_and_value() {
        let number = "json: cannot unmarshal number into Go struct field ObjectMeta";
        let labels = || json!({"metadata": {"labels": {"a": 1}}});
        assert_eq!(coerce_object(labels()), Err(format!("{number}.labels of type string")));
        let uid = coerce_object(json!({"metadata": {"uid": 1}}));
        assert_eq!(uid, Err(format!("{number}.uid of type types.UID")));
        for (object, path) in [
            (json!({"pod": labels()}), "pod.metadata"),
            (json!({"list": [{}, labels()]}), "list[1].metadata"),
            (json!({"map": {"k": labels()}}), "map[k].metadata"),
        ] {
            let why =
                format!("{path}: Invalid value: {{\"labels\":{{\"a\":1}}}}: {number}.labels of type string");
            assert_eq!(coerce_object(object), Err(why));
        }
        let kind = coerce_object(json!({"pod": {"kind": 2}}));
        assert_eq!(kind, Err("pod.kind: Invalid value: 2: must be a string".to_owned()));
    }
}
