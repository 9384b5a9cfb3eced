//! Transforms that `#[derive(KubeSchema)]` adds to the schema of a type or a field.

use schemars::Schema;
use serde_json::{Value, json};

use crate::{MergeStrategy, Rule};

/// Returns a transform that adds validation rules to a schema, after the rules that the schema already has.
pub fn add_rules(rules: Vec<Rule>) -> impl FnMut(&mut Schema) {
    move |schema| {
        let all = schema.ensure_object().entry("x-kubernetes-validations").or_insert_with(|| json!([]));
        if let Value::Array(all) = all {
            all.extend(rules.iter().map(|rule| json!(rule)));
        }
    }
}

/// Returns a transform that sets the merge strategy of a schema: how server-side apply merges values of this schema.
pub fn set_merge_strategy(strategy: impl Into<MergeStrategy>) -> impl FnMut(&mut Schema) {
    let keywords = strategy.into().keywords();
    move |schema| schema.ensure_object().extend(keywords.clone())
}
