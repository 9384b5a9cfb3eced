//! The OpenAPI 2 document, `/openapi/v2`, which covers all API groups.

use serde_json::{Map, Value, json};

use super::{described_component, paths};
use crate::schema::component_names;

/// The OpenAPI 2 document of the built-in resources.
pub(crate) fn document() -> Value {
    let mut definitions = Map::new();
    for name in component_names() {
        if let Some(mut schema) = described_component(name) {
            convert_schema(&mut schema);
            paths::rename_references(&mut schema, "#/components/schemas/", "#/definitions/");
            definitions.insert(name.to_owned(), schema);
        }
    }
    let items: Map<String, Value> =
        paths::all().map(|path| (path.to_owned(), paths::path_item(path))).collect();
    let token = json!({
        "type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header",
    });
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "1.37"},
        "paths": items,
        "definitions": definitions,
        "parameters": paths::shared_parameters(),
        "securityDefinitions": {"BearerToken": token},
        "security": [{"BearerToken": []}],
    })
}

/// Converts a schema of OpenAPI 3 to OpenAPI 2: removes the keywords that the API server omits in OpenAPI 2, and replaces
/// an `allOf` of one reference with the reference.
pub(super) fn convert_schema(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else { return };
    if let Some(reference) =
        map.get("allOf").and_then(|all| all.get(0)).and_then(|one| one.get("$ref")).cloned()
    {
        map.insert("$ref".to_owned(), reference);
    }
    let is_choice = map.contains_key("oneOf") && !map.contains_key("type");
    for keyword in ["allOf", "anyOf", "default", "not", "oneOf"] {
        map.remove(keyword);
    }
    // Of the built-in types, only a quantity and an `IntOrString` have a `oneOf` without a type. OpenAPI 2 declares both
    // as strings.
    if is_choice {
        map.insert("type".to_owned(), "string".into());
    }
    let unknown = map.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    if map.remove("nullable") == Some(Value::Bool(true)) || unknown {
        // OpenAPI 2 cannot declare that a value may be null or may have unknown fields. Clients accept such a value if the
        // schema has no type.
        for keyword in ["type", "properties", "items", "additionalProperties", "required"] {
            map.remove(keyword);
        }
    }
    map.get_mut("properties")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(Map::values_mut)
        .for_each(convert_schema);
    for keyword in ["items", "additionalProperties"] {
        map.get_mut(keyword).into_iter().for_each(convert_schema);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_that_the_api_server_omits_are_removed_or_replaced() {
        let mut schema = json!({
            "type": "object",
            "properties": {
                "a": {"allOf": [{"$ref": "#/components/schemas/x"}], "default": {}},
                "b": {"oneOf": [{"type": "string"}, {"type": "number"}]},
                "c": {"type": "integer", "nullable": true, "minimum": 0},
            },
        });
        convert_schema(&mut schema);
        let expected =
            json!({"a": {"$ref": "#/components/schemas/x"}, "b": {"type": "string"}, "c": {"minimum": 0}});
        assert_eq!(schema["properties"], expected);
    }

    #[test]
    fn the_document_has_all_definitions_and_paths() {
        let document = document();
        let definitions = document["definitions"].as_object().unwrap();
        assert!(definitions.len() > 600);
        let template = &definitions["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["template"];
        assert_eq!(template["$ref"], "#/definitions/io.k8s.api.core.v1.PodTemplateSpec");
        assert!(template["description"].is_string());
        assert_eq!(definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"]["type"], "string");
        let operation = &document["paths"]["/api/v1/namespaces/{namespace}/pods"]["post"];
        assert_eq!(operation["x-kubernetes-group-version-kind"]["kind"], "Pod");
    }
}
