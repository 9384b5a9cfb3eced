//! A served resource in one API version, for routing, discovery, validation and storage. Built-in and custom resources
//! have the same type.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::fields::Field;
use super::metrics::METRICS_GROUP;
use crate::builtin;
use crate::cel;
use crate::schema::Schema;
use crate::strategy::Strategy;

/// A subresource, and the group, version and kind of its request and response bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subresource {
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) verbs: Vec<String>,
}

/// The `scale` subresource of a CRD: the paths of the replica and selector fields, as lists of field names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScalePaths {
    pub(crate) replicas: Vec<String>,
    pub(crate) status_replicas: Vec<String>,
    pub(crate) selector: Option<Vec<String>>,
}

/// An entry of a CRD's `additionalPrinterColumns`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) format: String,
    pub(crate) description: String,
    pub(crate) priority: i64,
    pub(crate) json_path: String,
}

/// The properties that only custom resources have, from one version of the CustomResourceDefinition.
#[derive(Debug)]
pub(crate) struct CustomProperties {
    pub(crate) schema: Arc<Schema>,
    /// The schemas of all versions of the definition, by `apiVersion`.
    pub(crate) schemas: Arc<BTreeMap<String, Arc<Schema>>>,
    /// The compiled CEL rules of the schema, if it has any.
    pub(crate) rules: Option<Box<cel::Validator>>,
    /// The unmodified `openAPIV3Schema`, for the OpenAPI documents.
    pub(crate) open_api: Option<Value>,
    /// The `spec.conversion.webhook` of the definition, if the conversion strategy is `Webhook`.
    pub(crate) webhook: Option<Box<Value>>,
    /// The `apiVersion` in which the server stores objects. Objects that were stored earlier can have another `apiVersion`.
    pub(crate) storage_version: Arc<str>,
    /// Whether the status subresource is enabled.
    pub(crate) status: bool,
    pub(crate) scale: Option<ScalePaths>,
    pub(crate) columns: Vec<Column>,
    /// The warning in responses for a deprecated version.
    pub(crate) deprecation: Option<String>,
    /// Whether the condition `Terminating` of the definition is true.
    pub(crate) is_terminating: bool,
    /// A marker that is compared by pointer: it stays the same as long as the spec and the accepted names of the
    /// definition do not change.
    pub(crate) revision: Arc<()>,
}

/// The source of the definition of a resource: [`builtin`], or a `CustomResourceDefinition`.
#[derive(Debug)]
pub(crate) enum Origin {
    BuiltIn(&'static builtin::Resource),
    Custom(Box<CustomProperties>),
}

/// The conversion of objects between the served version and the storage version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conversion {
    /// The server itself does not convert the objects. Either the versions differ at most in `apiVersion`, or
    /// a conversion webhook converts the objects.
    None,
    /// From the storage version of a custom resource to another version: the server prunes the fields that the other
    /// version does not have.
    Pruning,
    /// From `events.k8s.io/v1` to the storage version, core `v1`, and back.
    Events,
    /// From `autoscaling/v1` to the storage version, `autoscaling/v2`, and back.
    Autoscaler,
}

/// A served resource in one API version.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) namespaced: bool,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) verbs: Vec<String>,
    pub(crate) subresources: Vec<Subresource>,
    /// The name of the table that contains the objects. All versions of a resource have the same table.
    pub(crate) storage: Arc<str>,
    /// All API versions in which the kind is served.
    pub(crate) served: Vec<String>,
    pub(crate) conversion: Conversion,
    /// The fields that field selectors support besides `metadata.name` and `metadata.namespace`.
    pub(crate) fields: Vec<Field>,
    pub(crate) origin: Origin,
    pub(crate) strategy: &'static Strategy,
}

/// The Go package of the types of a built-in group, as messages of the API server print it.
pub(crate) fn go_package(group: &str) -> &str {
    match group {
        "" | "events.k8s.io" => "core",
        group => group.split('.').next().unwrap_or(group),
    }
}

impl Resource {
    pub(crate) fn of_builtin(source: &'static builtin::Resource) -> Self {
        let to_strings = |list: &Vec<&'static str>| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let storage_version = source.storage_api_version();
        let storage_group = storage_version.rsplit_once('/').map_or("", |(group, _)| group);
        let served = builtin::resources()
            .iter()
            .filter(|r| r.plural == source.plural && r.storage_api_version() == storage_version)
            .map(builtin::Resource::api_version)
            .collect();
        let conversion = match (source.group, source.version, source.plural) {
            ("events.k8s.io", _, "events") => Conversion::Events,
            ("autoscaling", "v1", "horizontalpodautoscalers") => Conversion::Autoscaler,
            _ => Conversion::None,
        };
        let strategy = Strategy::of(source.group, source.version, source.kind).unwrap_or(&Strategy::DEFAULT);
        Self {
            group: source.group.to_owned(),
            version: source.version.to_owned(),
            api_version: source.api_version(),
            kind: source.kind.to_owned(),
            list_kind: source.list_kind.to_owned(),
            plural: source.plural.to_owned(),
            singular: source.singular.to_owned(),
            namespaced: matches!(source.scope(), builtin::Scope::Namespaced),
            short_names: to_strings(&source.short_names),
            categories: to_strings(&source.categories),
            verbs: to_strings(&source.verbs),
            subresources: source
                .subresources
                .iter()
                .map(|s| Subresource {
                    name: s.name.to_owned(),
                    group: s.group.to_owned(),
                    version: s.version.to_owned(),
                    kind: s.kind.to_owned(),
                    verbs: to_strings(&s.verbs),
                })
                .collect(),
            storage: Arc::from(format!("{}/{}", storage_group, source.plural)),
            served,
            conversion,
            fields: strategy.selectable_fields.iter().map(Field::new).collect(),
            origin: Origin::BuiltIn(source),
            strategy,
        }
    }

    pub(crate) fn custom_properties(&self) -> Option<&CustomProperties> {
        match &self.origin {
            Origin::Custom(custom) => Some(custom),
            Origin::BuiltIn(_) => None,
        }
    }

    pub(crate) fn builtin_resource(&self) -> Option<&'static builtin::Resource> {
        match &self.origin {
            Origin::BuiltIn(source) => Some(source),
            Origin::Custom(_) => None,
        }
    }

    /// The text of the `Warning` header of every response, if the version of the resource is deprecated.
    pub(crate) fn deprecation_warning(&self) -> Option<&str> {
        match (&self.origin, self.api_version.as_str(), self.plural.as_str()) {
            (Origin::Custom(custom), ..) => custom.deprecation.as_deref(),
            (_, "v1", "endpoints") => {
                Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
            }
            (_, "v1", "componentstatuses") => Some("v1 ComponentStatus is deprecated in v1.19+"),
            _ => None,
        }
    }

    /// The Go type of a list of objects if `is_list` is true. Otherwise, the Go type of one object.
    pub(crate) fn go_type(&self, is_list: bool) -> String {
        let kind = match (self.custom_properties(), is_list) {
            (Some(_), true) => "UnstructuredList",
            (Some(_), false) => "Unstructured",
            (None, true) => &self.list_kind,
            (None, false) => &self.kind,
        };
        let package =
            if self.custom_properties().is_some() { "unstructured" } else { go_package(&self.group) };
        format!("*{package}.{kind}")
    }

    pub(crate) fn schema(&self) -> Arc<Schema> {
        match &self.origin {
            Origin::BuiltIn(source) => source.schema().unwrap_or_else(Schema::permissive),
            Origin::Custom(custom) => custom.schema.clone(),
        }
    }

    pub(crate) fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }

    /// The values of the selectable fields in an object, in the order of [`Self::fields`].
    pub(crate) fn field_values(&self, object: &Value) -> Arc<[Box<str>]> {
        self.fields.iter().map(|field| field.value_in(object).into_boxed_str()).collect()
    }

    /// Whether the resource has a status subresource. If so, writes to the main resource do not change `status`.
    pub(crate) fn has_status(&self) -> bool {
        self.subresource("status").is_some()
    }

    /// Whether the update from `old` to `new` increments `metadata.generation`. The update must change a field outside
    /// `metadata`, or a metadata field in the strategy's `generation_metadata`. Changes of `status` do not count if the
    /// resource has a status subresource.
    pub(crate) fn increments_generation(&self, old: &Value, new: &Value) -> bool {
        let ignored = |key: &str| {
            matches!(key, "metadata" | "apiVersion" | "kind") || (key == "status" && self.has_status())
        };
        let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return false };
        let differs = |a: &serde_json::Map<String, Value>, b: &serde_json::Map<String, Value>| {
            a.iter().any(|(key, value)| !ignored(key) && b.get(key) != Some(value))
        };
        let metadata = |object: &serde_json::Map<String, Value>, field: &str| {
            object.get("metadata").and_then(|metadata| metadata.get(field)).cloned()
        };
        let fields = self.strategy.generation_metadata;
        differs(old, new)
            || differs(new, old)
            || fields.iter().any(|field| metadata(old, field) != metadata(new, field))
    }

    /// Returns the `apiVersion` to store with an object, or `None` for a built-in kind. All objects of the storage version
    /// share one allocated string.
    pub(crate) fn stored_version(&self, api_version: &str) -> Option<Arc<str>> {
        let custom = self.custom_properties()?;
        if *custom.storage_version == *api_version {
            return Some(custom.storage_version.clone());
        }
        Some(Arc::from(api_version))
    }

    /// The verbs in discovery documents. If the CustomResourceDefinition is terminating, these verbs do not include
    /// `create`, `patch` and `update`, although the server still accepts patches and updates.
    pub(crate) fn discovered_verbs(&self) -> Vec<&str> {
        let is_terminating = self.custom_properties().is_some_and(|custom| custom.is_terminating);
        let is_hidden = |verb: &str| is_terminating && matches!(verb, "create" | "patch" | "update");
        self.verbs.iter().map(String::as_str).filter(|verb| !is_hidden(verb)).collect()
    }

    /// Whether the resource supports the verb, such as `list` or `deletecollection`.
    pub(crate) fn has_verb(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }

    /// Whether the server stores objects of this kind. For example, the server does not store reviews and token
    /// requests.
    pub(crate) fn is_stored(&self) -> bool {
        self.has_verb("list") && self.plural != "componentstatuses" && self.group != METRICS_GROUP
    }
}
