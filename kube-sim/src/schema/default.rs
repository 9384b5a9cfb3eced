//! Structural defaulting: fills in the defaults that a schema specifies.
//!
//! This module owns the defaults in schemas, and the removal of nulls that a schema does not allow. For built-in
//! kinds, Kubernetes implements other defaults in Go; `strategy` sets these defaults.

use serde_json::Value;

use super::node::Schema;

/// Sets the defaults that `schema` specifies for the fields of `object`, at every depth. A field gets its
/// default if the field is absent, or if its value is null and the schema does not allow null. If a nested
/// object is absent, its fields get their defaults only if the schema has a default for the nested object
/// itself.
pub(crate) fn apply_defaults(schema: &Schema, object: &mut Value) {
    match object {
        Value::Object(map) => {
            for (name, property) in schema.properties() {
                let Some(default) = &property.default else { continue };
                let missing = map.get(name).is_none_or(|value| value.is_null() && !property.nullable);
                if missing {
                    map.insert(name.to_owned(), default.clone());
                }
            }
            for (name, value) in map {
                if let Some(entry) = schema.field(name) {
                    replace_null_with_default(entry, value);
                    apply_defaults(entry, value);
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = schema.items() else { return };
            for item in items {
                replace_null_with_default(schema, item);
                apply_defaults(schema, item);
            }
        }
        _ => {}
    }
}

/// Removes every field that is null but not nullable, at every depth of `object`. [`apply_defaults`] must run first,
/// because it replaces the nulls of fields that have a default. Null list items are kept; validation rejects the items
/// that must not be null.
pub(crate) fn drop_nulls(schema: &Schema, object: &mut Value) {
    match object {
        // In the schema of a custom resource, only the schemas of `metadata` are references.
        // `coerce_metadata` handles metadata.
        Value::Object(map) if !schema.is_reference() => {
            map.retain(|name, value| {
                let Some(entry) = schema.field(name) else { return true };
                drop_nulls(entry, value);
                !value.is_null() || entry.nullable
            });
        }
        Value::Array(items) => {
            let Some(schema) = schema.items() else { return };
            for item in items {
                drop_nulls(schema, item);
            }
        }
        _ => {}
    }
}

/// Replaces `value` with the default of `schema` if the value is null, null is not allowed, and there is a default.
fn replace_null_with_default(schema: &Schema, value: &mut Value) {
    if let (true, false, Some(default)) = (value.is_null(), schema.nullable, &schema.default) {
        *value = default.clone();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn assert_defaulted(schema: &Value, mut object: Value, expected: &Value) {
        apply_defaults(&Schema::of_custom_resource(schema), &mut object);
        assert_eq!(&object, expected);
    }

    #[test]
    fn defaults_apply_only_if_the_parent_is_present() {
        let schema = json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "replicas": {"type": "integer", "default": 1},
                "inner": {"type": "object", "default": {}, "properties": {"x": {"type": "string", "default": "y"}}},
            }},
        }});
        assert_defaulted(
            &schema,
            json!({"spec": {}}),
            &json!({"spec": {"replicas": 1, "inner": {"x": "y"}}}),
        );
        assert_defaulted(&schema, json!({}), &json!({}));
        assert_defaulted(
            &schema,
            json!({"spec": {"replicas": 3, "inner": {"x": "z"}}}),
            &json!({
                "spec": {"replicas": 3, "inner": {"x": "z"}}
            }),
        );
    }

    #[test]
    fn a_default_replaces_null_in_a_non_nullable_field() {
        let schema = json!({"type": "object", "properties": {
            "a": {"type": "integer", "default": 1},
            "b": {"type": "integer", "default": 1, "nullable": true},
            "c": {"type": "integer"},
        }});
        assert_defaulted(
            &schema,
            json!({"a": null, "b": null, "c": null}),
            &json!({"a": 1, "b": null, "c": null}),
        );
    }

    /// The expected objects are those that kube-apiserver 1.37.2 stores.
    #[test]
    fn disallowed_nulls_are_dropped_from_objects_and_kept_in_lists() {
        let text = json!({"type": "string"});
        let schema = json!({"type": "object", "properties": {
            "s": text, "n": {"type": "string", "nullable": true}, "d": {"type": "string", "default": "D"},
            "o": {"type": "object", "properties": {"x": text}}, "m": {"type": "object", "additionalProperties": text},
            "mn": {"type": "object", "additionalProperties": {"type": "string", "nullable": true}},
            "any": {"type": "object", "additionalProperties": true},
            "l": {"type": "array", "items": text},
            "lo": {"type": "array", "items": {"type": "object", "properties": {"a": text, "b": {"type": "integer"}}}},
            "p": {"x-kubernetes-preserve-unknown-fields": true},
            "q": {"x-kubernetes-preserve-unknown-fields": true},
            "i": {"x-kubernetes-int-or-string": true},
            "e": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
        }});
        let mut object = json!({
            "metadata": {"creationTimestamp": null}, "s": null, "n": null, "d": null, "o": {"x": null},
            "m": {"a": null}, "mn": {"a": null}, "any": {"a": null}, "l": [null], "lo": [{"a": null, "b": 1}, null],
            "p": null, "q": {"a": null}, "i": null, "e": {"metadata": {"creationTimestamp": null}, "u": null},
        });
        let schema = Schema::of_custom_resource(&schema);
        apply_defaults(&schema, &mut object);
        drop_nulls(&schema, &mut object);
        let expected = json!({
            "metadata": {"creationTimestamp": null}, "n": null, "d": "D", "o": {},
            "m": {}, "mn": {"a": null}, "any": {"a": null}, "l": [null], "lo": [{"b": 1}, null],
            "q": {"a": null}, "e": {"metadata": {"creationTimestamp": null}, "u": null},
        });
        assert_eq!(object, expected);
    }

    #[test]
    fn defaults_apply_in_items_and_additional_properties() {
        let schema = json!({"type": "object", "properties": {
            "list": {"type": "array", "items": {"type": "object", "properties": {"p": {"type": "string", "default": "TCP"}}}},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"q": {"default": true}}}},
        }});
        assert_defaulted(
            &schema,
            json!({"list": [{}, {"p": "UDP"}], "map": {"k": {}}}),
            &json!({"list": [{"p": "TCP"}, {"p": "UDP"}], "map": {"k": {"q": true}}}),
        );
    }

    #[test]
    fn built_in_kinds_get_the_defaults_of_their_schema() {
        let container = crate::builtin::schema("io.k8s.api.core.v1.Container").unwrap();
        let mut object = json!({"name": "a", "ports": [{"containerPort": 80}]});
        apply_defaults(&container, &mut object);
        let expected =
            json!({"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP"}], "resources": {}});
        assert_eq!(object, expected);
    }
}
