//! Converts JSON schemas of schemars into structural schemas of Kubernetes.
//!
//! A structural schema gives each value exactly one type, outside of any `oneOf`, `anyOf`, `allOf` and `not`. Rust
//! types are more expressive, in particular enums. [`StructuralSchemaRewriter`] converts them as follows, and reports
//! the conversions marked "(reported)" as [`SchemaProblem`]s:
//!
//! | Rust | structural schema |
//! |---|---|
//! | `Option<T>` | `T`, `nullable` |
//! | enum of unit variants | `string` with `enum`; doc comments of variants become part of the description |
//! | enum, externally tagged | object with a property for each variant; `oneOf` requires exactly one property |
//! | enum, internally or adjacently tagged | object with the properties of all variants; value validations in `oneOf` |
//! | enum, untagged, all variants objects | object with the properties of all variants; value validations in `anyOf` |
//! | enum, untagged, of an integer and a string | `x-kubernetes-int-or-string` |
//! | enum whose variants have different JSON types, except the cases above | any value (reported) |
//! | `serde_json::Value` | any value, null included (`x-kubernetes-preserve-unknown-fields`, `nullable`) |
//! | `RawExtension` | object with any fields (controller-gen generates a schema for which the server prunes all fields) |
//! | `HashMap<String, T>`, `HashMap<u32, T>` | object with `additionalProperties` |
//! | `#[serde(flatten)]` of a struct, an enum, or an `Option` of either | the properties of the flattened type |
//! | `#[serde(flatten)]` of a map | `x-kubernetes-preserve-unknown-fields` (reported if the map's values have a type) |
//! | `HashSet<T>` | array with `x-kubernetes-list-type: set` for scalar items (other item types are reported) |
//! | `PodSpec` and other built-in types | the type's fields, with its merge strategies, as controller-gen generates them |
//! | `(A, B)` | array of two items; items of different types are any value (reported) |
//! | recursive type | two levels of recursion, then any value (reported) |
//!
//! Limits that the fallible functions of this module do not report:
//!
//! - The API server stores signed integers, so it rejects a `u64` above `i64::MAX` with 422.
//! - schemars generates the same schema for an internally tagged variant `Other(serde_json::Value)` as for a variant
//!   without content. The server therefore prunes the fields of the value. `CustomResourceExt::try_crd` reports such a
//!   variant. Use `Other(BTreeMap<String, Value>)` instead.
//! - The server rejects a value of `format: duration` with years, months or weeks. A `jiff::Span` may have these units.
//!
//! Validations of schemars (`range`, `length`, `pattern`) are kept. Add keywords of Kubernetes with
//! `#[schemars(extend("x-kubernetes-validations" = [{"rule": "self > 0"}]))]`.
//!
//! [`StructuralSchemaRewriter`] always succeeds. Some subschemas cannot be expressed as a structural schema; the rewriter
//! replaces each of them with a less strict schema, usually one that accepts any value.
//! [`try_transform`](StructuralSchemaRewriter::try_transform) also reports these subschemas.
//!
//! This module must not depend on `CustomResourceDefinition` or on the derive macro.

mod builtin_strategies;
mod composition;
mod defaults;
mod error;
mod intersect;
mod keywords;
mod nullable;
mod refused_keywords;
mod rewrite;
mod union;
mod validation_rules;
mod value_validations;
mod variants;

#[cfg(test)]
mod tests;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, transform::Transform};
use serde_json::{Map, Value};

pub use self::error::{SchemaError, SchemaProblem};
pub(crate) use self::validation_rules::report_refused_keywords;

/// A JSON object: a schema, or the map of properties in a schema. In this module, a node is a schema or one
/// of its subschemas.
type JsonObject = Map<String, Value>;

/// Rewrites a schema into a structural schema. Replaces each subschema that cannot be expressed as a structural schema:
/// the replacement is less strict, and usually accepts any value.
///
/// Supports the schemas that schemars generates with any settings, with or without inlined subschemas.
///
/// ```
/// use kube_core::schema::StructuralSchemaRewriter;
/// use schemars::{JsonSchema, generate::SchemaSettings};
///
/// #[derive(JsonSchema)]
/// struct Spec {
///     replicas: Option<u32>,
/// }
///
/// let settings = SchemaSettings::openapi3().with_transform(StructuralSchemaRewriter);
/// let schema = settings.into_generator().into_root_schema_for::<Spec>();
/// assert_eq!(schema.as_value()["properties"]["replicas"]["nullable"], true);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct StructuralSchemaRewriter;

impl StructuralSchemaRewriter {
    /// Rewrites a schema, and reports each subschema that accepts more values than before.
    ///
    /// # Errors
    ///
    /// The error lists each subschema that cannot be expressed as a structural schema. `schema` is rewritten even if
    /// this method returns an error.
    pub fn try_transform(self, schema: &mut Schema) -> Result<(), SchemaError> {
        SchemaError::result_from_problems(rewrite::rewrite_schema(schema))
    }
}

impl Transform for StructuralSchemaRewriter {
    fn transform(&mut self, schema: &mut Schema) {
        rewrite::rewrite_schema(schema);
    }
}

/// The structural schema of `T`. For a part of `T` that cannot be expressed as a structural schema, the schema is less
/// strict, and usually accepts any value.
pub fn schema_for<T: JsonSchema>() -> JSONSchemaProps {
    generate_schema::<T>().0
}

/// The structural schema of `T`.
///
/// # Errors
///
/// The error lists each part of `T` that cannot be expressed as a structural schema, with cause and advice.
pub fn try_schema_for<T: JsonSchema>() -> Result<JSONSchemaProps, SchemaError> {
    let (schema, problems) = generate_schema::<T>();
    SchemaError::result_from_problems(problems).map(|()| schema)
}

/// Returns the structural schema of `T`, and the problems that [`structural_schema`] found.
fn generate_schema<T: JsonSchema>() -> (JSONSchemaProps, Vec<SchemaProblem>) {
    structural_schema(json_schema_generator().into_root_schema_for::<T>())
}

/// Converts `schema`, the root schema of a type. Returns the structural schema, and a problem for each subschema that is
/// less strict than the type.
pub(crate) fn structural_schema(mut schema: Schema) -> (JSONSchemaProps, Vec<SchemaProblem>) {
    if let Some(Value::Object(definitions)) = schema.get_mut("$defs") {
        preserve_arbitrary_json(definitions);
        builtin_strategies::add_builtin_strategies(definitions);
    }
    let mut problems = rewrite::rewrite_schema(&mut schema);
    match serde_json::from_value(schema.to_value()) {
        Ok(schema) => (schema, problems),
        Err(error) => {
            let what = format!("a keyword of a schema attribute or impl does not decode: {error}");
            problems.push(SchemaProblem::new("", what, "correct the keyword"));
            let any = JSONSchemaProps {
                type_: Some("object".to_owned()),
                x_kubernetes_preserve_unknown_fields: Some(true),
                ..JSONSchemaProps::default()
            };
            (any, problems)
        }
    }
}

/// Sets `x-kubernetes-preserve-unknown-fields` for the Kubernetes types whose content is arbitrary JSON. k8s-openapi
/// describes these types as objects without fields, and the API server prunes the content of such objects.
fn preserve_arbitrary_json(definitions: &mut JsonObject) {
    const ARBITRARY_JSON_TYPES: [&str; 2] =
        ["io.k8s.apimachinery.pkg.runtime.RawExtension", "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1"];
    for name in ARBITRARY_JSON_TYPES {
        if let Some(Value::Object(raw)) = definitions.get_mut(name) {
            raw.insert("x-kubernetes-preserve-unknown-fields".to_owned(), Value::Bool(true));
        }
    }
}

/// A generator of JSON schemas with the settings for which [`StructuralSchemaRewriter`] loses the least information.
pub(crate) fn json_schema_generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        // With inlined subschemas, an `Option<T>` would not be nullable if the schema of `T` has no `type`: for example,
        // if `T` is `IntOrString` or `Quantity`.
        settings.inline_subschemas = false;
        settings.meta_schema = None;
    });
    settings.into_generator()
}
