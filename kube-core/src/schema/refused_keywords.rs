//! Finds merge strategies, embedded resources and patterns that the API server refuses in a `CustomResourceDefinition`.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray,
};

/// The problems of a node, without the problems of its child nodes.
pub(super) fn problems_of_node(node: &JSONSchemaProps) -> Vec<String> {
    let mut problems = Vec::new();
    match node.x_kubernetes_list_type.as_deref() {
        Some(_) if node.type_.as_deref() != Some("array") => {
            problems.push("only a list has a list type".to_owned());
        }
        Some("map") => check_list_of_type_map(node, &mut problems),
        Some("set") => check_list_of_type_set(node, &mut problems),
        Some("atomic") | None => {}
        Some(other) => problems.push(format!("{other:?} is no list type: use `atomic`, `set` or `map`")),
    }
    let has_keys = node.x_kubernetes_list_map_keys.as_ref().is_some_and(|keys| !keys.is_empty());
    if has_keys && node.x_kubernetes_list_type.as_deref() != Some("map") {
        problems.push("only a list of the type `map` has keys".to_owned());
    }
    match node.x_kubernetes_map_type.as_deref() {
        Some(_) if node.type_.as_deref() != Some("object") => {
            problems.push("only a map or an object has a map type".to_owned());
        }
        Some("atomic" | "granular") | None => {}
        Some(other) => problems.push(format!("{other:?} is no map type: use `atomic` or `granular`")),
    }
    if node.x_kubernetes_embedded_resource == Some(true)
        && node.x_kubernetes_preserve_unknown_fields != Some(true)
        && node.properties.as_ref().is_none_or(BTreeMap::is_empty)
    {
        problems
            .push("an embedded resource needs fields, or `x-kubernetes-preserve-unknown-fields`".to_owned());
    }
    if let Some(pattern) = node.pattern.as_deref().filter(|pattern| has_lookaround_or_backreference(pattern))
    {
        problems.push(format!(
            "the pattern {pattern:?} has a lookaround or a backreference, which the API server does not support"
        ));
    }
    problems
}

fn items_of(node: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match &node.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => Some(items),
        _ => None,
    }
}

/// Checks a list of the type `map`, whose items are identified by keys.
fn check_list_of_type_map(node: &JSONSchemaProps, problems: &mut Vec<String>) {
    let keys = node.x_kubernetes_list_map_keys.as_deref().unwrap_or_default();
    if keys.is_empty() {
        problems.push("a list of the type `map` needs keys".to_owned());
    }
    let Some(items) = items_of(node).filter(|items| items.type_.as_deref() == Some("object")) else {
        problems.push("the items of a list of the type `map` must be objects".to_owned());
        return;
    };
    if items.nullable == Some(true) {
        problems.push("the items of a list of the type `map` cannot be null".to_owned());
    }
    for (index, key) in keys.iter().enumerate() {
        if keys[..index].contains(key) {
            problems.push(format!("the key {key:?} of the list is given twice"));
        }
        let Some(property) = items.properties.as_ref().and_then(|properties| properties.get(key)) else {
            problems.push(format!("the items of the list have no field {key:?}: use its name in JSON"));
            continue;
        };
        if matches!(property.type_.as_deref(), Some("object" | "array")) {
            problems.push(format!("the key {key:?} of the list must be a scalar"));
        }
        if property.nullable == Some(true) {
            problems.push(format!("the key {key:?} of the list cannot be null"));
        }
        let is_required = items.required.iter().flatten().any(|name| name == key);
        if !is_required && property.default.is_none() {
            problems.push(format!("the key {key:?} of the list must be required or have a default"));
        }
    }
}

/// Checks a list of the type `set`, whose items are unique.
fn check_list_of_type_set(node: &JSONSchemaProps, problems: &mut Vec<String>) {
    let Some(items) = items_of(node) else { return };
    if items.nullable == Some(true) {
        problems.push("the items of a list of the type `set` cannot be null".to_owned());
    }
    let is_atomic = match items.type_.as_deref() {
        Some("object") => items.x_kubernetes_map_type.as_deref() == Some("atomic"),
        Some("array") => matches!(items.x_kubernetes_list_type.as_deref(), None | Some("atomic")),
        _ => true,
    };
    if !is_atomic {
        problems.push("the items of a list of the type `set` must be scalars or atomic".to_owned());
    }
}

/// Whether a regular expression has a lookaround or a backreference (`\1` or `\k<name>`). The API server uses Go's syntax
/// (RE2), which has neither.
fn has_lookaround_or_backreference(pattern: &str) -> bool {
    const LOOKAROUNDS: [&str; 4] = ["(?=", "(?!", "(?<=", "(?<!"];
    let mut is_in_class = false;
    let mut is_escaped = false;
    // The index after the `[` or `[^` that begins the current character class. A `]` at this index does not
    // end the class.
    let mut class_start = 0;
    for (index, letter) in pattern.char_indices() {
        if is_escaped {
            is_escaped = false;
            if !is_in_class && matches!(letter, '1'..='9' | 'k') {
                return true;
            }
            continue;
        }
        match letter {
            '\\' => is_escaped = true,
            '[' if !is_in_class => {
                is_in_class = true;
                class_start = index + if pattern[index + 1..].starts_with('^') { 2 } else { 1 };
            }
            ']' if index > class_start => is_in_class = false,
            '(' if !is_in_class && LOOKAROUNDS.iter().any(|start| pattern[index..].starts_with(start)) => {
                return true;
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check_problems(node: &Value, expected: &[&str]) {
        let node: JSONSchemaProps = serde_json::from_value(node.clone()).unwrap();
        assert_eq!(problems_of_node(&node), expected);
    }

    #[test]
    fn invalid_list_types_are_reported() {
        let list = |kind: &str, keys: Value, items: Value| json!({"type": "array", "x-kubernetes-list-type": kind, "x-kubernetes-list-map-keys": keys, "items": items});
        let item = json!({
            "type": "object", "required": ["name"],
            "properties": {"name": {"type": "string"}, "port": {"type": "integer"}, "more": {"type": "object", "nullable": true, "default": {}}},
        });
        check_problems(&list("map", json!(["name"]), item.clone()), &[]);
        check_problems(&list("map", json!([]), item.clone()), &["a list of the type `map` needs keys"]);
        check_problems(
            &list("map", json!(["name", "name", "hostName", "port", "more"]), item),
            &[
                "the key \"name\" of the list is given twice",
                "the items of the list have no field \"hostName\": use its name in JSON",
                "the key \"port\" of the list must be required or have a default",
                "the key \"more\" of the list must be a scalar",
                "the key \"more\" of the list cannot be null",
            ],
        );
        check_problems(
            &list("map", json!(["name"]), json!({"type": "string"})),
            &["the items of a list of the type `map` must be objects"],
        );
        check_problems(&list("set", Value::Null, json!({"type": "string"})), &[]);
        check_problems(
            &list("set", json!(["a"]), json!({"type": "object", "nullable": true})),
            &[
                "the items of a list of the type `set` cannot be null",
                "the items of a list of the type `set` must be scalars or atomic",
                "only a list of the type `map` has keys",
            ],
        );
        check_problems(
            &json!({"type": "string", "x-kubernetes-list-type": "set"}),
            &["only a list has a list type"],
        );
        check_problems(
            &json!({"type": "array", "x-kubernetes-list-type": "sorted"}),
            &["\"sorted\" is no list type: use `atomic`, `set` or `map`"],
        );
    }

    #[test]
    fn invalid_map_types_and_embedded_resources_are_reported() {
        check_problems(
            &json!({"type": "string", "x-kubernetes-map-type": "atomic"}),
            &["only a map or an object has a map type"],
        );
        check_problems(
            &json!({"type": "object", "x-kubernetes-map-type": "all"}),
            &["\"all\" is no map type: use `atomic` or `granular`"],
        );
        check_problems(
            &json!({"type": "object", "x-kubernetes-embedded-resource": true}),
            &["an embedded resource needs fields, or `x-kubernetes-preserve-unknown-fields`"],
        );
    }

    #[test]
    fn lookarounds_and_backreferences_are_found_outside_of_character_classes_and_escapes() {
        for supported in [
            "^(a|b)$", "[(?=]", r"\(?=", "(?i)a", "(?P<n>a)", r"[\1]", r"\\1", "é(?:x)", "[](?=]", "[^](?=]",
            r"[]\1a]", "[[](?i)a",
        ] {
            assert!(!has_lookaround_or_backreference(supported), "{supported}");
        }
        for unsupported in [
            "(?=a)",
            "a(?!b)",
            "(?<=a)b",
            "(?<!a)b",
            r"(a)\1",
            r"(?P<n>a)\k<n>",
            "[]a](?=b)",
            "[^]a](?=b)",
            "[[](?=b)",
        ] {
            assert!(has_lookaround_or_backreference(unsupported), "{unsupported}");
        }
    }
}
