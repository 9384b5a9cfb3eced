//! The zero value of a built-in kind's Go struct, as Go serializes it.
//!
//! Go serializes the fields of this value even if no client has set them. Server-side apply compares a new object with
//! this value, so that no field manager owns these fields while they have their zero values.

use serde_json::{Map, Value};

use super::decode::is_time_with_explicit_null;
use super::node::Schema;

/// The serialized zero value of the struct that `schema` describes. It contains nested structs, the scalars that Go
/// always serializes, null for other required fields, and null for the times that Go always serializes.
pub(crate) fn zero_struct(schema: &Schema) -> Value {
    let mut map = Map::new();
    for (name, property) in schema.properties() {
        let value = match &property.default {
            Some(Value::Object(default)) if default.is_empty() => zero_struct(property),
            Some(default) if is_zero_scalar(default) => default.clone(),
            _ if is_omitted(schema, name) => continue,
            _ if schema.requires(name) || is_time_with_explicit_null(schema, name) => Value::Null,
            _ => continue,
        };
        map.insert(name.to_owned(), value);
    }
    Value::Object(map)
}

/// The required fields that Go omits if they are unset: the OpenAPI component of the struct, and the name of the field.
const OMITTED_FIELDS: [(&str, &str); 2] = [
    ("io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec", "validationActions"),
    ("io.k8s.api.networking.v1.IPAddressSpec", "parentRef"),
];

fn is_omitted(schema: &Schema, field: &str) -> bool {
    schema.component().is_some_and(|component| OMITTED_FIELDS.contains(&(component, field)))
}

pub(super) fn is_zero_scalar(value: &Value) -> bool {
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
    fn zero_value_is_the_serialized_empty_go_struct() {
        let deployment = crate::builtin::schema("io.k8s.api.apps.v1.Deployment").unwrap();
        let expected = json!({
            "metadata": {},
            "spec": {"selector": null, "strategy": {}, "template": {"metadata": {}, "spec": {"containers": null}}},
            "status": {},
        });
        assert_eq!(zero_struct(&deployment), expected);
        let address = crate::builtin::schema("io.k8s.api.networking.v1.IPAddress").unwrap();
        assert_eq!(zero_struct(&address), json!({"metadata": {}, "spec": {}}));
    }
}
