//! Validates a custom resource against its schema, and then against the CEL rules of the schema.

use serde_json::Value;

use super::resource::CustomProperties;
use crate::cel::Verdict;
use crate::schema::{self, FieldError, FieldErrorKind};

impl CustomProperties {
    /// Validates an object. `old` is the stored object if the request is an update.
    pub(crate) fn validate(&self, old: Option<&Value>, object: &Value) -> Verdict {
        let mut errors = schema::validate_update(&self.schema, old, object);
        if let Some(scale) = &self.scale {
            for path in [&scale.replicas, &scale.status_replicas] {
                check_replicas(path, object, &mut errors);
            }
        }
        let Some(rules) = &self.rules else { return Verdict { errors, warnings: Vec::new() } };
        // CEL rules can be evaluated only on an object that has the structure of the schema.
        if errors.iter().any(|error| prevents_rule_evaluation(error.kind)) {
            let why = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
            errors.push(FieldError::invalid("", Value::Null, why));
            return Verdict { errors, warnings: Vec::new() };
        }
        let verdict = rules.validate(&self.schema, old, object);
        errors.extend(verdict.errors);
        Verdict { errors, warnings: verdict.warnings }
    }
}

/// Checks that the number of replicas at `path` is not negative, and fits into the 32-bit integer of a `Scale`.
fn check_replicas(path: &[String], object: &Value, errors: &mut Vec<FieldError>) {
    let value = path.iter().fold(object, |at, name| &at[name.as_str()]);
    let Some(replicas) = value.as_i64() else { return };
    let why = match replicas {
        ..0 => "should be a non-negative integer".to_owned(),
        0..=0x7fff_ffff => return,
        _ => format!("should be less than or equal to {}", i32::MAX),
    };
    errors.push(FieldError::invalid(format!(".{}", path.join(".")), replicas, why));
}

fn prevents_rule_evaluation(kind: FieldErrorKind) -> bool {
    use FieldErrorKind::{NotSupported, Required, TooLong, TooMany, TypeInvalid};
    matches!(kind, NotSupported | Required | TooLong | TooMany | TypeInvalid)
}
