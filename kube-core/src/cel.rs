//! CRD validation rules in the Common Expression Language (CEL, KEP-2876).
//!
//! This file defines only data types, and must not parse or evaluate expressions. The API server checks the expressions
//! against the types of the schema. The module `cel_validator` evaluates expressions in the client. With the Cargo
//! feature `cel`, this module re-exports the public items of `cel_validator`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::ValidationRule;
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use thiserror::Error;

#[cfg(feature = "cel")]
pub use super::{
    cel_validator::{Validator, validate_cel, validate_cel_schema, validate_cel_update},
    validation_error::{ErrorKind, ValidationError, ValidationErrors},
};

/// A validation rule for the value at one node of a schema (`x-kubernetes-validations`).
///
/// ```
/// use kube_core::Rule;
///
/// let rule = Rule::new("self.min <= self.max").message("min must not be above max");
/// assert_eq!(rule, Rule::from(("self.min <= self.max", "min must not be above max")));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// The expression. `self` is the value, and `oldSelf` is the value before an update.
    pub rule: String,
    /// The error message when the rule fails. By default the message contains the rule.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// The path of the field to which an error refers, such as `.spec.min`. The path starts at the rule's node. By
    /// default an error refers to the node itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_path: Option<String>,
    /// The machine-readable reason of the error; `FieldValueInvalid` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Whether the server evaluates the rule even if the value did not exist before. Only a rule that uses `oldSelf` may
    /// set this field. If `true`, `oldSelf` is an optional value of CEL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optional_old_self: Option<bool>,
}

impl Rule {
    /// Creates a rule with this expression. The other fields are not set, so the server uses its defaults.
    #[must_use]
    pub fn new(rule: impl Into<String>) -> Self {
        Self { rule: rule.into(), ..Self::default() }
    }

    /// Sets the error message.
    #[must_use]
    pub fn message(mut self, message: impl Into<Message>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Sets the path of the field to which an error refers.
    #[must_use]
    pub fn field_path(mut self, field_path: impl Into<String>) -> Self {
        self.field_path = Some(field_path.into());
        self
    }

    /// Sets the machine-readable reason of the error.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<Reason>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Sets whether the server evaluates the rule even if the value did not exist before. Call this only for a rule that
    /// uses `oldSelf`.
    #[must_use]
    pub fn optional_old_self(mut self, optional: bool) -> Self {
        self.optional_old_self = Some(optional);
        self
    }
}

impl From<&str> for Rule {
    fn from(rule: &str) -> Self {
        Self::new(rule)
    }
}

impl From<String> for Rule {
    fn from(rule: String) -> Self {
        Self::new(rule)
    }
}

impl<M: Into<Message>> From<(&str, M)> for Rule {
    fn from((rule, message): (&str, M)) -> Self {
        Self::new(rule).message(message)
    }
}

impl From<Rule> for ValidationRule {
    fn from(rule: Rule) -> Self {
        let (message, message_expression) = match rule.message {
            Some(Message::Message(text)) => (Some(text), None),
            Some(Message::Expression(expression)) => (None, Some(expression)),
            None => (None, None),
        };
        Self {
            rule: rule.rule,
            message,
            message_expression,
            field_path: rule.field_path,
            reason: rule.reason.map(|reason| reason.as_str().to_owned()),
            optional_old_self: rule.optional_old_self,
        }
    }
}

/// The error message of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Message {
    /// A fixed text without line breaks.
    #[serde(rename = "message")]
    Message(String),
    /// A CEL expression that evaluates to the text. It can use the same variables as the rule.
    #[serde(rename = "messageExpression")]
    Expression(String),
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Message(text.to_owned())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Message(text)
    }
}

/// The machine-readable reason of an error. The names are those of Kubernetes' `FieldValueErrorReason`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Reason {
    /// The value is malformed or out of bounds.
    #[default]
    FieldValueInvalid,
    /// The value is well-formed, but it is not permitted under the current conditions.
    FieldValueForbidden,
    /// A required value is missing.
    FieldValueRequired,
    /// A value that must be unique occurs more than once.
    FieldValueDuplicate,
}

/// The error for a text that is not the name of a [`Reason`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "not the reason of a validation rule: {0:?}; the reasons are FieldValueInvalid, FieldValueForbidden, \
     FieldValueRequired and FieldValueDuplicate"
)]
pub struct ParseReasonError(pub String);

impl FromStr for Reason {
    type Err = ParseReasonError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [
            Self::FieldValueInvalid,
            Self::FieldValueForbidden,
            Self::FieldValueRequired,
            Self::FieldValueDuplicate,
        ];
        let found = all.into_iter().find(|reason| reason.as_str() == text);
        found.ok_or_else(|| ParseReasonError(text.to_owned()))
    }
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::FieldValueInvalid => "FieldValueInvalid",
            Self::FieldValueForbidden => "FieldValueForbidden",
            Self::FieldValueRequired => "FieldValueRequired",
            Self::FieldValueDuplicate => "FieldValueDuplicate",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_serializes_and_parses_as_in_a_crd() {
        let rule = Rule::new("self > 0")
            .message(Message::Expression("'is ' + string(self)".into()))
            .field_path(".port")
            .reason(Reason::FieldValueForbidden)
            .optional_old_self(true);
        let expected = serde_json::json!({
            "rule": "self > 0", "messageExpression": "'is ' + string(self)", "fieldPath": ".port",
            "reason": "FieldValueForbidden", "optionalOldSelf": true,
        });
        assert_eq!(serde_json::to_value(&rule).unwrap(), expected);
        assert_eq!(serde_json::from_value::<Rule>(expected).unwrap(), rule);
        let short = Rule::from(("true", "never"));
        assert_eq!(
            serde_json::to_value(&short).unwrap(),
            serde_json::json!({"rule": "true", "message": "never"})
        );
        assert_eq!(serde_json::from_str::<Rule>(r#"{"rule": "true"}"#).unwrap(), Rule::new("true"));
    }

    #[cfg(feature = "cel")]
    #[test]
    fn a_rule_is_a_transition_rule_only_if_it_uses_the_variable_old_self() {
        let validator = |rule: &str| {
            Validator::new(
                &serde_json::json!({"type": "string", "x-kubernetes-validations": [{"rule": rule}]}),
            )
        };
        let unchanged = |rule: &str| {
            let value = serde_json::json!("a");
            validator(rule).validate(&value, Some(&value))
        };
        assert!(
            unchanged("self == 'oldSelf'").is_ok(),
            "an update ignores the violation of an unchanged value"
        );
        assert!(unchanged("self != oldSelf").is_err());
    }

    #[test]
    fn reasons_parse_from_their_names() {
        assert_eq!("FieldValueDuplicate".parse(), Ok(Reason::FieldValueDuplicate));
        let error = "Duplicate".parse::<Reason>().unwrap_err();
        assert!(error.to_string().contains("FieldValueDuplicate"), "{error}");
    }

    #[test]
    fn a_rule_converts_into_a_validation_rule_of_k8s_openapi() {
        let rule = Rule::new("self.a == oldSelf.a")
            .message(Message::Expression("'was ' + oldSelf.a".to_owned()))
            .reason(Reason::FieldValueForbidden)
            .field_path(".a")
            .optional_old_self(true);
        assert_eq!(
            serde_json::to_value(ValidationRule::from(rule)).unwrap(),
            serde_json::json!({
                "rule": "self.a == oldSelf.a",
                "messageExpression": "'was ' + oldSelf.a",
                "reason": "FieldValueForbidden",
                "fieldPath": ".a",
                "optionalOldSelf": true,
            })
        );
    }
}
