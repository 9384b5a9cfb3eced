//! From the JSON schemas that schemars derives to the structural schemas that Kubernetes wants.
//!
//! A structural schema gives each value exactly one type, outside of any `oneOf`, `anyOf`, `allOf` and `not`. Rust
//! types say more than that, enums above all. The rewriter says as much of it as a structural schema can:
//!
//! | Rust | structural schema |
//! |---|---|
//! | `Option<T>` | `T`, `nullable` |
//! | enum of unit variants, also with a doc comment each | `string` with `enum`; the comments go into the description |
//! | enum, externally tagged | object with a property for each variant, of which `oneOf` is required |
//! | enum, internally or adjacently tagged | object with the properties of all variants; `oneOf` says which go with which tag |
//! | enum, untagged, all variants objects | object with the properties of all variants, `anyOf` what each one needs |
//! | enum, untagged, of an integer and a string | `x-kubernetes-int-or-string` |
//! | enum whose variants have different types otherwise | any value (reported) |
//! | `serde_json::Value` | any value, null included (`x-kubernetes-preserve-unknown-fields`, `nullable`) |
//! | `RawExtension` | object with any fields (controller-gen writes one without, whose content is pruned) |
//! | `HashMap<String, T>`, `HashMap<u32, T>` | object with `additionalProperties` |
//! | `#[serde(flatten)]` of a struct, an enum, or an `Option` of one | its properties |
//! | `#[serde(flatten)]` of a map | `x-kubernetes-preserve-unknown-fields` (reported if its values have a type) |
//! | `HashSet<T>` | array with `x-kubernetes-list-type: set` for scalar items (others reported) |
//! | `(A, B)` | array of two items; items of different types are any value (reported) |
//! | a type that contains itself | any value where it does (reported) |
//!
//! Limits that the fallible functions of this module do not report:
//!
//! - Integers in etcd are signed: the server refuses a value of a `u64` above `i64::MAX` with 422.
//! - schemars describes an internally tagged variant `Other(serde_json::Value)` like one without content, so that its fields
//!   are pruned. `CustomResourceExt::try_crd` reports it; `Other(BTreeMap<String, Value>)` keeps them.
//! - The server refuses `format: duration` with years, months or weeks in it, which a `jiff::Span` may have.
//!
//! Validations that schemars puts into a schema (`range`, `length`, `pattern`) stay; those that need Kubernetes'
//! own keywords can be added with `#[schemars(extend("x-kubernetes-validations" = [{"rule": "self > 0"}]))]`.
//! Two things can be had of it: [`StructuralSchemaRewriter`] rewrites everything and accepts any value where it must,
//! and its [`try_transform`](StructuralSchemaRewriter::try_transform) reports such places.
//!
//! This module must not know `CustomResourceDefinition`s, nor how kinds are derived.

mod combine;
mod defaults;
mod error;
mod exclusive;
mod intersect;
mod keywords;
mod nullable;
mod rewrite;
mod rules;
mod strip;
mod union;

#[cfg(test)]
mod tests;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, transform::Transform};
use serde_json::{Map, Value};

pub use self::error::{SchemaError, SchemaProblem};
pub(crate) use self::rules::check as check_rules;

/// A schema as JSON.
type Object = Map<String, Value>;

/// Rewrites a schema so that Kubernetes accepts it, accepting any value where there is no structural schema.
///
/// Works on the output of any of schemars' settings, with or without inlined subschemas.
///
/// ```
/// use kube_client::core::schema::StructuralSchemaRewriter;
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
    /// Rewrites a schema, and reports where it now accepts more than it did.
    ///
    /// # Errors
    ///
    /// Lists each place whose type has no structural schema. `schema` is rewritten all the same.
    pub fn try_transform(self, schema: &mut Schema) -> Result<(), SchemaError> {
        SchemaError::from_problems(rewrite::rewrite(schema))
    }
}

impl Transform for StructuralSchemaRewriter {
    fn transform(&mut self, schema: &mut Schema) {
        rewrite::rewrite(schema);
    }
}

/// The structural schema of a type, accepting any value where there is none.
pub fn schema_for<T: JsonSchema>() -> JSONSchemaProps {
    generate::<T>().0
}

/// The structural schema of a type.
///
/// # Errors
///
/// Lists each place whose type has no structural schema, why, and what to do.
pub fn try_schema_for<T: JsonSchema>() -> Result<JSONSchemaProps, SchemaError> {
    let (schema, problems) = generate::<T>();
    SchemaError::from_problems(problems).map(|()| schema)
}

/// The structural schema of a type, and where it accepts more than the type.
pub(crate) fn generate<T: JsonSchema>() -> (JSONSchemaProps, Vec<SchemaProblem>) {
    let mut schema = generator().into_root_schema_for::<T>();
    keep_raw_fields(&mut schema);
    let mut problems = rewrite::rewrite(&mut schema);
    match serde_json::from_value(schema.to_value()) {
        Ok(schema) => (schema, problems),
        Err(error) => {
            let what = format!("a hand-written keyword does not decode: {error}");
            problems.push(SchemaProblem::new("", what, "correct it in the schema attribute or impl"));
            let any = JSONSchemaProps {
                type_: Some("object".to_owned()),
                x_kubernetes_preserve_unknown_fields: Some(true),
                ..JSONSchemaProps::default()
            };
            (any, problems)
        }
    }
}

/// Keeps the content of the types of Kubernetes that contain JSON of any kind: k8s-openapi calls them objects without
/// fields, and the API server would prune what is in them.
fn keep_raw_fields(schema: &mut Schema) {
    const RAW: [&str; 2] =
        ["io.k8s.apimachinery.pkg.runtime.RawExtension", "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1"];
    let Some(Value::Object(definitions)) = schema.get_mut("$defs") else { return };
    for name in RAW {
        if let Some(Value::Object(raw)) = definitions.get_mut(name) {
            raw.insert("x-kubernetes-preserve-unknown-fields".to_owned(), Value::Bool(true));
        }
    }
}

fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        // Inlined, an `Option` of a schema without a `type` (`IntOrString`, `Quantity`) would lose its null.
        settings.inline_subschemas = false;
        settings.meta_schema = None;
    });
    settings.into_generator()
}
