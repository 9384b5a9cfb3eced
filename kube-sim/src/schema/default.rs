//! Fills in declared defaults.
//!
//! Owns the rules of structural defaulting. What Go code adds to built-in kinds lives in `builtin`.

use serde_json::Value;

use super::node::Schema;

/// Fills the defaults that `schema` declares into `object`, at every depth: absent fields get theirs, and so do nulls that
/// the schema does not allow. A default only appears where its parent object is there.
pub(crate) fn default(schema: &Schema, object: &mut Value) {
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
                if let Some(entry) = schema.entry(name) {
                    fill_null(entry, value);
                    self::default(entry, value);
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = schema.items() else { return };
            for item in items {
                fill_null(schema, item);
                default(schema, item);
            }
        }
        _ => {}
    }
}

fn fill_null(schema: &Schema, value: &mut Value) {
    if let (true, false, Some(default)) = (value.is_null(), schema.nullable, &schema.default) {
        *value = default.clone();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(schema: &Value, mut object: Value, expected: &Value) {
        default(&Schema::of_custom_resource(schema), &mut object);
        assert_eq!(&object, expected);
    }

    #[test]
    fn fills_where_the_parent_is_there() {
        let schema = json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "replicas": {"type": "integer", "default": 1},
                "inner": {"type": "object", "default": {}, "properties": {"x": {"type": "string", "default": "y"}}},
            }},
        }});
        check(&schema, json!({"spec": {}}), &json!({"spec": {"replicas": 1, "inner": {"x": "y"}}}));
        check(&schema, json!({}), &json!({}));
        check(
            &schema,
            json!({"spec": {"replicas": 3, "inner": {"x": "z"}}}),
            &json!({
                "spec": {"replicas": 3, "inner": {"x": "z"}}
            }),
        );
    }

    #[test]
    fn replaces_a_null_that_is_no_value() {
        let schema = json!({"type": "object", "properties": {
            "a": {"type": "integer", "default": 1},
            "b": {"type": "integer", "default": 1, "nullable": true},
            "c": {"type": "integer"},
        }});
        check(&schema, json!({"a": null, "b": null, "c": null}), &json!({"a": 1, "b": null, "c": null}));
    }

    #[test]
    fn reaches_items_and_additional_properties() {
        let schema = json!({"type": "object", "properties": {
            "list": {"type": "array", "items": {"type": "object", "properties": {"p": {"type": "string", "default": "TCP"}}}},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"q": {"default": true}}}},
        }});
        check(
            &schema,
            json!({"list": [{}, {"p": "UDP"}], "map": {"k": {}}}),
            &json!({"list": [{"p": "TCP"}, {"p": "UDP"}], "map": {"k": {"q": true}}}),
        );
    }

    #[test]
    fn built_in_kinds_get_what_go_writes_always() {
        let container = crate::builtin::schema("io.k8s.api.core.v1.Container").unwrap();
        let mut object = json!({"name": "a", "ports": [{"containerPort": 80}]});
        default(&container, &mut object);
        let expected =
            json!({"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP"}], "resources": {}});
        assert_eq!(object, expected);
    }
}
