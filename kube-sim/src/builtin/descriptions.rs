//! The descriptions of the component schemas. Only OpenAPI documents contain these descriptions.
//!
//! This module owns the parsing of `data/descriptions.txt`. The name of a component is a line of its own. Each
//! description of the component follows as a line: a tab, the JSON pointer in the schema, a tab, and the text as a
//! JSON string.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

/// The descriptions, as `cargo xtask record` writes them.
static RECORDED_DESCRIPTIONS: &str = include_str!("data/descriptions.txt");

/// The descriptions of each component, by its name: pairs of a JSON pointer and a text, which is a JSON string.
static DESCRIPTIONS: LazyLock<HashMap<&'static str, Vec<(&'static str, &'static str)>>> =
    LazyLock::new(|| {
        let mut all = HashMap::new();
        let mut component = "";
        for line in RECORDED_DESCRIPTIONS.lines() {
            let Some(entry) = line.strip_prefix('\t') else {
                component = line;
                continue;
            };
            if let Some(entry) = entry.split_once('\t') {
                all.entry(component).or_insert_with(Vec::new).push(entry);
            }
        }
        all
    });

/// Adds the descriptions to the schema of a component.
pub(super) fn add_descriptions(component: &str, schema: &mut Value) {
    for (pointer, text) in DESCRIPTIONS.get(component).into_iter().flatten() {
        if let Some(Value::Object(map)) = schema.pointer_mut(pointer) {
            map.insert("description".to_owned(), serde_json::from_str(text).unwrap_or_default());
        }
    }
}

/// The description at a JSON pointer in the schema of a component; null if there is none.
pub(super) fn description_of(component: &str, pointer: &str) -> Value {
    let mut entries = DESCRIPTIONS.get(component).into_iter().flatten();
    let found = entries.find(|(at, _)| *at == pointer);
    found.and_then(|(_, text)| serde_json::from_str(text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::component_source;

    #[test]
    fn every_description_belongs_to_a_schema() {
        assert!(DESCRIPTIONS.len() > 500);
        for (component, entries) in &*DESCRIPTIONS {
            let schema = component_source(component).unwrap();
            for (pointer, text) in entries {
                assert!(schema.pointer(pointer).is_some(), "{component}{pointer}");
                assert!(serde_json::from_str::<String>(text).is_ok(), "{component}{pointer}");
            }
        }
    }

    #[test]
    fn descriptions_are_added_to_nested_schemas() {
        let name = "io.k8s.api.core.v1.PodSpec";
        let mut schema = component_source(name).unwrap();
        add_descriptions(name, &mut schema);
        assert!(schema["description"].as_str().unwrap().starts_with("PodSpec"));
        let text = schema["properties"]["containers"]["description"].as_str().unwrap();
        assert!(text.contains("containers belonging to the pod"), "{text}");
        assert_eq!(description_of(name, "/properties/containers"), text);
    }
}
