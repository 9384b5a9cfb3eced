//! Adds the merge strategies of server-side apply to the schemas of built-in types, such as a `PodSpec` in the spec of a
//! custom resource. k8s-openapi generates schemas without merge strategies. controller-gen adds the same strategies.
//!
//! `add_builtin_strategies` must run before the rewriter, because the rewriter replaces each `$ref` with its target.

use serde_json::{Value, json};

use super::JsonObject;

/// The strategies of each built-in type. The first lines of the file describe the format.
const STRATEGIES: &str = include_str!("builtin_strategies.txt");

/// Adds the strategies to the definitions (`$defs`) of built-in types.
pub(super) fn add_builtin_strategies(definitions: &mut JsonObject) {
    for block in STRATEGIES.split("\n=").skip(1) {
        let mut lines = block.lines();
        let Some(name) = lines.next().filter(|name| definitions.contains_key(*name)) else { continue };
        for line in lines {
            add_strategy(definitions, name, line);
        }
    }
}

/// Adds the strategy in `line` to the definition `name`. Does nothing for a field that this version of the type does
/// not have, or for a list type `map` whose keys the API server would reject.
fn add_strategy(definitions: &mut JsonObject, name: &str, line: &str) {
    let mut words = line.split(' ');
    let (first, strategy) = (words.next().unwrap_or_default(), words.next());
    let Some(strategy) = strategy else {
        // The line is the strategy of the whole type.
        if let Some(Value::Object(definition)) = definitions.get_mut(name) {
            definition.insert("x-kubernetes-map-type".to_owned(), json!(first));
        }
        return;
    };
    let keys: Vec<(&str, Option<&str>)> = words
        .map(|key| key.split_once('=').map_or((key, None), |(key, default)| (key, Some(default))))
        .collect();
    if strategy == "map" && !set_key_defaults(definitions, name, first, &keys) {
        return;
    }
    let field = definitions.get_mut(name).and_then(|definition| definition.get_mut("properties"));
    let Some(Value::Object(field)) = field.and_then(|properties| properties.get_mut(first)) else { return };
    let keyword = if strategy == "atomic" { "x-kubernetes-map-type" } else { "x-kubernetes-list-type" };
    field.insert(keyword.to_owned(), json!(strategy));
    if !keys.is_empty() {
        let keys: Vec<&str> = keys.iter().map(|(key, _)| *key).collect();
        field.insert("x-kubernetes-list-map-keys".to_owned(), json!(keys));
    }
}

/// Sets the defaults of the key fields in the item schema of the list `field`. Returns whether the list can have the type
/// `map`: the item schema exists, and each key field exists and is required or has a default.
fn set_key_defaults(
    definitions: &mut JsonObject,
    name: &str,
    field: &str,
    keys: &[(&str, Option<&str>)],
) -> bool {
    let reference = definitions.get(name).and_then(|definition| {
        definition
            .get("properties")?
            .get(field)?
            .get("items")?
            .get("$ref")?
            .as_str()?
            .strip_prefix("#/$defs/")
    });
    let Some(reference) = reference.map(str::to_owned) else { return false };
    let Some(Value::Object(item)) = definitions.get_mut(&reference) else { return false };
    let required = item.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    keys.iter().all(|(key, default)| {
        let property = item.get_mut("properties").and_then(|properties| properties.get_mut(*key));
        let Some(Value::Object(property)) = property else { return false };
        if required.iter().any(|name| name == key) || property.contains_key("default") {
            return true;
        }
        let Some(default) = default else { return false };
        property.insert("default".to_owned(), json!(default));
        true
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_the_file_has_a_known_strategy() {
        let mut types = 0;
        for block in STRATEGIES.split("\n=").skip(1) {
            types += 1;
            for line in block.lines().skip(1) {
                let words: Vec<_> = line.split(' ').collect();
                assert!(
                    matches!(words[..], ["atomic"] | [_, "atomic" | "set"] | [_, "map", _, ..]),
                    "{line:?}"
                );
            }
        }
        assert!(types > 70, "{types}");
    }

    #[test]
    fn the_list_type_is_map_only_if_each_key_is_required_or_has_a_default() {
        let items = |required: Value| {
            let mut definitions = json!({
                "io.k8s.api.core.v1.Container": {"properties": {
                    "ports": {"type": "array", "items": {"$ref": "#/$defs/Port"}},
                    "env": {"type": "array", "items": {"$ref": "#/$defs/Missing"}},
                }},
                "io.k8s.api.core.v1.SecretKeySelector": {"type": "object"},
                "Port": {"properties": {"containerPort": {"type": "integer"}, "protocol": {"type": "string"}}, "required": required},
            });
            add_builtin_strategies(definitions.as_object_mut().unwrap());
            definitions
        };
        let definitions = items(json!(["containerPort"]));
        let fields = &definitions["io.k8s.api.core.v1.Container"]["properties"];
        assert_eq!(fields["ports"]["x-kubernetes-list-type"], "map");
        assert_eq!(fields["ports"]["x-kubernetes-list-map-keys"], json!(["containerPort", "protocol"]));
        assert_eq!(definitions["Port"]["properties"]["protocol"]["default"], "TCP");
        assert_eq!(fields["env"], json!({"type": "array", "items": {"$ref": "#/$defs/Missing"}}));
        assert_eq!(definitions["io.k8s.api.core.v1.SecretKeySelector"]["x-kubernetes-map-type"], "atomic");
        let without_key = items(json!([]));
        let ports = &without_key["io.k8s.api.core.v1.Container"]["properties"]["ports"];
        assert!(ports.get("x-kubernetes-list-type").is_none());
    }
}
