//! The component schemas in the OpenAPI documents of an API server, each parsed at first use.
//!
//! This module owns the parsing of `builtin/data/schemas.txt`. Each line is the name of a component, a tab, and the
//! schema in JSON; the lines are sorted by name.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock};

use serde_json::Value;

use super::Schema;

/// The component schemas, which `xtask record` recorded from an API server.
static RECORDED_SCHEMAS: &str = include_str!("../builtin/data/schemas.txt");

/// A recorded schema. [`component`] parses it at first use.
struct Component {
    source: &'static str,
    parsed: OnceLock<Arc<Schema>>,
}

/// All components by name. The first access splits the lines, but parses no schema.
static COMPONENTS: LazyLock<HashMap<&'static str, Component>> = LazyLock::new(|| {
    let split = |line: &'static str| {
        let (name, source) = line.split_once('\t')?;
        Some((name, Component { source, parsed: OnceLock::new() }))
    };
    RECORDED_SCHEMAS.lines().filter_map(split).collect()
});

/// The schema of one component, such as `io.k8s.api.core.v1.PodSpec`.
pub(crate) fn component(name: &str) -> Option<Arc<Schema>> {
    let (name, found) = COMPONENTS.get_key_value(name)?;
    let parsed = found.parsed.get_or_init(|| Schema::of_component(name, &parse_json(found.source)));
    Some(Arc::clone(parsed))
}

/// The JSON of one component's schema, as recorded.
pub(crate) fn component_source(component: &str) -> Option<Value> {
    COMPONENTS.get(component).map(|component| parse_json(component.source))
}

/// The names of all components.
pub(crate) fn component_names() -> impl Iterator<Item = &'static str> {
    COMPONENTS.keys().copied()
}

#[expect(clippy::expect_used, reason = "the data is compiled in, and a test reads all of it")]
fn parse_json(source: &str) -> Value {
    serde_json::from_str(source).expect("the recorded schemas are the JSON that `xtask record` writes")
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, ListType};
    use super::*;

    #[test]
    fn components_have_list_types_merge_keys_and_defaults() {
        let spec = component("io.k8s.api.core.v1.PodSpec").unwrap();
        let containers = spec.property("containers").unwrap();
        assert_eq!(containers.list_type, Some(ListType::Map));
        assert_eq!(containers.list_keys(), [Box::from("name")]);
        assert_eq!(containers.merge_key.as_deref(), Some("name"));
        let port = containers.items().unwrap().property("ports").unwrap().items().unwrap();
        assert_eq!(port.property("protocol").unwrap().key_default(), Some(&Value::from("TCP")));
        let strategy = component("io.k8s.api.apps.v1.DeploymentSpec").unwrap();
        let strategy = strategy.property("strategy").unwrap();
        assert_eq!(strategy.patch_strategies().collect::<Vec<_>>(), ["retainKeys"]);
        assert_eq!(strategy.property("type").unwrap().kind(), Kind::String);
    }

    #[test]
    fn recursive_references_resolve() {
        let props =
            component("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps").unwrap();
        let not = props.property("not").unwrap();
        let nested = not.property("not").unwrap().property("not").unwrap();
        assert_eq!(nested.component(), props.component());
    }

    #[test]
    fn every_component_parses_and_every_reference_resolves() {
        fn collect_references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(map) => {
                    if let Some(Value::String(target)) = map.get("$ref") {
                        found.push(target.trim_start_matches("#/components/schemas/").to_owned());
                    }
                    map.values().for_each(|value| collect_references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| collect_references(value, found)),
                _ => {}
            }
        }
        assert!(COMPONENTS.len() > 500);
        for name in COMPONENTS.keys() {
            assert!(component(name).is_some());
            let mut found = Vec::new();
            collect_references(&component_source(name).unwrap(), &mut found);
            for target in found {
                assert!(COMPONENTS.contains_key(target.as_str()), "{name} refers to {target}");
            }
        }
    }
}
