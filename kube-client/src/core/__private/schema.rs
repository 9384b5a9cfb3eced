//! The schema of a derived resource's root, and the definition that contains it.
//!
//! Must not rewrite anything: `core::schema` does.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use schemars::{JsonSchema, Schema, json_schema};
use serde_json::{Value, json};

use super::{Definition, crd};
use crate::core::{
    Rule,
    schema::{self, SchemaError, SchemaProblem},
};

/// The schema of an object: its spec's under `spec`, or with the fields beside it if `flat`.
///
/// `apiVersion`, `kind` and `metadata` are the server's business and must not be described.
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
            properties.insert("status".to_owned(), status.to_value());
        }
    }
    root
}

/// The definition with the structural schema of `K`, and where that accepts more than `K`.
pub fn crd_with_schema<K: JsonSchema>(
    definition: &Definition,
    rules: Vec<Rule>,
) -> (CustomResourceDefinition, Vec<SchemaProblem>) {
    let (mut schema, problems) = schema::generate::<K>();
    if !rules.is_empty() {
        let own = schema.x_kubernetes_validations.get_or_insert_default();
        own.extend(rules.into_iter().map(Into::into));
    }
    (crd(definition, Some(schema)), problems)
}

/// The definition, if its schema says everything.
///
/// # Errors
///
/// Lists what it could not say.
pub fn strict(
    (crd, problems): (CustomResourceDefinition, Vec<SchemaProblem>),
) -> Result<CustomResourceDefinition, SchemaError> {
    SchemaError::from_problems(problems).map(|()| crd)
}
