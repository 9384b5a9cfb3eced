//! The root schema of a kind with `#[derive(CustomResource)]`, and its `CustomResourceDefinition`.
//!
//! This module checks the root schema as a whole: the selectable fields, the validation rules, and the keywords that
//! the API server rejects. It must not rewrite the schemas of types: `core::schema` rewrites them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrBool,
};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::borrow::Cow;

use super::{COMMON_FIELDS, Definition, GeneratedCrd, crd, pruned_fields};
use crate::{
    Rule,
    schema::{self, SchemaError, SchemaProblem},
};

/// The schema of the whole object. If `flat`, the fields of the spec are at the root; otherwise the spec is the
/// property `spec`.
///
/// Omits `apiVersion`, `kind` and `metadata`, which the server validates.
pub fn root_schema(description: &str, spec: Schema, flat: bool, status: Option<Schema>) -> Schema {
    let mut root = if flat {
        spec
    } else {
        json_schema!({ "type": "object", "properties": { "spec": spec }, "required": ["spec"] })
    };
    root.insert("description".to_owned(), json!(description));
    if let Some(status) = status {
        let properties = root.ensure_object().entry("properties").or_insert_with(|| json!({}));
        if let Value::Object(properties) = properties {
            properties.insert("status".to_owned(), nullable_schema(status));
        }
    }
    root
}

/// A schema that accepts the values of `schema` and null.
fn nullable_schema(schema: Schema) -> Value {
    match schema.to_value() {
        Value::Bool(true) => Value::Bool(true),
        schema => json!({ "anyOf": [schema, { "type": "null" }] }),
    }
}

/// A pointer to the function `JsonSchema::json_schema` of a type. [`crd_with_schema`] takes this pointer and
/// is not generic, because the compiler would generate more code for each kind from a generic function.
type SchemaFunction = fn(&mut SchemaGenerator) -> Schema;

/// Calls `generate`, and adds `$defs` to the schema: the schemas of the types that the schema refers to. Then applies the
/// transforms of the generator to the schema.
fn schema_with_definitions(generate: SchemaFunction) -> Schema {
    let mut generator = schema::json_schema_generator();
    let mut schema = generate(&mut generator);
    let definitions = generator.take_definitions(false);
    schema.ensure_object().insert("$defs".to_owned(), Value::Object(definitions));
    for transform in generator.transforms_mut() {
        transform.transform(&mut schema);
    }
    schema
}

/// Builds the `CustomResourceDefinition` of a kind from the structural schema and `rules`, the validation rules of the
/// whole object. Also returns the problems of the schema. The function is not generic, so that it is compiled once for
/// all kinds.
pub fn crd_with_schema(
    definition: &Definition,
    rules: Vec<Rule>,
    title: Cow<'static, str>,
    generate: SchemaFunction,
) -> GeneratedCrd {
    let mut schema = schema_with_definitions(generate);
    schema.ensure_object().entry("title").or_insert_with(|| title.into());
    let (mut schema, mut problems) = schema::structural_schema(schema);
    replace_root_additional_properties(&mut schema, &mut problems);
    report_invalid_selectable_fields(definition, &schema, &mut problems);
    if !rules.is_empty() {
        let own = schema.x_kubernetes_validations.get_or_insert_default();
        own.extend(rules.into_iter().map(Into::into));
    }
    schema::report_refused_keywords(&schema, &mut problems);
    GeneratedCrd { crd: crd(definition, Some(schema)), problems }
}

/// Like [`crd_with_schema`], for a kind with `#[kube(no_spec)]`. The objects of this kind have the fields of the spec at
/// the top level, next to `metadata`, instead of in a field `spec`. Also reports each field of the spec whose name is in
/// `COMMON_FIELDS`.
pub fn crd_with_flat_schema(
    definition: &Definition,
    rules: Vec<Rule>,
    title: Cow<'static, str>,
    generate: SchemaFunction,
    generate_spec: SchemaFunction,
) -> GeneratedCrd {
    let mut generated = crd_with_schema(definition, rules, title, generate);
    let (spec, _) = schema::structural_schema(schema_with_definitions(generate_spec));
    for name in spec.properties.iter().flatten().map(|(name, _)| name) {
        if COMMON_FIELDS.contains(&name.as_str()) {
            generated.problems.push(SchemaProblem::new(
                format!(".{name}"),
                "every object has a field of this name, so the object would have duplicate keys",
                "rename the field of the flattened struct, or remove `no_spec`",
            ));
        }
    }
    generated
}

/// Replaces `additionalProperties` of the root schema by `x-kubernetes-preserve-unknown-fields`, because the
/// server rejects a `CustomResourceDefinition` whose root schema has `additionalProperties`. Reports a
/// problem if `additionalProperties` restricted the values.
fn replace_root_additional_properties(schema: &mut JSONSchemaProps, problems: &mut Vec<SchemaProblem>) {
    let Some(values) = schema.additional_properties.take() else { return };
    schema.x_kubernetes_preserve_unknown_fields = Some(true);
    let any = match values {
        JSONSchemaPropsOrBool::Bool(any) => any,
        JSONSchemaPropsOrBool::Schema(values) => {
            values.type_.is_none() && values.x_kubernetes_preserve_unknown_fields == Some(true)
        }
    };
    if !any {
        problems.push(SchemaProblem::new(
            "",
            "the values of a flattened map are not validated at the root",
            "move the map into a field, or use values of type serde_json::Value",
        ));
    }
}

/// Reports selectable fields that the server would reject: fields that are not in the schema, or are not strings,
/// integers or booleans.
fn report_invalid_selectable_fields(
    definition: &Definition,
    schema: &JSONSchemaProps,
    problems: &mut Vec<SchemaProblem>,
) {
    for path in definition.selectable {
        let field =
            path.split('.').skip(1).try_fold(schema, |node, name| node.properties.as_ref()?.get(name));
        let what = match field.map(|field| field.type_.as_deref()) {
            Some(Some("string" | "integer" | "boolean")) => continue,
            Some(Some(other)) => format!("a selectable field cannot be of type {other}"),
            Some(None) => "a selectable field must have a single type".to_owned(),
            None => "a selectable field must be in the schema".to_owned(),
        };
        problems.push(SchemaProblem::new(*path, what, "select a string, an integer or a boolean"));
    }
}

/// Returns `crd` if its schema has no problems.
///
/// # Errors
///
/// If `problems` is not empty, or if the server would prune fields that `K` preserves. The error contains all `problems`,
/// and the schema nodes at which the server would prune fields.
pub(super) fn crd_without_problems<K: Serialize + DeserializeOwned>(
    definition: &Definition,
    GeneratedCrd { crd, mut problems }: GeneratedCrd,
) -> Result<CustomResourceDefinition, SchemaError> {
    let schema = crd.spec.versions.first().and_then(|version| version.schema.as_ref());
    if let Some(schema) = schema.and_then(|schema| schema.open_api_v3_schema.as_ref()) {
        pruned_fields::report_pruned_fields::<K>(definition, schema, &mut problems);
    }
    SchemaError::result_from_problems(problems).map(|()| crd)
}
