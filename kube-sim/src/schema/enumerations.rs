//! Validation of objects of built-in kinds against the enums in their schemas.
//!
//! `validate` checks the enums of custom resources.

use serde_json::Value;

use super::field_error::FieldError;
use super::node::Schema;

/// Returns an error for each string that is not one of the enum values of its field. Skips `status` and the schemas in a
/// CRD. An empty string counts as an absent field, as in Go.
pub(crate) fn enum_errors(schema: &Schema, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check_enums(schema, object, "", &mut errors);
    errors
}

fn check_enums(schema: &Schema, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(map) => {
            // Skips `status`, and the schemas in a CRD. `crd::validate_crd` validates these schemas. The
            // paths in its errors have another form than the paths in the errors of this function.
            let skipped = |name: &str| path.is_empty() && name == "status" || name == "openAPIV3Schema";
            for (name, value) in map.iter().filter(|(name, _)| !skipped(name)) {
                let Some(entry) = schema.field(name) else { continue };
                let path = match (path.is_empty(), schema.property(name)) {
                    (true, _) => name.clone(),
                    (false, Some(_)) => format!("{path}.{name}"),
                    (false, None) => format!("{path}[{name}]"),
                };
                check_enums(entry, value, &path, errors);
            }
        }
        Value::Array(items) => {
            let Some(schema) = schema.items() else { return };
            for (index, item) in items.iter().enumerate() {
                check_enums(schema, item, &format!("{path}[{index}]"), errors);
            }
        }
        Value::String(text) if !text.is_empty() => {
            let allowed: Vec<&str> =
                schema.validations.enumeration.iter().filter_map(Value::as_str).collect();
            if !allowed.is_empty() && !allowed.contains(&text.as_str()) {
                errors.push(FieldError::not_supported(path, text.as_str(), &allowed));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unsupported_enum_values_are_reported_except_in_the_status() {
        let pod = crate::builtin::schema("io.k8s.api.core.v1.Pod").unwrap();
        let object = json!({
            "spec": {"restartPolicy": "Foo", "dnsPolicy": "", "containers": [{"imagePullPolicy": "No"}, {"imagePullPolicy": "Never"}]},
            "status": {"phase": "Odd"},
        });
        let texts: Vec<String> = enum_errors(&pod, &object).iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "spec.containers[0].imagePullPolicy: Unsupported value: \"No\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
                "spec.restartPolicy: Unsupported value: \"Foo\": supported values: \"Always\", \"Never\", \"OnFailure\"",
            ]
        );
    }
}
