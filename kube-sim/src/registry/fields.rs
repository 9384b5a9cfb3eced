//! Field selectors: the fields that each kind supports, their values in an object, and the parsed selector.

use serde_json::Value;

use crate::status::SimError;
use crate::store::object::Stored;
use crate::store::selector::{FieldTerm, field_terms};

/// A field that field selectors support, other than `metadata.name` and `metadata.namespace`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// The name of the field in selectors.
    pub(crate) label: String,
    path: Vec<String>,
    /// The value that selectors compare if an object does not have the field.
    absent: &'static str,
}

impl Field {
    /// The field whose path is `label`.
    fn new(label: &str, absent: &'static str) -> Self {
        Self { label: label.to_owned(), path: label.split('.').map(str::to_owned).collect(), absent }
    }

    /// The field with the name `label` and the path `path`.
    fn with_path(label: &str, path: &str, absent: &'static str) -> Self {
        Self { label: label.to_owned(), path: path.split('.').map(str::to_owned).collect(), absent }
    }

    /// The field of an entry in a CRD's `selectableFields`. `json_path` is a path such as `.spec.color`.
    pub(crate) fn of_json_path(json_path: &str) -> Self {
        Self::new(json_path.trim_start_matches('.'), "")
    }

    /// The value of the field in an object, as selectors compare it.
    pub(crate) fn read(&self, object: &Value) -> String {
        let mut at = object;
        for part in &self.path {
            at = &at[part.as_str()];
        }
        match at {
            Value::String(text) => text.clone(),
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Array(items) => {
                let ips: Vec<_> = items.iter().filter_map(|i| i["ip"].as_str()).collect();
                ips.join(",")
            }
            _ if self.label == "source" => {
                object["reportingComponent"].as_str().unwrap_or_default().to_owned()
            }
            _ => self.absent.to_owned(),
        }
    }
}

/// The selectable fields of a built-in kind, with their names and paths in the storage version.
pub(crate) fn of_kind(group: &str, kind: &str) -> Vec<Field> {
    let list: &[(&str, &'static str)] = match (group, kind) {
        ("", "Pod") => &[
            ("spec.nodeName", ""),
            ("spec.restartPolicy", ""),
            ("spec.schedulerName", ""),
            ("spec.serviceAccountName", ""),
            ("spec.hostNetwork", "false"),
            ("status.phase", ""),
            ("status.podIP", ""),
            ("status.podIPs", ""),
            ("status.nominatedNodeName", ""),
        ],
        ("", "Node") => &[("spec.unschedulable", "false")],
        ("", "ReplicationController") | ("apps", "ReplicaSet") => &[("status.replicas", "0")],
        ("", "Namespace") => &[("status.phase", "")],
        ("", "Secret") => &[("type", "")],
        ("", "Service") => &[("spec.clusterIP", ""), ("spec.type", "")],
        ("", "Event") => &[
            ("involvedObject.kind", ""),
            ("involvedObject.namespace", ""),
            ("involvedObject.name", ""),
            ("involvedObject.uid", ""),
            ("involvedObject.apiVersion", ""),
            ("involvedObject.resourceVersion", ""),
            ("involvedObject.fieldPath", ""),
            ("reason", ""),
            ("reportingComponent", ""),
            ("type", ""),
        ],
        ("certificates.k8s.io", "CertificateSigningRequest" | "ClusterTrustBundle") => {
            &[("spec.signerName", "")]
        }
        ("coordination.k8s.io", "LeaseCandidate") => &[("spec.leaseName", "")],
        ("resource.k8s.io", "ResourceSlice") => {
            &[("spec.nodeName", ""), ("spec.driver", ""), ("spec.pool.name", "")]
        }
        _ => &[],
    };
    let mut fields: Vec<Field> = list.iter().map(|(label, absent)| Field::new(label, absent)).collect();
    match (group, kind) {
        ("", "Event") => fields.push(Field::with_path("source", "source.component", "")),
        ("batch", "Job") => fields.push(Field::with_path("status.successful", "status.succeeded", "0")),
        _ => {}
    }
    fields
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
    /// 400 if the selector is malformed, or the kind does not support a field.
    pub(crate) fn parse(text: &str, resource: &super::Resource) -> Result<Self, SimError> {
        let mut all = Vec::new();
        for mut term in field_terms(text).map_err(SimError::bad_request)? {
            if resource.conversion == super::Conversion::Events {
                rename_event_field(&mut term.field);
            }
            let label = if term.field == "spec.host" && resource.kind == "Pod" {
                "spec.nodeName"
            } else {
                term.field.as_str()
            };
            let target = match label {
                "metadata.name" => ComparedField::Name,
                "name" if matches!(resource.kind.as_str(), "Namespace" | "PersistentVolume" | "Node") => {
                    ComparedField::Name
                }
                "metadata.namespace" if resource.namespaced || resource.custom().is_none() => {
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

    pub(crate) fn matches(&self, object: &Stored) -> bool {
        self.0.iter().all(|(target, term)| {
            let value = match target {
                ComparedField::Name => object.name(),
                ComparedField::Namespace => object.namespace(),
                ComparedField::Field(at) => object.fields.get(*at).map_or("", String::as_str),
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
    let plain = resource.fields.is_empty() && resource.custom().is_none();
    SimError::bad_request(if plain {
        format!("\"{label}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    } else {
        format!("field label not supported: {label}")
    })
}
