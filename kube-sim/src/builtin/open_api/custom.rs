//! The OpenAPI paths and schemas of custom resources. They are derived from the recorded paths and schemas of
//! Deployments, a namespaced resource with the subresources `status` and `scale`.

use serde_json::{Map, Value, json};

use super::version_2::convert_schema;
use super::{collect_components, descriptions, paths};

/// The recorded path from whose operations those of custom resources are derived.
const TEMPLATE: &str = "/apis/apps/v1/namespaces/{namespace}/deployments";

/// The component from which the descriptions of `apiVersion`, `kind` and `metadata` are taken.
const TEMPLATE_COMPONENT: &str = "io.k8s.api.apps.v1.Deployment";

/// The media types that custom resources support.
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
    pub(crate) fn add_to(&self, document: &mut Value) {
        for (path, item) in self.items() {
            document["paths"][path] = paths::to_version_3(&item);
        }
        let [object, list] = self.schemas();
        let mut schemas = Map::new();
        schemas.insert(self.component(self.kind), object);
        schemas.insert(self.component(self.list_kind), list);
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
    pub(crate) fn add_to_2(&self, document: &mut Value) {
        for (path, item) in self.items() {
            document["paths"][path] = item;
        }
        let kinds = [self.kind, self.list_kind];
        for (kind, mut schema) in kinds.into_iter().zip(self.schemas()) {
            convert_schema(&mut schema);
            paths::rename_references(&mut schema, "#/components/schemas/", "#/definitions/");
            document["definitions"][self.component(kind)] = schema;
        }
    }

    /// The name of the component of a kind, such as `com.example.v1.Widget`.
    fn component(&self, kind: &str) -> String {
        let mut labels: Vec<&str> = self.group.split('.').collect();
        labels.reverse();
        format!("{}.{}.{kind}", labels.join("."), self.version)
    }

    /// The paths with their operations in OpenAPI 2.
    fn items(&self) -> Vec<(String, Value)> {
        let root = format!("/apis/{}/{}", self.group, self.version);
        let own = if self.namespaced { "/namespaces/{namespace}" } else { "" };
        let own = format!("{root}{own}/{}", self.plural);
        let mut items = vec![
            (own.clone(), self.item(TEMPLATE)),
            (format!("{own}/{{name}}"), self.item(&format!("{TEMPLATE}/{{name}}"))),
        ];
        for name in self.subresources {
            items.push((format!("{own}/{{name}}/{name}"), self.item(&format!("{TEMPLATE}/{{name}}/{name}"))));
        }
        if self.namespaced {
            items.push((format!("{root}/{}", self.plural), self.item("/apis/apps/v1/deployments")));
        }
        items
    }

    /// The operations of a path of the template, for this resource.
    fn item(&self, template: &str) -> Value {
        let mut item = paths::item(template);
        for (method, value) in item.as_object_mut().into_iter().flatten() {
            if let Some(parameters) = value.as_array_mut() {
                parameters.retain(|parameter| self.namespaced || !is_parameter(parameter, "namespace"));
                for parameter in parameters {
                    self.rename(parameter);
                }
                continue;
            }
            self.rename(value);
            self.adapt_operation(method, value, template.ends_with("/deployments"));
        }
        item
    }

    /// Applies the differences between the operations of custom and of built-in resources.
    fn adapt_operation(&self, method: &str, operation: &mut Value, is_collection: bool) {
        let mut consumes = json!(MEDIA_TYPES);
        operation["produces"] = json!(MEDIA_TYPES);
        operation["x-kubernetes-group-version-kind"] =
            json!({"group": self.group, "version": self.version, "kind": self.kind});
        let parameter = |name: &str| paths::parameter_with_prefix(name);
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

    /// Replaces the names of the template in all texts.
    fn rename(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.renamed(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.rename(item)),
            Value::Object(map) => map.values_mut().for_each(|item| self.rename(item)),
            _ => {}
        }
    }

    fn renamed(&self, text: &str) -> String {
        if let Some(rest) = text.strip_prefix("#/definitions/io.k8s.api.apps.v1.") {
            let kind = if rest == "DeploymentList" { self.list_kind } else { self.kind };
            return format!("#/definitions/{}", self.component(kind));
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
                    "items": {"$ref": format!("#/components/schemas/{}", self.component(self.kind))},
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
fn is_parameter(parameter: &Value, name: &str) -> bool {
    let reference = parameter["$ref"].as_str().map(|reference| reference.trim_start_matches("#/parameters/"));
    parameter["name"] == name || reference.is_some_and(|shared| shared.starts_with(&format!("{name}-")))
}

/// The name in an operation id: `example.com` becomes `ExampleCom`.
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
        widget(true).add_to(&mut document);
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
    fn a_resource_without_namespaces_has_no_parameter_for_one() {
        let mut document = json!({"paths": {}});
        widget(false).add_to(&mut document);
        let item = &document["paths"]["/apis/example.com/v1/widgets/{name}"];
        assert_eq!(item["get"]["operationId"], "readExampleComV1Widget");
        let names: Vec<_> =
            item["parameters"].as_array().unwrap().iter().map(|parameter| &parameter["name"]).collect();
        assert_eq!(names, ["name", "pretty"]);
    }

    #[test]
    fn the_schemas_have_the_common_fields_and_the_kind() {
        let mut document = json!({"paths": {}});
        widget(true).add_to(&mut document);
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
    fn version_2_has_definitions() {
        let mut document = json!({"paths": {}, "definitions": {}});
        widget(true).add_to_2(&mut document);
        let metadata = &document["definitions"]["com.example.v1.Widget"]["properties"]["metadata"];
        assert_eq!(metadata["$ref"], "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    }
}
