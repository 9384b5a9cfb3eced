//! The OpenAPI paths and schemas of custom resources. The paths are adapted copies of the recorded paths of Deployments, a
//! namespaced resource with the subresources `status` and `scale`. The schema of an object is the schema in the
//! CustomResourceDefinition, with the common fields of all objects.

use serde_json::{Map, Value, json};

use super::version_2::convert_schema;
use super::{collect_components, descriptions, paths};

/// The recorded path of the Deployments in a namespace. The operations of this path and of its subpaths are the template
/// for custom resources.
const TEMPLATE_PATH: &str = "/apis/apps/v1/namespaces/{namespace}/deployments";

/// The component from which the schemas of custom resources copy the descriptions of `apiVersion` and `kind`.
const TEMPLATE_COMPONENT: &str = "io.k8s.api.apps.v1.Deployment";

/// The media types of custom resources in responses, and in requests other than patches.
const MEDIA_TYPES: [&str; 2] = ["application/json", "application/yaml"];

/// A version of a custom resource.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CustomResource<'a> {
    pub(crate) group: &'a str,
    pub(crate) version: &'a str,
    pub(crate) plural: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) list_kind: &'a str,
    pub(crate) namespaced: bool,
    /// The served subresources, such as `status`.
    pub(crate) subresources: &'a [&'a str],
    /// The paths of the selectable fields, such as `spec.color`.
    pub(crate) selectable_fields: &'a [&'a str],
    /// The `openAPIV3Schema` of the version.
    pub(crate) schema: &'a Value,
}

impl CustomResource<'_> {
    /// Adds the paths and schemas to an OpenAPI 3 document.
    pub(crate) fn add_to_open_api_3(&self, document: &mut Value) {
        for (path, item) in self.path_items() {
            document["paths"][path] = paths::to_open_api_3(&item);
        }
        let [object, list] = self.schemas();
        let mut schemas = Map::new();
        schemas.insert(self.component_name(self.kind), object);
        schemas.insert(self.component_name(self.list_kind), list);
        let items = document["paths"].clone();
        for value in [items, Value::Object(schemas.clone())] {
            collect_components(&value, &mut schemas);
        }
        if !document["components"]["schemas"].is_object() {
            document["components"]["schemas"] = json!({});
        }
        if let Some(all) = document["components"]["schemas"].as_object_mut() {
            all.extend(schemas);
        }
    }

    /// Adds the paths and schemas to the OpenAPI 2 document.
    pub(crate) fn add_to_open_api_2(&self, document: &mut Value) {
        for (path, item) in self.path_items() {
            document["paths"][path] = item;
        }
        let kinds = [self.kind, self.list_kind];
        for (kind, mut schema) in kinds.into_iter().zip(self.schemas()) {
            convert_schema(&mut schema);
            paths::rename_references(&mut schema, "#/components/schemas/", "#/definitions/");
            document["definitions"][self.component_name(kind)] = schema;
        }
    }

    /// The name of the component that is the schema of `kind`, such as `com.example.v1.Widget`.
    fn component_name(&self, kind: &str) -> String {
        let mut labels: Vec<&str> = self.group.split('.').collect();
        labels.reverse();
        format!("{}.{}.{kind}", labels.join("."), self.version)
    }

    /// The paths of the resource, each with its operations in OpenAPI 2.
    fn path_items(&self) -> Vec<(String, Value)> {
        let root = format!("/apis/{}/{}", self.group, self.version);
        let own = if self.namespaced { "/namespaces/{namespace}" } else { "" };
        let own = format!("{root}{own}/{}", self.plural);
        let mut items = vec![
            (own.clone(), self.path_item(TEMPLATE_PATH)),
            (format!("{own}/{{name}}"), self.path_item(&format!("{TEMPLATE_PATH}/{{name}}"))),
        ];
        for name in self.subresources {
            items.push((
                format!("{own}/{{name}}/{name}"),
                self.path_item(&format!("{TEMPLATE_PATH}/{{name}}/{name}")),
            ));
        }
        if self.namespaced {
            items.push((format!("{root}/{}", self.plural), self.path_item("/apis/apps/v1/deployments")));
        }
        items
    }

    /// The operations of the path `template`, adapted to this resource.
    fn path_item(&self, template: &str) -> Value {
        let mut item = paths::path_item(template);
        for (method, value) in item.as_object_mut().into_iter().flatten() {
            if let Some(parameters) = value.as_array_mut() {
                parameters.retain(|parameter| self.namespaced || !is_parameter_named(parameter, "namespace"));
                for parameter in parameters {
                    self.replace_template_names(parameter);
                }
                continue;
            }
            self.replace_template_names(value);
            self.adapt_operation(method, value, template.ends_with("/deployments"));
        }
        item
    }

    /// Adapts a copied operation to custom resources, which support other media types and parameters than Deployments.
    fn adapt_operation(&self, method: &str, operation: &mut Value, is_collection: bool) {
        let mut consumes = json!(MEDIA_TYPES);
        operation["produces"] = json!(MEDIA_TYPES);
        operation["x-kubernetes-group-version-kind"] =
            json!({"group": self.group, "version": self.version, "kind": self.kind});
        let parameter = |name: &str| paths::shared_parameter_reference(name);
        match (method, is_collection) {
            ("get", true) => operation["description"] = format!("list objects of kind {}", self.kind).into(),
            ("get", false) => operation["parameters"] = json!([parameter("resourceVersion-")]),
            ("patch", _) => {
                consumes = json!([
                    "application/json-patch+json",
                    "application/merge-patch+json",
                    "application/apply-patch+yaml",
                ]);
                operation["responses"].as_object_mut().map(|responses| responses.remove("201"));
            }
            ("delete", true) => {
                let names = [
                    "allowWatchBookmarks-",
                    "continue-",
                    "fieldSelector-",
                    "labelSelector-",
                    "limit-",
                    "resourceVersion-",
                    "resourceVersionMatch-",
                    "sendInitialEvents-",
                    "shardSelector-",
                    "timeoutSeconds-",
                    "watch-",
                ];
                operation["parameters"] = names.map(parameter).into_iter().collect();
            }
            _ => {}
        }
        operation["consumes"] = consumes;
    }

    /// Replaces the names of the template in all strings of `value` with the names of this resource.
    fn replace_template_names(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.adapted_text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.replace_template_names(item)),
            Value::Object(map) => map.values_mut().for_each(|item| self.replace_template_names(item)),
            _ => {}
        }
    }

    /// Returns `text` with the names of this resource instead of the names of the template.
    fn adapted_text(&self, text: &str) -> String {
        if let Some(rest) = text.strip_prefix("#/definitions/io.k8s.api.apps.v1.") {
            let kind = if rest == "DeploymentList" { self.list_kind } else { self.kind };
            return format!("#/definitions/{}", self.component_name(kind));
        }
        if text == "apps_v1" {
            let group = camel_case(self.group);
            let mut letters = group.chars();
            let first = letters.next().map(|letter| letter.to_ascii_lowercase());
            return format!(
                "{}{}_{}",
                first.map(String::from).unwrap_or_default(),
                letters.as_str(),
                self.version
            );
        }
        let group = format!("{}{}", camel_case(self.group), camel_case(self.version));
        let mut text = text.replace("AppsV1", &group);
        if text.contains("Deployment") {
            text = text.replace("Deployment", self.kind);
        }
        if text == "name of the Scale" {
            text = format!("name of the {}", self.kind);
        }
        if self.namespaced {
            return text;
        }
        let text = text.replace(&format!("{group}Namespaced"), &group);
        text.replace(&format!("{group}CollectionNamespaced"), &format!("{group}Collection"))
    }

    /// The schemas of an object and of a list, in OpenAPI 3.
    fn schemas(&self) -> [Value; 2] {
        let text =
            |field: &str| descriptions::description_of(TEMPLATE_COMPONENT, &format!("/properties/{field}"));
        let reference = |name: &str| json!([{"$ref": format!("#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.{name}")}]);
        let common = json!({
            "apiVersion": {"description": text("apiVersion"), "type": "string"},
            "kind": {"description": text("kind"), "type": "string"},
        });
        let kinds = |kind: &str| json!([{"group": self.group, "version": self.version, "kind": kind}]);
        let mut object = self.schema.clone();
        if !object["properties"].is_object() {
            object["properties"] = json!({});
        }
        object["properties"]["metadata"] = json!({
            "description": "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
            "allOf": reference("ObjectMeta"),
        });
        let mut list = json!({
            "description": format!("{} is a list of {}", self.list_kind, self.kind),
            "type": "object",
            "required": ["items"],
            "properties": {
                "items": {
                    "description": format!("List of {}. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md", self.plural),
                    "type": "array",
                    "items": {"$ref": format!("#/components/schemas/{}", self.component_name(self.kind))},
                },
                "metadata": {
                    "description": "Standard list metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds",
                    "allOf": reference("ListMeta"),
                },
            },
        });
        for (schema, kind) in [(&mut object, self.kind), (&mut list, self.list_kind)] {
            for field in ["apiVersion", "kind"] {
                schema["properties"][field] = common[field].clone();
            }
            schema["x-kubernetes-group-version-kind"] = kinds(kind);
            let fields: Vec<_> =
                self.selectable_fields.iter().map(|path| json!({"fieldPath": path})).collect();
            if !fields.is_empty() {
                schema["x-kubernetes-selectable-fields"] = fields.into();
            }
        }
        [object, list]
    }
}

/// Whether a parameter, or the target of its reference, has this name.
fn is_parameter_named(parameter: &Value, name: &str) -> bool {
    let reference = parameter["$ref"].as_str().map(|reference| reference.trim_start_matches("#/parameters/"));
    parameter["name"] == name || reference.is_some_and(|shared| shared.starts_with(&format!("{name}-")))
}

/// Converts a group or a version to its form in an operation ID: `example.com` becomes `ExampleCom`.
fn camel_case(text: &str) -> String {
    let words = text.split(['.', '-', '/']).filter(|word| !word.is_empty());
    words
        .flat_map(|word| word.char_indices().map(|(at, c)| if at == 0 { c.to_ascii_uppercase() } else { c }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn widget(namespaced: bool) -> CustomResource<'static> {
        static SCHEMA: std::sync::LazyLock<Value> = std::sync::LazyLock::new(
            || json!({"type": "object", "properties": {"spec": {"type": "object"}}}),
        );
        CustomResource {
            group: "example.com",
            version: "v1",
            plural: "widgets",
            kind: "Widget",
            list_kind: "WidgetList",
            namespaced,
            subresources: &["status", "scale"],
            selectable_fields: &["spec.color"],
            schema: &SCHEMA,
        }
    }

    #[test]
    fn a_namespaced_resource_has_the_paths_of_its_subresources() {
        let mut document = json!({"paths": {}});
        widget(true).add_to_open_api_3(&mut document);
        let paths: Vec<_> = document["paths"].as_object().unwrap().keys().collect();
        let own = "/apis/example.com/v1/namespaces/{namespace}/widgets";
        let expected = ["", "/{name}", "/{name}/scale", "/{name}/status"].map(|end| format!("{own}{end}"));
        assert_eq!(paths[..4], expected.iter().collect::<Vec<_>>());
        assert_eq!(paths[4], "/apis/example.com/v1/widgets");
        let get = &document["paths"]["/apis/example.com/v1/widgets"]["get"];
        assert_eq!(get["operationId"], "listExampleComV1WidgetForAllNamespaces");
        assert_eq!(get["tags"], json!(["exampleCom_v1"]));
        let scale = &document["paths"][format!("{own}/{{name}}/scale")];
        assert_eq!(scale["get"]["x-kubernetes-group-version-kind"]["kind"], "Widget");
        assert_eq!(scale["parameters"][0]["description"], "name of the Widget");
    }

    #[test]
    fn a_cluster_scoped_resource_has_no_namespace_parameter() {
        let mut document = json!({"paths": {}});
        widget(false).add_to_open_api_3(&mut document);
        let item = &document["paths"]["/apis/example.com/v1/widgets/{name}"];
        assert_eq!(item["get"]["operationId"], "readExampleComV1Widget");
        let names: Vec<_> =
            item["parameters"].as_array().unwrap().iter().map(|parameter| &parameter["name"]).collect();
        assert_eq!(names, ["name", "pretty"]);
    }

    #[test]
    fn the_object_and_list_schemas_and_the_referenced_components_are_added() {
        let mut document = json!({"paths": {}});
        widget(true).add_to_open_api_3(&mut document);
        let schemas = &document["components"]["schemas"];
        let object = &schemas["com.example.v1.Widget"];
        assert!(
            object["properties"]["kind"]["description"].as_str().unwrap().starts_with("Kind is a string")
        );
        assert_eq!(object["x-kubernetes-selectable-fields"], json!([{"fieldPath": "spec.color"}]));
        let items = &schemas["com.example.v1.WidgetList"]["properties"]["items"]["items"];
        assert_eq!(items["$ref"], "#/components/schemas/com.example.v1.Widget");
        assert!(schemas["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"].is_object());
        assert!(schemas["io.k8s.api.autoscaling.v1.Scale"].is_object());
    }

    #[test]
    fn schemas_become_definitions_in_open_api_2() {
        let mut document = json!({"paths": {}, "definitions": {}});
        widget(true).add_to_open_api_2(&mut document);
        let metadata = &document["definitions"]["com.example.v1.Widget"]["properties"]["metadata"];
        assert_eq!(metadata["$ref"], "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    }
}
