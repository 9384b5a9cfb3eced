//! Field selectors: the fields that each kind supports, their values in an object, and the parsed selector.

use serde_json::Value;

use crate::status::SimError;
use crate::store::object::StoredObject;
use crate::store::selector::{FieldTerm, parse_field_selector};
use crate::strategy::SelectableField;

/// A field that field selectors support, other than `metadata.name` and `metadata.namespace`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// The name of the field in selectors.
    pub(crate) label: String,
    path: Vec<String>,
    /// The path of the value that selectors compare if an object has no value at `path`. Empty if the field has no
    /// fallback.
    fallback: Vec<String>,
    /// The value that selectors compare if an object has no value at `path` and no value at `fallback`.
    absent: &'static str,
}

impl Field {
    /// Creates a field of a built-in kind.
    pub(crate) fn new(field: &SelectableField) -> Self {
        Self {
            label: field.label.to_owned(),
            path: split_path(field.path),
            fallback: split_path(field.fallback),
            absent: field.absent,
        }
    }

    /// Creates the field for an entry in a CRD's `selectableFields`. `json_path` is a path such as `.spec.color`.
    pub(crate) fn of_json_path(json_path: &str) -> Self {
        let label = json_path.trim_start_matches('.');
        Self { label: label.to_owned(), path: split_path(label), fallback: Vec::new(), absent: "" }
    }

    /// The value of the field in an object, as selectors compare it.
    pub(crate) fn value_in(&self, object: &Value) -> String {
        let at = value_at(object, &self.path);
        match at {
            Value::String(text) => text.clone(),
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Array(items) => {
                let ips: Vec<_> = items.iter().filter_map(|i| i["ip"].as_str()).collect();
                ips.join(",")
            }
            _ if !self.fallback.is_empty() => {
                value_at(object, &self.fallback).as_str().unwrap_or(self.absent).to_owned()
            }
            _ => self.absent.to_owned(),
        }
    }
}

/// The field names in a path.
fn split_path(path: &str) -> Vec<String> {
    path.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn value_at<'a>(object: &'a Value, path: &[String]) -> &'a Value {
    path.iter().fold(object, |at, name| &at[name.as_str()])
}

/// The field that a term of a selector compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ComparedField {
    Name,
    Namespace,
    /// The field at this index of `Resource::fields`.
    Field(usize),
}

/// A field selector for the objects of one kind. An empty selector matches all objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldSelector(Vec<(ComparedField, FieldTerm)>);

impl FieldSelector {
    /// Parses a field selector for the objects of `resource`.
    ///
    /// # Errors
    /// 400 if the selector is malformed, or contains a field that the kind does not support.
    pub(crate) fn parse(text: &str, resource: &super::Resource) -> Result<Self, SimError> {
        let mut all = Vec::new();
        for mut term in parse_field_selector(text).map_err(SimError::bad_request)? {
            if resource.conversion == super::Conversion::Events {
                rename_event_field(&mut term.field);
            }
            let aliases = resource.strategy.field_aliases;
            let alias = aliases.iter().find(|(alias, _)| *alias == term.field);
            let label = alias.map_or(term.field.as_str(), |(_, label)| label);
            let target = match label {
                "metadata.name" => ComparedField::Name,
                "metadata.namespace" if resource.namespaced || resource.custom_properties().is_none() => {
                    ComparedField::Namespace
                }
                _ => match resource.fields.iter().position(|f| f.label == label) {
                    Some(at) => ComparedField::Field(at),
                    None => return Err(unsupported_field_error(resource, label)),
                },
            };
            all.push((target, term));
        }
        Ok(Self(all))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name that the selector requires with `metadata.name=NAME`, if any.
    pub(crate) fn exact_name(&self) -> Option<&str> {
        self.0
            .iter()
            .find(|(target, term)| *target == ComparedField::Name && term.equal)
            .map(|(_, t)| t.value.as_str())
    }

    pub(crate) fn matches(&self, object: &StoredObject) -> bool {
        self.0.iter().all(|(target, term)| {
            let value = match target {
                ComparedField::Name => object.name(),
                ComparedField::Namespace => object.namespace(),
                ComparedField::Field(at) => object.fields.get(*at).map_or("", |value| value),
            };
            (value == term.value) == term.equal
        })
    }
}

/// Renames a field of `events.k8s.io/v1` to its name in the storage version, core `v1`.
fn rename_event_field(field: &mut String) {
    if let Some(rest) = field.strip_prefix("regarding.") {
        *field = format!("involvedObject.{rest}");
    } else if field == "reportingController" {
        *field = "reportingComponent".into();
    }
}

fn unsupported_field_error(resource: &super::Resource, label: &str) -> SimError {
    let has_only_metadata_fields = resource.fields.is_empty() && resource.custom_properties().is_none();
    SimError::bad_request(if has_only_metadata_fields {
        format!("\"{label}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    } else {
        format!("field label not supported: {label}")
    })
}
