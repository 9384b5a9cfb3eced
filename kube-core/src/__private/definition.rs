//! The constants that `#[derive(CustomResource)]` generates for a resource, and its `CustomResourceDefinition`.
//!
//! This module must not generate or change schemas: callers pass schemas in their final form.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, CustomResourceSubresourceScale,
    CustomResourceSubresourceStatus, CustomResourceSubresources, CustomResourceValidation, JSONSchemaProps,
    SelectableField,
};

use crate::ObjectMeta;

/// The constants that `#[derive(CustomResource)]` generates for a resource. `crd` builds the
/// `CustomResourceDefinition` from them.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the flags of a CustomResourceDefinition, filled in by generated code"
)]
pub struct Definition {
    /// API group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// `group/version`.
    pub api_version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Plural name, as in request paths.
    pub plural: &'static str,
    /// Singular name.
    pub singular: &'static str,
    /// The name of the `CustomResourceDefinition`: `<plural>.<group>`.
    pub crd_name: &'static str,
    /// Short names.
    pub shortnames: &'static [&'static str],
    /// The categories, such as `all`.
    pub categories: &'static [&'static str],
    /// Whether the resource is namespaced.
    pub namespaced: bool,
    /// Whether the version is served.
    pub served: bool,
    /// Whether the version is the storage version.
    pub storage: bool,
    /// Whether the version is deprecated.
    pub deprecated: bool,
    /// The warning in responses for a deprecated version; `None` for the server's default text.
    pub deprecation_warning: Option<&'static str>,
    /// Additional printer columns.
    pub columns: &'static [Column],
    /// The JSON paths of the selectable fields.
    pub selectable: &'static [&'static str],
    /// Whether there is a status subresource.
    pub status: bool,
    /// The paths of the scale subresource; `None` if the resource has none.
    pub scale: Option<Scale>,
    /// Annotations of the `CustomResourceDefinition`.
    pub annotations: &'static [(&'static str, &'static str)],
    /// Labels of the `CustomResourceDefinition`.
    pub labels: &'static [(&'static str, &'static str)],
}

/// An additional printer column.
#[derive(Debug)]
pub struct Column {
    /// The heading of the column.
    pub name: &'static str,
    /// The OpenAPI type of the cells, or `date`.
    pub type_: &'static str,
    /// The JSON path of the value.
    pub json_path: &'static str,
    /// The description that clients show.
    pub description: Option<&'static str>,
    /// The OpenAPI format of the cells, such as `int64`.
    pub format: Option<&'static str>,
    /// Priority; `kubectl get` shows a column with a priority above 0 only with `-o wide`.
    pub priority: Option<i32>,
}

/// The JSON paths of the scale subresource, such as `.spec.replicas`.
#[derive(Debug)]
pub struct Scale {
    /// The path of the desired number of replicas.
    pub spec_replicas_path: &'static str,
    /// The path of the observed number of replicas.
    pub status_replicas_path: &'static str,
    /// The path of a string field with the label selector for the replicas.
    pub label_selector_path: Option<&'static str>,
}

/// Converts the definition into a `CustomResourceDefinition` with this schema.
pub(super) fn crd(definition: &Definition, schema: Option<JSONSchemaProps>) -> CustomResourceDefinition {
    let scope = if definition.namespaced { "Namespaced" } else { "Cluster" };
    CustomResourceDefinition {
        metadata: ObjectMeta {
            name: Some(definition.crd_name.to_owned()),
            annotations: non_empty_map(definition.annotations),
            labels: non_empty_map(definition.labels),
            ..ObjectMeta::default()
        },
        spec: CustomResourceDefinitionSpec {
            group: definition.group.to_owned(),
            names: CustomResourceDefinitionNames {
                categories: non_empty_strings(definition.categories),
                kind: definition.kind.to_owned(),
                list_kind: None,
                plural: definition.plural.to_owned(),
                short_names: non_empty_strings(definition.shortnames),
                singular: Some(definition.singular.to_owned()),
            },
            scope: scope.to_owned(),
            versions: vec![crd_version(definition, schema)],
            conversion: None,
            preserve_unknown_fields: None,
        },
        status: None,
    }
}

/// Builds the version of the `CustomResourceDefinition`. There is only one version.
fn crd_version(definition: &Definition, schema: Option<JSONSchemaProps>) -> CustomResourceDefinitionVersion {
    let selectable = |path: &&str| SelectableField { json_path: (*path).to_owned() };
    CustomResourceDefinitionVersion {
        name: definition.version.to_owned(),
        served: definition.served,
        storage: definition.storage,
        deprecated: definition.deprecated.then_some(true),
        deprecation_warning: definition.deprecation_warning.map(str::to_owned),
        additional_printer_columns: non_empty_list(definition.columns.iter().map(printer_column).collect()),
        selectable_fields: non_empty_list(definition.selectable.iter().map(selectable).collect()),
        schema: schema.map(|schema| CustomResourceValidation { open_api_v3_schema: Some(schema) }),
        subresources: subresources(definition),
    }
}

/// The status and scale subresources; `None` if the resource has neither.
fn subresources(definition: &Definition) -> Option<CustomResourceSubresources> {
    let scale = definition.scale.as_ref().map(|scale| CustomResourceSubresourceScale {
        spec_replicas_path: scale.spec_replicas_path.to_owned(),
        status_replicas_path: scale.status_replicas_path.to_owned(),
        label_selector_path: scale.label_selector_path.map(str::to_owned),
    });
    let status = definition.status.then(|| CustomResourceSubresourceStatus(serde_json::json!({})));
    (scale.is_some() || status.is_some()).then_some(CustomResourceSubresources { scale, status })
}

fn printer_column(column: &Column) -> CustomResourceColumnDefinition {
    CustomResourceColumnDefinition {
        name: column.name.to_owned(),
        type_: column.type_.to_owned(),
        json_path: column.json_path.to_owned(),
        description: column.description.map(str::to_owned),
        format: column.format.map(str::to_owned),
        priority: column.priority,
    }
}

/// The list with owned strings; `None` if the list is empty.
fn non_empty_strings(list: &[&str]) -> Option<Vec<String>> {
    non_empty_list(list.iter().map(|text| (*text).to_owned()).collect())
}

/// The list; `None` if the list is empty.
fn non_empty_list<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// The pairs as a map; `None` if there are no pairs.
fn non_empty_map(list: &[(&str, &str)]) -> Option<BTreeMap<String, String>> {
    (!list.is_empty())
        .then(|| list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}
