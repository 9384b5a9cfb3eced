//! Transforms that `#[derive(KubeSchema)]` adds to the schema of a type or a field.

use schemars::Schema;
use serde_json::{Value, json};

use crate::core::{MergeStrategy, Rule};

/// Adds validation rules to a schema, behind those that it has.
pub fn add_rules(rules: Vec<Rule>) -> impl FnMut(&mut Schema) {
    move |schema| {
        let all = schema.ensure_object().entry("x-kubernetes-validations").or_insert_with(|| json!([]));
        if let Value::Array(all) = all {
            all.extend(rules.iter().map(|rule| json!(rule)));
        }
    }
}

/// Sets how server-side apply merges the value of a schema.
pub fn set_merge_strategy(strategy: impl Into<MergeStrategy>) -> impl FnMut(&mut Schema) {
    let keywords = strategy.into().keywords();
    move |schema| schema.ensure_object().extend(keywords.clone())
}
