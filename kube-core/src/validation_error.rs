//! `ValidationErrors`: the errors that the validation of a value returns.

use std::fmt;

use thiserror::Error;

use super::Reason;

/// One error of a value: the value violates a validation rule or the schema, or a rule or pattern was not evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}{message}", if field_path.is_empty() { String::new() } else { format!("{field_path}: ") })]
#[non_exhaustive]
pub struct ValidationError {
    /// The CEL expression of the rule; empty if the error is not about a rule.
    pub rule: String,
    /// The message of the rule (`failed rule: ..` by default), the violation of the schema, or the reason why the rule
    /// or pattern was not evaluated. Contains values of the object only if the `messageExpression` of the rule
    /// contains these values.
    pub message: String,
    /// The field that the error refers to, as in an error of the API server: `spec.ports[0].name`. Empty for the whole
    /// value.
    pub field_path: String,
    /// The machine-readable reason, as in an error of the API server.
    pub reason: Reason,
    /// A violation of a rule, a violation of the schema, or a rule or pattern that was not evaluated.
    pub kind: ErrorKind,
}

/// The kind of a [`ValidationError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The rule is false for this value. The API server refuses the value.
    ValidationFailure,
    /// The value violates the schema, for example a type, a bound or a required field. The API server refuses the
    /// value.
    SchemaViolation,
    /// The rule or pattern was not evaluated: the evaluation failed, as it does on the server, or this evaluator does
    /// not support a function or syntax that the server supports.
    NotEvaluated,
}

/// All errors of a value; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationErrors(pub(super) Vec<ValidationError>);

impl ValidationErrors {
    /// The errors: those of the schema, then those of the rules.
    #[must_use]
    pub fn as_slice(&self) -> &[ValidationError] {
        &self.0
    }

    /// The violations of the schema and of the rules. Omits the rules and patterns that were not evaluated: for such a
    /// rule or pattern, an API server may accept or refuse the value.
    pub fn violations(&self) -> impl Iterator<Item = &ValidationError> {
        self.0.iter().filter(|error| error.kind != ErrorKind::NotEvaluated)
    }
}

impl fmt::Display for ValidationErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ValidationErrors {}

impl IntoIterator for ValidationErrors {
    type Item = ValidationError;
    type IntoIter = std::vec::IntoIter<ValidationError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
