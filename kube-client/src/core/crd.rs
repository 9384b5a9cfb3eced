//! The `CustomResourceDefinition` of a kind with `#[derive(CustomResource)]`, and the merge of the definitions of
//! several versions.
//!
//! This module must not send requests: programs install a definition with `Api<CustomResourceDefinition>`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use thiserror::Error;

use crate::core::ApiResource;
#[cfg(feature = "schema")]
use crate::core::schema::SchemaError;

/// Access to the [`CustomResourceDefinition`] of a kind. `#[derive(CustomResource)]` implements this trait.
pub trait CustomResourceExt {
    /// The definition in `apiextensions.k8s.io/v1`, with a structural schema.
    ///
    /// A field whose Rust type cannot be expressed as a structural schema accepts any value. [`try_crd`] reports such
    /// fields.
    ///
    /// [`try_crd`]: Self::try_crd
    fn crd() -> CustomResourceDefinition;

    /// The same definition as [`crd`](Self::crd), or an error if the schema is less strict than the Rust types.
    ///
    /// Intended for a unit test of the type: `Foo::try_crd().unwrap()`.
    ///
    /// # Errors
    ///
    /// Lists each field whose schema is less strict than its Rust type, with cause and advice. Also lists selectable
    /// fields that are not scalars in the schema, and malformed validation rules, because a server rejects both.
    #[cfg(feature = "schema")]
    fn try_crd() -> Result<CustomResourceDefinition, SchemaError> {
        Ok(Self::crd())
    }

    /// The name of the definition: `<plural>.<group>`.
    fn crd_name() -> &'static str;

    /// The group, version, kind and plural, for requests with dynamic types.
    fn api_resource() -> ApiResource;

    /// The short names of the kind.
    fn shortnames() -> &'static [&'static str];
}

/// The error for definitions that cannot be merged.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum MergeError {
    /// No `CustomResourceDefinition` was passed.
    #[error("no definitions to merge")]
    MissingCrds,
    /// No definition has the storage version.
    #[error("no definition has the storage version {0:?}")]
    MissingStoredApi(String),
    /// A definition has no version.
    #[error("the definition {0:?} has no version")]
    MissingVersions(String),
    /// A definition has more than one version.
    #[error("the definition {0:?} has several versions: merge definitions with one version each")]
    MultiVersionCrd(String),
    /// Two definitions have the same version.
    #[error("the version {0:?} is defined twice")]
    DuplicateVersion(String),
    /// The definitions are not of the same kind.
    #[error("{field} differs: {first:?} and {second:?}")]
    PropertyMismatch {
        /// The path of the field.
        field: &'static str,
        /// The field's value in the definition with the storage version.
        first: String,
        /// The field's value in the other definition.
        second: String,
    },
}

/// The items of this module, at their path in the `kube` crate.
pub mod v1 {
    pub use super::{CustomResourceExt, MergeError, merge_crds};
}

/// Merges definitions with one version each into a single definition. `stored_apiversion` is the storage version.
///
/// Names, conversion and metadata are those of the definition with the storage version. Labels and annotations that
/// this definition lacks are added from the other definitions. The versions keep the order of `crds`.
///
/// # Errors
///
/// If `crds` is empty, if a definition has no version or several, if two definitions have the same version, if no
/// definition has the storage version, or if group, kind, plural or scope differ.
pub fn merge_crds(
    crds: Vec<CustomResourceDefinition>,
    stored_apiversion: &str,
) -> Result<CustomResourceDefinition, MergeError> {
    if crds.is_empty() {
        return Err(MergeError::MissingCrds);
    }
    for crd in &crds {
        let name = || crd.metadata.name.clone().unwrap_or_default();
        match crd.spec.versions.len() {
            0 => return Err(MergeError::MissingVersions(name())),
            1 => {}
            _ => return Err(MergeError::MultiVersionCrd(name())),
        }
    }
    let mut merged = crds
        .iter()
        .find(|crd| crd.spec.versions[0].name == stored_apiversion)
        .cloned()
        .ok_or_else(|| MergeError::MissingStoredApi(stored_apiversion.to_owned()))?;
    merged.spec.versions.clear();
    for crd in crds {
        check_same_kind(&merged, &crd)?;
        let (labels, annotations) = (crd.metadata.labels, crd.metadata.annotations);
        add_missing_entries(&mut merged.metadata.labels, labels);
        add_missing_entries(&mut merged.metadata.annotations, annotations);
        for mut version in crd.spec.versions {
            if merged.spec.versions.iter().any(|known| known.name == version.name) {
                return Err(MergeError::DuplicateVersion(version.name));
            }
            version.storage = version.name == stored_apiversion;
            merged.spec.versions.push(version);
        }
    }
    Ok(merged)
}

/// Checks that two definitions have the same group, kind, plural and scope.
fn check_same_kind(
    first: &CustomResourceDefinition,
    second: &CustomResourceDefinition,
) -> Result<(), MergeError> {
    let (a, b) = (&first.spec, &second.spec);
    let fields = [
        ("spec.group", &a.group, &b.group),
        ("spec.names.kind", &a.names.kind, &b.names.kind),
        ("spec.names.plural", &a.names.plural, &b.names.plural),
        ("spec.scope", &a.scope, &b.scope),
    ];
    match fields.into_iter().find(|(_, first, second)| first != second) {
        Some((field, first, second)) => {
            Err(MergeError::PropertyMismatch { field, first: first.clone(), second: second.clone() })
        }
        None => Ok(()),
    }
}

/// The type of the labels and annotations in `ObjectMeta`.
type OptionalStringMap = Option<std::collections::BTreeMap<String, String>>;

/// Adds the entries of `from` whose keys `into` lacks.
fn add_missing_entries(into: &mut OptionalStringMap, from: OptionalStringMap) {
    for (key, value) in from.into_iter().flatten() {
        into.get_or_insert_default().entry(key).or_insert(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A definition of `kind` in which every version is the storage version.
    fn crd(kind: &str, versions: &[&str]) -> CustomResourceDefinition {
        let versions: Vec<_> =
            versions.iter().map(|v| json!({ "name": v, "served": true, "storage": true })).collect();
        serde_json::from_value(json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": "foos.example.com", "labels": { "of": versions.len().to_string() } },
            "spec": {
                "group": "example.com",
                "scope": "Namespaced",
                "names": { "kind": kind, "plural": "foos" },
                "versions": versions,
            },
        }))
        .unwrap()
    }

    #[test]
    fn sets_one_storage_version_and_keeps_the_order() {
        let merged = merge_crds(vec![crd("Foo", &["v1alpha1"]), crd("Foo", &["v1"])], "v1").unwrap();
        let versions: Vec<_> = merged.spec.versions.iter().map(|v| (v.name.as_str(), v.storage)).collect();
        assert_eq!(versions, [("v1alpha1", false), ("v1", true)]);
    }

    #[test]
    fn reports_why_definitions_cannot_be_merged() {
        #[track_caller]
        fn check_error(crds: Vec<CustomResourceDefinition>, expected: &MergeError) {
            assert_eq!(&merge_crds(crds, "v1").unwrap_err(), expected);
        }
        let name = || "foos.example.com".to_owned();
        check_error(vec![], &MergeError::MissingCrds);
        check_error(vec![crd("Foo", &["v2"])], &MergeError::MissingStoredApi("v1".to_owned()));
        check_error(vec![crd("Foo", &[])], &MergeError::MissingVersions(name()));
        check_error(vec![crd("Foo", &["v1", "v2"])], &MergeError::MultiVersionCrd(name()));
        check_error(
            vec![crd("Foo", &["v1"]), crd("Foo", &["v1"])],
            &MergeError::DuplicateVersion("v1".to_owned()),
        );
        check_error(
            vec![crd("Foo", &["v1"]), crd("Bar", &["v2"])],
            &MergeError::PropertyMismatch {
                field: "spec.names.kind",
                first: "Foo".to_owned(),
                second: "Bar".to_owned(),
            },
        );
    }
}
