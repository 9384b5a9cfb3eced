//! Validation of custom resources: by their schema, and then by its CEL rules.

use serde_json::Value;

use super::resource::Custom;
use crate::cel::Verdict;
use crate::schema::{self, FieldError, FieldErrorKind};

impl Custom {
    /// Validates an object. `old` is the stored object if the request is an update.
    pub(crate) fn validate(&self, old: Option<&Value>, object: &Value) -> Verdict {
        let mut errors = schema::validate_update(&self.schema, old, object);
        let Some(rules) = &self.rules else { return Verdict { errors, warnings: Vec::new() } };
        // CEL rules can be evaluated only on an object that has the structure of the schema.
        if errors.iter().any(|error| blocks_rules(error.kind)) {
            let why = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
            errors.push(FieldError::invalid("", Value::Null, why));
            return Verdict { errors, warnings: Vec::new() };
        }
        let verdict = rules.validate(&self.schema, old, object);
        errors.extend(verdict.errors);
        Verdict { errors, warnings: verdict.warnings }
    }
}

fn blocks_rules(kind: FieldErrorKind) -> bool {
    use FieldErrorKind::{NotSupported, Required, TooLong, TooMany, TypeInvalid};
    matches!(kind, NotSupported | Required | TooLong | TooMany | TypeInvalid)
}
