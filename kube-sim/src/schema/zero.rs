//! An object of a built-in kind before anything is set, as Go writes the zero value of its struct.
//!
//! Owns nothing but that value. Ownership of fields is counted from it: what Go writes always is nobody's.

use serde_json::{Map, Value};

use super::node::Schema;

/// The zero value of a struct: structs within it, the scalars that are always written, and null for what must be there and
/// has no zero of its own. Anything else is empty.
pub(crate) fn zero(schema: &Schema) -> Value {
    let mut map = Map::new();
    for (name, property) in schema.properties() {
        let value = match &property.default {
            Some(Value::Object(default)) if default.is_empty() => zero(property),
            Some(default) if is_zero(default) => default.clone(),
            _ if schema.requires(name) => Value::Null,
            _ => continue,
        };
        map.insert(name.to_owned(), value);
    }
    Value::Object(map)
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn is_what_go_writes_of_an_empty_struct() {
        let deployment = crate::builtin::schema("io.k8s.api.apps.v1.Deployment").unwrap();
        let expected = json!({
            "metadata": {},
            "spec": {"selector": null, "strategy": {}, "template": {"metadata": {}, "spec": {"containers": null}}},
            "status": {},
        });
        assert_eq!(zero(&deployment), expected);
    }
}
