//! Pruning: drops the fields that a schema does not specify, and returns a message about each dropped field.
//!
//! This module owns the rules of pruning. The request handler ignores, warns about or rejects unknown fields,
//! depending on the query parameter `fieldValidation`.

use std::fmt::Write as _;

use serde_json::Value;

use super::node::{AdditionalFields, Schema};

/// Removes every field of `object` that `schema` neither specifies nor preserves. Returns one message such as
/// `unknown field "spec.foo"` for each removed field, in alphabetical order.
pub(crate) fn prune(schema: &Schema, object: &mut Value) -> Vec<String> {
    let mut pruner = Pruner { path: String::new(), unknown: Vec::new() };
    pruner.prune_value(schema, object, false);
    pruner.unknown.sort();
    pruner.unknown.iter().map(|path| format!("unknown field \"{path}\"")).collect()
}

/// Prunes an object. `path` is the path of the current field; `unknown` are the paths of the removed fields.
struct Pruner {
    path: String,
    unknown: Vec<String>,
}

impl Pruner {
    /// Prunes `value`. `keep` is `true` if `value` is an item of a list whose schema preserves unknown fields.
    fn prune_value(&mut self, schema: &Schema, value: &mut Value, keep: bool) {
        let keep = keep || preserves_unknown_fields(schema);
        match value {
            Value::Object(map) => {
                let length = self.path.len();
                map.retain(|name, value| {
                    if let Some(entry) = schema.field(name) {
                        self.push_field(name);
                        self.prune_value(entry, value, false);
                        self.path.truncate(length);
                        return true;
                    }
                    if matches!(schema.additional_fields(), AdditionalFields::Any | AdditionalFields::Denied)
                    {
                        // `additionalProperties: true` or `false` specifies no schema for the values, so all fields
                        // below this key are unknown. Validation decides whether the key itself is allowed.
                        self.push_field(name);
                        self.prune_value(&Schema::default(), value, false);
                        self.path.truncate(length);
                        return true;
                    }
                    if keep {
                        return true;
                    }
                    self.push_field(name);
                    self.unknown.push(self.path.clone());
                    self.path.truncate(length);
                    false
                });
            }
            Value::Array(items) => {
                let length = self.path.len();
                for (index, item) in items.iter_mut().enumerate() {
                    let _ = write!(self.path, "[{index}]");
                    match schema.items() {
                        Some(schema) => self.prune_value(schema, item, keep),
                        None if keep => {}
                        None => self.prune_value(&Schema::default(), item, false),
                    }
                    self.path.truncate(length);
                }
            }
            _ => {}
        }
    }

    fn push_field(&mut self, name: &str) {
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(name);
    }
}

/// Whether the schema preserves unknown fields: it sets `x-kubernetes-preserve-unknown-fields`, or it refers to a
/// component such as `RawExtension`, which specifies neither properties nor additional properties.
fn preserves_unknown_fields(schema: &Schema) -> bool {
    schema.preserve_unknown
        || schema.shape().preserve_unknown
        || (schema.component().is_some()
            && !schema.has_properties()
            && matches!(schema.additional_fields(), AdditionalFields::Unset))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn assert_pruned(schema: &Value, mut object: Value, expected: &Value, unknown: &[&str]) {
        let found = prune(&Schema::of_custom_resource(schema), &mut object);
        assert_eq!(&object, expected);
        let unknown: Vec<String> = unknown.iter().map(|path| format!("unknown field \"{path}\"")).collect();
        assert_eq!(found, unknown);
    }

    #[test]
    fn unknown_fields_are_dropped_and_reported() {
        let schema = json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "a": {"type": "string"},
                "list": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "integer"}}}},
            }},
        }});
        assert_pruned(
            &schema,
            json!({"apiVersion": "v", "kind": "K", "metadata": {"name": "n", "bad": 1},
                   "spec": {"a": "1", "b": {"c": 1}, "list": [{"x": 1}, {"x": 2, "y": 3}]}, "top": 1}),
            &json!({"apiVersion": "v", "kind": "K", "metadata": {"name": "n"},
                    "spec": {"a": "1", "list": [{"x": 1}, {"x": 2}]}}),
            &["metadata.bad", "spec.b", "spec.list[1].y", "top"],
        );
    }

    #[test]
    fn unknown_fields_below_specified_fields_are_pruned() {
        let schema = json!({"type": "object", "properties": {
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
                "strict": {"type": "object", "properties": {"a": {"type": "string"}}},
            }},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"type": "string"}}}},
        }});
        assert_pruned(
            &schema,
            json!({"free": {"x": {"y": 1}, "strict": {"a": "1", "b": 2}}, "map": {"k": {"a": "1", "z": 1}}}),
            &json!({"free": {"x": {"y": 1}, "strict": {"a": "1"}}, "map": {"k": {"a": "1"}}}),
            &["free.strict.b", "map.k.z"],
        );
    }

    /// The expected objects and warnings are those of kube-apiserver 1.37.2.
    #[test]
    fn boolean_additional_properties_keep_keys_and_prune_nested_fields() {
        let schema = json!({"type": "object", "properties": {
            "any": {"type": "object", "additionalProperties": true},
            "free": {"type": "object", "additionalProperties": true, "x-kubernetes-preserve-unknown-fields": true},
            "mix": {"type": "object", "additionalProperties": true,
                    "properties": {"a": {"type": "object", "properties": {"x": {"type": "string"}}}}},
            "none": {"type": "object", "additionalProperties": false},
        }});
        assert_pruned(
            &schema,
            json!({
                "any": {"a": 1, "b": {"c": 1}, "d": [{"e": 1}], "f": "x", "g": [[{"h": 1}]], "n": null},
                "free": {"b": {"c": 1}},
                "mix": {"a": {"x": "1", "y": 1}, "b": {"c": 1}},
                "none": {"a": {"b": 1}},
            }),
            &json!({
                "any": {"a": 1, "b": {}, "d": [{}], "f": "x", "g": [[{}]], "n": null},
                "free": {"b": {}},
                "mix": {"a": {"x": "1"}, "b": {}},
                "none": {"a": {}},
            }),
            &["any.b.c", "any.d[0].e", "any.g[0][0].h", "free.b.c", "mix.a.y", "mix.b.c", "none.a.b"],
        );
    }

    #[test]
    fn an_embedded_resource_keeps_type_and_object_metadata() {
        let schema = json!({"type": "object", "properties": {
            "tpl": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}},
        }});
        assert_pruned(
            &schema,
            json!({"tpl": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {}, "more": 1}}),
            &json!({"tpl": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {}}}),
            &["tpl.more"],
        );
    }

    #[test]
    fn built_in_free_form_types_are_not_pruned() {
        let schema = crate::builtin::schema("io.k8s.api.apps.v1.ControllerRevision").unwrap();
        let mut object = json!({"data": {"spec": {"x": [{"y": 1}]}}, "revision": 1, "oops": 1});
        assert_eq!(prune(&schema, &mut object), ["unknown field \"oops\""]);
        assert_eq!(object, json!({"data": {"spec": {"x": [{"y": 1}]}}, "revision": 1}));
    }
}
