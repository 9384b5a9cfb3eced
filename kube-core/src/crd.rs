//! The `CustomResourceDefinition` of a kind with `#[derive(CustomResource)]`, and the merge of the definitions of
//! several versions.
//!
//! This module must not send requests: programs install a definition with `Api<CustomResourceDefinition>`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use thiserror::Error;

use crate::ApiResource;
#[cfg(feature = "schema")]
use crate::schema::SchemaError;

/// Access to the [`CustomResourceDefinition`] of a kind. `#[derive(CustomResource)]` implements this trait.
pub trait CustomResourceExt {
    /// The definition in `apiextensions.k8s.io/v1`, with a structural schema.
    ///
    /// A field whose Rust type cannot be expressed as a structural schema accepts any value. [`try_crd`] reports such
    /// fields.
    ///
    /// [`try_crd`]: Self::try_crd
    fn crd() -> CustomResourceDefinition;

    /// The same definition as [`crd`](Self::crd), or an error if the schema is less strict than the Rust types or
    /// contains parts that a server rejects. The default implementation checks nothing.
    ///
    /// Intended for a unit test of the type: `Foo::try_crd().unwrap()`.
    ///
    /// # Errors
    ///
    /// Lists each field whose schema is less strict than its Rust type, with cause and advice. Also lists the nodes of
    /// the schema at which the Rust type preserves fields that the server would prune, and the parts that a server
    /// rejects: selectable fields that are not scalars in the schema, malformed validation rules, merge strategies that do
    /// not fit the schema, and patterns with lookarounds or backreferences.
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
    /// The definitions differ in a field that must be equal, such as the kind or the conversion.
    #[error("{field} differs: {first:?} and {second:?}")]
    PropertyMismatch {
        /// The path of the field.
        field: &'static str,
        /// The field's value in the definition with the storage version. If `field` is the conversion, and this
        /// definition has none, the value comes from an earlier definition in the list.
        first: String,
        /// The field's value in the definition that differs.
        second: String,
    },
}

/// The public items of this module. The module path is the same as in the crate `kube`.
pub mod v1 {
    pub use super::{CustomResourceExt, MergeError, merge_crds};
}

/// Merges definitions with one version each into a single definition. `stored_apiversion` is the name of the storage
/// version, such as `v1`.
///
/// Names, conversion and metadata are those of the definition with the storage version. If this definition lacks a short
/// name, category, label or annotation of another definition, the merge adds it. If this definition has no conversion,
/// the merge uses the conversion of another definition. The versions keep the order of `crds`.
///
/// # Errors
///
/// If one of these conditions holds:
///
/// - `crds` is empty, or no definition has the storage version.
/// - A definition has no version or several, or two definitions have the same version.
/// - Two definitions differ in group, scope, kind, list kind, plural, singular or conversion.
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
        check_conversions_match(&merged, &crd)?;
        let (labels, annotations) = (crd.metadata.labels, crd.metadata.annotations);
        add_missing_entries(&mut merged.metadata.labels, labels);
        add_missing_entries(&mut merged.metadata.annotations, annotations);
        add_missing_names(&mut merged.spec.names.short_names, crd.spec.names.short_names);
        add_missing_names(&mut merged.spec.names.categories, crd.spec.names.categories);
        merged.spec.conversion = merged.spec.conversion.or(crd.spec.conversion);
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

/// Checks that two definitions have the same group, scope, kind, list kind, plural and singular.
fn check_same_kind(
    first: &CustomResourceDefinition,
    second: &CustomResourceDefinition,
) -> Result<(), MergeError> {
    let (a, b) = (&first.spec, &second.spec);
    // If a definition has no list kind or singular, compare the default that the API server sets.
    let list_kind = |crd: &CustomResourceDefinition| {
        let names = &crd.spec.names;
        names.list_kind.clone().unwrap_or_else(|| format!("{}List", names.kind))
    };
    let singular = |crd: &CustomResourceDefinition| {
        let names = &crd.spec.names;
        names.singular.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| names.kind.to_lowercase())
    };
    let fields = [
        ("spec.group", a.group.clone(), b.group.clone()),
        ("spec.names.kind", a.names.kind.clone(), b.names.kind.clone()),
        ("spec.names.plural", a.names.plural.clone(), b.names.plural.clone()),
        ("spec.names.singular", singular(first), singular(second)),
        ("spec.names.listKind", list_kind(first), list_kind(second)),
        ("spec.scope", a.scope.clone(), b.scope.clone()),
    ];
    match fields.into_iter().find(|(_, first, second)| first != second) {
        Some((field, first, second)) => Err(MergeError::PropertyMismatch { field, first, second }),
        None => Ok(()),
    }
}

/// Checks that two definitions have the same conversion, or that at least one has no conversion.
fn check_conversions_match(
    first: &CustomResourceDefinition,
    second: &CustomResourceDefinition,
) -> Result<(), MergeError> {
    let (Some(a), Some(b)) = (&first.spec.conversion, &second.spec.conversion) else { return Ok(()) };
    if a == b {
        return Ok(());
    }
    let text = |conversion| serde_json::to_string(conversion).unwrap_or_default();
    Err(MergeError::PropertyMismatch { field: "spec.conversion", first: text(a), second: text(b) })
}

/// Adds the names in `from` that `into` lacks.
fn add_missing_names(into: &mut Option<Vec<String>>, from: Option<Vec<String>>) {
    for name in from.into_iter().flatten() {
        let names = into.get_or_insert_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }
}

/// The type of the labels and annotations in `ObjectMeta`.
type OptionalStringMap = Option<std::collections::BTreeMap<String, String>>;

/// Adds to `into` each entry of `from` whose key is not yet in `into`.
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
    fn the_merge_sets_one_storage_version_and_keeps_the_order() {
        let merged = merge_crds(vec![crd("Foo", &["v1alpha1"]), crd("Foo", &["v1"])], "v1").unwrap();
        let versions: Vec<_> = merged.spec.versions.iter().map(|v| (v.name.as_str(), v.storage)).collect();
        assert_eq!(versions, [("v1alpha1", false), ("v1", true)]);
    }

    #[test]
    fn the_merge_adds_the_names_and_the_conversion_of_other_definitions() {
        let (mut old, mut new) = (crd("Foo", &["v1alpha1"]), crd("Foo", &["v1"]));
        old.spec.names.short_names = Some(vec!["f".to_owned(), "fo".to_owned()]);
        old.spec.names.categories = Some(vec!["all".to_owned()]);
        old.spec.names.list_kind = Some("FooList".to_owned());
        old.spec.names.singular = Some("foo".to_owned());
        old.spec.conversion = serde_json::from_value(json!({ "strategy": "None" })).unwrap();
        new.spec.names.short_names = Some(vec!["fo".to_owned()]);
        let merged = merge_crds(vec![old.clone(), new], "v1").unwrap();
        assert_eq!(merged.spec.names.short_names, Some(vec!["fo".to_owned(), "f".to_owned()]));
        assert_eq!(merged.spec.names.categories, old.spec.names.categories);
        assert_eq!(merged.spec.conversion, old.spec.conversion);
    }

    #[test]
    fn the_error_states_why_definitions_cannot_be_merged() {
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
        let changed = |change: fn(&mut CustomResourceDefinition)| {
            let mut crd = crd("Foo", &["v2"]);
            change(&mut crd);
            crd
        };
        let mismatch = |field, first: &str, second: &str| MergeError::PropertyMismatch {
            field,
            first: first.to_owned(),
            second: second.to_owned(),
        };
        let singular = changed(|crd| crd.spec.names.singular = Some("fo".to_owned()));
        check_error(vec![crd("Foo", &["v1"]), singular], &mismatch("spec.names.singular", "foo", "fo"));
        let list_kind = changed(|crd| crd.spec.names.list_kind = Some("Foos".to_owned()));
        check_error(
            vec![crd("Foo", &["v1"]), list_kind],
            &mismatch("spec.names.listKind", "FooList", "Foos"),
        );
        let converted = |strategy: &str, version: &str| {
            let mut crd = crd("Foo", &[version]);
            crd.spec.conversion = serde_json::from_value(json!({ "strategy": strategy })).unwrap();
            crd
        };
        check_error(
            vec![converted("None", "v1"), converted("Webhook", "v2")],
            &mismatch("spec.conversion", r#"{"strategy":"None"}"#, r#"{"strategy":"Webhook"}"#),
        );
    }
}
