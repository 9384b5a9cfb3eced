//! Builds, parses and formats label selectors, and matches them against labels without a request to the API
//! server.

mod parse;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};
use thiserror::Error;

/// The error for a selector that cannot be parsed.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("cannot read a label selector: {0}")]
pub struct ParseExpressionError(pub String);

/// Selectors that can be matched against labels.
pub trait SelectorExt {
    /// The type of the labels that the selector is matched against.
    type Search;
    /// Whether the selector matches these labels.
    fn matches(&self, on: &Self::Search) -> bool;
}

/// One condition on an object's labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub enum Expression {
    /// The label has one of these values.
    In(String, BTreeSet<String>),
    /// The label is absent or has none of these values.
    NotIn(String, BTreeSet<String>),
    /// The label has this value.
    Equal(String, String),
    /// The label is absent or has another value.
    NotEqual(String, String),
    /// The label is present.
    Exists(String),
    /// The label is absent.
    DoesNotExist(String),
    /// Matches no object.
    Invalid,
}

impl Expression {
    /// Whether the condition is true. `value` is the value of the label; `None` if the object lacks the label.
    fn matches_value(&self, value: Option<&String>) -> bool {
        match self {
            Self::In(_, values) => value.is_some_and(|value| values.contains(value)),
            Self::NotIn(_, values) => value.is_none_or(|value| !values.contains(value)),
            Self::Equal(_, wanted) => value == Some(wanted),
            Self::NotEqual(_, unwanted) => value != Some(unwanted),
            Self::Exists(_) => value.is_some(),
            Self::DoesNotExist(_) => value.is_none(),
            Self::Invalid => false,
        }
    }

    /// The key of the label; empty for `Invalid`.
    fn key(&self) -> &str {
        match self {
            Self::In(key, _)
            | Self::NotIn(key, _)
            | Self::Equal(key, _)
            | Self::NotEqual(key, _)
            | Self::Exists(key)
            | Self::DoesNotExist(key) => key,
            Self::Invalid => "",
        }
    }
}

impl SelectorExt for Expression {
    type Search = BTreeMap<String, String>;

    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matches_value(labels.get(self.key()))
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = |f: &mut fmt::Formatter<'_>, key: &str, operator: &str, values: &BTreeSet<String>| {
            write!(f, "{key} {operator} (")?;
            for (i, value) in values.iter().enumerate() {
                write!(f, "{}{value}", if i == 0 { "" } else { "," })?;
            }
            f.write_str(")")
        };
        match self {
            Self::In(key, values) => set(f, key, "in", values),
            Self::NotIn(key, values) => set(f, key, "notin", values),
            Self::Equal(key, value) => write!(f, "{key}={value}"),
            Self::NotEqual(key, value) => write!(f, "{key}!={value}"),
            Self::Exists(key) => f.write_str(key),
            Self::DoesNotExist(key) => write!(f, "!{key}"),
            // This text selects no object on the server, because a label cannot be both present and absent.
            Self::Invalid => f.write_str("invalid,!invalid"),
        }
    }
}

/// A conjunction of conditions on an object's labels. A selector without conditions selects every object.
///
/// ```
/// use kube_core::{Selector, SelectorExt};
///
/// let selector: Selector = "app=web,tier notin (db,cache),!canary".parse()?;
/// let labels = [("app".to_string(), "web".to_string())].into();
/// assert!(selector.matches(&labels));
/// # Ok::<(), kube_core::ParseExpressionError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Selector(Vec<Expression>);

impl Selector {
    /// Whether the selector has no conditions, so that it selects every object.
    pub fn selects_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds conditions. The selector then matches only objects that also meet the added conditions.
    pub fn extend(&mut self, expressions: impl IntoIterator<Item = Expression>) -> &mut Self {
        self.0.extend(expressions);
        self
    }
}

impl SelectorExt for Selector {
    type Search = BTreeMap<String, String>;

    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|expression| expression.matches(labels))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, expression) in self.0.iter().enumerate() {
            write!(f, "{}{expression}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl IntoIterator for Expression {
    type IntoIter = std::option::IntoIter<Expression>;
    type Item = Expression;

    fn into_iter(self) -> Self::IntoIter {
        Some(self).into_iter()
    }
}

impl IntoIterator for Selector {
    type IntoIter = std::vec::IntoIter<Expression>;
    type Item = Expression;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<(String, String)> for Selector {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Self {
        Self(pairs.into_iter().map(|(key, value)| Expression::Equal(key, value)).collect())
    }
}

impl FromIterator<(&'static str, &'static str)> for Selector {
    fn from_iter<T: IntoIterator<Item = (&'static str, &'static str)>>(pairs: T) -> Self {
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }
}

impl FromIterator<Expression> for Selector {
    fn from_iter<T: IntoIterator<Item = Expression>>(expressions: T) -> Self {
        Self(expressions.into_iter().collect())
    }
}

impl From<Expression> for Selector {
    fn from(expression: Expression) -> Self {
        Self(vec![expression])
    }
}

impl TryFrom<LabelSelector> for Selector {
    type Error = ParseExpressionError;

    fn try_from(selector: LabelSelector) -> Result<Self, Self::Error> {
        let labels = selector.match_labels.unwrap_or_default().into_iter();
        let equal = labels.map(|(key, value)| Ok(Expression::Equal(key, value)));
        let requirements = selector.match_expressions.unwrap_or_default().into_iter();
        equal.chain(requirements.map(Expression::try_from)).collect::<Result<_, _>>().map(Self)
    }
}

impl TryFrom<LabelSelectorRequirement> for Expression {
    type Error = ParseExpressionError;

    fn try_from(requirement: LabelSelectorRequirement) -> Result<Self, Self::Error> {
        let LabelSelectorRequirement { key, operator, values } = requirement;
        let some_values = || {
            let values: BTreeSet<String> = values.iter().flatten().cloned().collect();
            let problem = || ParseExpressionError(format!("{operator} on {key:?} needs at least one value"));
            if values.is_empty() { Err(problem()) } else { Ok(values) }
        };
        match operator.as_str() {
            "In" => Ok(Self::In(key.clone(), some_values()?)),
            "NotIn" => Ok(Self::NotIn(key.clone(), some_values()?)),
            "Exists" => Ok(Self::Exists(key)),
            "DoesNotExist" => Ok(Self::DoesNotExist(key)),
            _ => Err(ParseExpressionError(format!(
                "operator {operator:?} on {key:?} is none of In, NotIn, Exists, DoesNotExist"
            ))),
        }
    }
}

impl From<Selector> for LabelSelector {
    fn from(selector: Selector) -> Self {
        let mut labels = BTreeMap::new();
        let mut requirements = Vec::new();
        let requirement = |key: String, operator: &str, values: Option<Vec<String>>| {
            LabelSelectorRequirement { key, operator: operator.to_owned(), values }
        };
        for expression in selector.0 {
            match expression {
                Expression::Equal(key, value) if !labels.contains_key(&key) => {
                    drop(labels.insert(key, value));
                }
                Expression::Equal(key, value) => requirements.push(requirement(key, "In", Some(vec![value]))),
                Expression::In(key, values) => {
                    requirements.push(requirement(key, "In", Some(values.into_iter().collect())));
                }
                Expression::NotIn(key, values) => {
                    requirements.push(requirement(key, "NotIn", Some(values.into_iter().collect())));
                }
                Expression::NotEqual(key, value) => {
                    requirements.push(requirement(key, "NotIn", Some(vec![value])));
                }
                Expression::Exists(key) => requirements.push(requirement(key, "Exists", None)),
                Expression::DoesNotExist(key) => requirements.push(requirement(key, "DoesNotExist", None)),
                Expression::Invalid => {
                    requirements.push(requirement("invalid".into(), "Exists", None));
                    requirements.push(requirement("invalid".into(), "DoesNotExist", None));
                }
            }
        }
        let some = |list: Vec<_>| (!list.is_empty()).then_some(list);
        LabelSelector {
            match_labels: (!labels.is_empty()).then_some(labels),
            match_expressions: some(requirements),
        }
    }
}

#[cfg(test)]
mod tests;
