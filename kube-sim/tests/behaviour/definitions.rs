//! Tests of CustomResourceDefinitions, custom resources and discovery.

use crate::common::{
    Watch, call, call_with_content_type, delete, get, get_accepting, merge_patch, post, put,
};
use http::Method;
use kube_sim::Sim;
use serde_json::{Value, json};

/// The path of all CustomResourceDefinitions.
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// The path of the custom resources of [`foo_definition`].
const FOOS: &str = "/apis/example.com/v1/namespaces/default/foos";

/// The CustomResourceDefinition of the kind `Foo`.
fn foo_definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "foos.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "foos", "kind": "Foo", "shortNames": ["fo"], "categories": ["all"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "required": ["info"], "properties": {
                        "info": {"type": "string"},
                        "size": {"type": "integer", "default": 3, "minimum": 0},
                    }},
                    "status": {"type": "object", "properties": {"ready": {"type": "integer"}}},
                }}},
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.ready"},
                },
                "additionalPrinterColumns": [{"name": "Info", "type": "string", "jsonPath": ".spec.info"}],
                "selectableFields": [{"jsonPath": ".spec.info"}],
            }],
        },
    })
}

/// A custom resource of the kind `Foo`.
fn foo(name: &str, spec: Value) -> Value {
    let mut object = json!({"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": name}});
    object["spec"] = spec;
    object
}

async fn sim_with_foo_definition() -> Sim {
    let sim = Sim::new();
    post(&sim, DEFINITIONS, foo_definition()).await.ok();
    sim
}

#[tokio::test]
async fn a_definition_is_established_and_served_immediately() {
    let sim = Sim::new();
    assert_eq!(get(&sim, FOOS).await.bytes, "404 page not found\n");
    post(&sim, DEFINITIONS, foo_definition()).await.ok();
    let stored = get(&sim, &format!("{DEFINITIONS}/foos.example.com")).await.ok();
    let conditions = stored["status"]["conditions"].as_array().unwrap();
    for kind in ["NamesAccepted", "Established"] {
        assert!(conditions.iter().any(|c| c["type"] == kind && c["status"] == "True"), "{conditions:?}");
    }
    assert_eq!(stored["status"]["acceptedNames"]["listKind"], "FooList");
    assert_eq!(stored["status"]["storedVersions"], json!(["v1"]));
    let list = get(&sim, FOOS).await.ok();
    assert_eq!((&list["kind"], &list["items"]), (&json!("FooList"), &json!([])));
    let resources = get(&sim, "/apis/example.com/v1").await.ok();
    assert_eq!(resources["resources"][0]["shortNames"], json!(["fo"]));
    let document = get(&sim, "/openapi/v3/apis/example.com/v1").await.ok();
    let schema = &document["components"]["schemas"]["com.example.v1.Foo"];
    assert_eq!(schema["properties"]["spec"]["properties"]["info"]["type"], "string");
}

#[tokio::test]
async fn custom_resources_are_defaulted_pruned_and_validated() {
    let sim = sim_with_foo_definition().await;
    let created = post(&sim, FOOS, foo("a", json!({"info": "x", "unknown": 1}))).await;
    assert_eq!(created.headers["warning"], "299 - \"unknown field \\\"spec.unknown\\\"\"");
    let created = created.ok();
    assert_eq!(created["spec"], json!({"info": "x", "size": 3}));
    assert_eq!(created["metadata"]["generation"], 1);
    let strict = format!("{FOOS}?fieldValidation=Strict");
    let message =
        post(&sim, &strict, foo("b", json!({"info": "x", "unknown": 1}))).await.fails(400, "BadRequest");
    assert!(message.contains("strict decoding error: unknown field \"spec.unknown\""), "{message}");
    let response = post(&sim, FOOS, foo("b", json!({"info": 7, "size": -1}))).await;
    let causes = response.body["details"]["causes"].as_array().unwrap();
    // The schema and the subresource `scale` both check `spec.size`, so the response contains two causes for this field.
    let fields: Vec<_> = causes.iter().map(|cause| cause["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["spec.info", "spec.size", ".spec.size"]);
    let message = response.fails(422, "Invalid");
    assert!(message.starts_with("Foo.example.com \"b\" is invalid: ["), "{message}");
    let message = post(&sim, FOOS, foo("b", json!({}))).await.fails(422, "Invalid");
    assert_eq!(message, "Foo.example.com \"b\" is invalid: spec.info: Required value");
    let message = put(&sim, &format!("{FOOS}/a"), foo("a", json!({"info": "y"}))).await.fails(422, "Invalid");
    assert!(
        message.contains("metadata.resourceVersion: Invalid value: 0: must be specified for an update"),
        "{message}"
    );
    let kind = "application/strategic-merge-patch+json";
    call_with_content_type(&sim, Method::PATCH, &format!("{FOOS}/a"), kind, json!({}))
        .await
        .fails(415, "UnsupportedMediaType");
}

#[tokio::test]
async fn subresources_selectable_fields_and_printer_columns_are_served() {
    let sim = sim_with_foo_definition().await;
    let mut object = foo("a", json!({"info": "x"}));
    object["status"] = json!({"ready": 9});
    assert_eq!(post(&sim, FOOS, object).await.ok().get("status"), None);
    let path = format!("{FOOS}/a");
    let body = json!({"spec": {"info": "no"}, "status": {"ready": 2}, "metadata": {"labels": {"no": "no"}}});
    let reported = merge_patch(&sim, &format!("{path}/status"), body).await.ok();
    assert_eq!((&reported["spec"]["info"], &reported["status"]["ready"]), (&json!("x"), &json!(2)));
    assert_eq!((&reported["metadata"]["generation"], reported["metadata"].get("labels")), (&json!(1), None));
    merge_patch(&sim, &format!("{path}/scale"), json!({"spec": {"replicas": 7}})).await.ok();
    let scale = get(&sim, &format!("{path}/scale")).await.ok();
    assert_eq!((&scale["spec"]["replicas"], &scale["status"]["replicas"]), (&json!(7), &json!(2)));
    assert_eq!(get(&sim, &path).await.ok()["metadata"]["generation"], 2);
    post(&sim, FOOS, foo("b", json!({"info": "z"}))).await.ok();
    let chosen = get(&sim, &format!("{FOOS}?fieldSelector=spec.info%3Dz")).await.ok();
    assert_eq!(chosen["items"][0]["metadata"]["name"], "b");
    assert_eq!(chosen["items"][0]["kind"], "Foo", "custom items carry their kind");
    let table = get_accepting(&sim, FOOS, "application/json;as=Table;g=meta.k8s.io;v=v1").await.ok();
    assert_eq!(table["columnDefinitions"][1]["name"], "Info");
    assert_eq!(table["rows"][1]["cells"], json!(["b", "z"]));
}

#[tokio::test]
async fn all_versions_serve_the_same_stored_objects() {
    let sim = Sim::new();
    let mut crd = foo_definition();
    let mut second = crd["spec"]["versions"][0].clone();
    second["name"] = "v2".into();
    second["storage"] = false.into();
    crd["spec"]["versions"].as_array_mut().unwrap().push(second);
    post(&sim, DEFINITIONS, crd).await.ok();
    post(&sim, FOOS, foo("a", json!({"info": "x"}))).await.ok();
    let other = get(&sim, "/apis/example.com/v2/namespaces/default/foos/a").await.ok();
    assert_eq!((&other["apiVersion"], &other["spec"]["info"]), (&json!("example.com/v2"), &json!("x")));
    let group = get(&sim, "/apis/example.com").await.ok();
    assert_eq!(group["preferredVersion"]["version"], "v2");
}

#[tokio::test]
async fn a_version_prunes_the_fields_that_it_does_not_have() {
    let sim = Sim::new();
    let mut crd = foo_definition();
    let mut second = crd["spec"]["versions"][0].clone();
    second["name"] = "v2".into();
    second["storage"] = false.into();
    second["schema"]["openAPIV3Schema"] = json!({"type": "object"});
    second
        .as_object_mut()
        .unwrap()
        .retain(|name, _| matches!(name.as_str(), "name" | "served" | "storage" | "schema"));
    crd["spec"]["versions"].as_array_mut().unwrap().push(second);
    post(&sim, DEFINITIONS, crd).await.ok();
    post(&sim, FOOS, foo("a", json!({"info": "x"}))).await.ok();
    let other = "/apis/example.com/v2/namespaces/default/foos";
    assert_eq!(get(&sim, &format!("{other}/a")).await.ok().get("spec"), None);
    let list = get(&sim, other).await.ok();
    assert_eq!((&list["items"][0]["kind"], list["items"][0].get("spec")), (&json!("Foo"), None));
    let mut watch = Watch::open(&sim, &format!("{other}?watch=true")).await;
    assert_eq!(watch.next().await.unwrap()["object"].get("spec"), None);
    assert_eq!(get(&sim, &format!("{FOOS}/a")).await.ok()["spec"]["info"], "x");
    let deleted = delete(&sim, &format!("{DEFINITIONS}/foos.example.com")).await.ok();
    assert_eq!(deleted["kind"], "CustomResourceDefinition");
    let conditions = deleted["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|condition| condition["type"] == "Terminating"), "{conditions:?}");
}

#[tokio::test]
async fn a_changed_definition_ends_watches_and_changes_how_stored_objects_are_read() {
    let sim = sim_with_foo_definition().await;
    let from = sim.resource_version();
    let path = format!("{FOOS}/a");
    let stored = post(&sim, FOOS, foo("a", json!({"info": "x"}))).await.ok();
    let mut watch = Watch::open(&sim, &format!("{FOOS}?watch=1&resourceVersion={from}")).await;
    let mut version = foo_definition()["spec"]["versions"][0].clone();
    version["schema"]["openAPIV3Schema"]["properties"]["spec"] = json!({
        "type": "object", "properties": {"size": {"type": "integer"}, "color": {"type": "string", "default": "red"}},
    });
    version["selectableFields"] = json!([{"jsonPath": ".spec.color"}]);
    let definition = format!("{DEFINITIONS}/foos.example.com");
    merge_patch(&sim, &definition, json!({"spec": {"versions": [version]}})).await.ok();
    // The watch first sends the events that precede the change of the definition. Then the watch ends.
    assert_eq!(watch.next_type_and_name().await, ("ADDED".to_owned(), "a".to_owned()));
    assert!(watch.next().await.is_none());
    let mut watch = Watch::open(&sim, &format!("{FOOS}?watch=1&resourceVersion={from}")).await;
    assert_eq!(watch.next().await.unwrap()["object"]["code"], 410);

    let read = get(&sim, &path).await.ok();
    assert_eq!(read["spec"], json!({"size": 3, "color": "red"}));
    assert_eq!(read["metadata"], stored["metadata"]);
    for (color, count) in [("red", 1), ("blue", 0)] {
        let list = get(&sim, &format!("{FOOS}?fieldSelector=spec.color%3D{color}")).await.ok();
        assert_eq!(list["items"].as_array().unwrap().len(), count, "{color}");
    }
    let mut watch = Watch::open(&sim, &format!("{FOOS}?watch=1&fieldSelector=spec.color%3Dred")).await;
    assert_eq!(watch.next().await.unwrap()["object"]["spec"], read["spec"]);

    // The first patch without changes stores the object in its new form. The second patch stores nothing.
    let patched = merge_patch(&sim, &path, json!({})).await.ok();
    assert_ne!(patched["metadata"]["resourceVersion"], read["metadata"]["resourceVersion"]);
    assert_eq!(merge_patch(&sim, &path, json!({})).await.ok(), patched);
}

#[tokio::test]
async fn deleting_a_definition_deletes_its_custom_resources_and_ends_their_watches() {
    let sim = sim_with_foo_definition().await;
    post(&sim, FOOS, foo("a", json!({"info": "x"}))).await.ok();
    let from = sim.resource_version();
    let mut watch = Watch::open(&sim, &format!("{FOOS}?watch=1&resourceVersion={from}")).await;
    delete(&sim, &format!("{DEFINITIONS}/foos.example.com")).await.ok();
    assert_eq!(watch.next_type_and_name().await, ("DELETED".to_owned(), "a".to_owned()));
    assert!(watch.next().await.is_none());
    assert_eq!(get(&sim, FOOS).await.bytes, "404 page not found\n");
    post(&sim, DEFINITIONS, foo_definition()).await.ok();
    assert_eq!(get(&sim, FOOS).await.ok()["items"], json!([]));
}

#[tokio::test]
async fn watches_continue_until_a_terminating_definition_has_no_custom_resources() {
    let sim = sim_with_foo_definition().await;
    post(&sim, FOOS, foo("a", json!({"info": "x"}))).await.ok();
    let mut held = foo("held", json!({"info": "x"}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    post(&sim, FOOS, held).await.ok();
    let from = sim.resource_version();
    let mut watch = Watch::open(&sim, &format!("{FOOS}?watch=1&resourceVersion={from}")).await;
    delete(&sim, &format!("{DEFINITIONS}/foos.example.com")).await.ok();
    let mut events = [watch.next_type_and_name().await, watch.next_type_and_name().await];
    events.sort();
    let expected =
        [("DELETED", "a"), ("MODIFIED", "held")].map(|(kind, name)| (kind.to_owned(), name.to_owned()));
    assert_eq!(events, expected);
    merge_patch(&sim, &format!("{FOOS}/held"), json!({"metadata": {"finalizers": null}})).await.ok();
    assert_eq!(watch.next_type_and_name().await, ("DELETED".to_owned(), "held".to_owned()));
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn definitions_with_invalid_or_conflicting_names_are_not_served() {
    let sim = sim_with_foo_definition().await;
    let mut other = foo_definition();
    other["metadata"]["name"] = "bars.example.com".into();
    post(&sim, DEFINITIONS, other.clone()).await.fails(422, "Invalid");
    // Another definition already uses the kind `Foo`, so the names are not accepted and the resource is not served.
    other["spec"]["names"] =
        json!({"plural": "bars", "kind": "Foo", "singular": "bar", "listKind": "BarList"});
    post(&sim, DEFINITIONS, other).await.ok();
    let stored = get(&sim, &format!("{DEFINITIONS}/bars.example.com")).await.ok();
    assert_eq!(stored["status"]["conditions"][0]["status"], "False");
    assert_eq!(get(&sim, "/apis/example.com/v1/bars").await.bytes, "404 page not found\n");
}

#[tokio::test]
async fn discovery_documents_contain_the_served_resources() {
    let sim = sim_with_foo_definition().await;
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let response = get_accepting(&sim, "/apis", accept).await;
    assert!(response.headers["content-type"].to_str().unwrap().contains("as=APIGroupDiscoveryList"));
    let list = response.ok();
    let groups: Vec<_> =
        list["items"].as_array().unwrap().iter().map(|g| g["metadata"]["name"].clone()).collect();
    assert!(groups.contains(&json!("apps")) && groups.contains(&json!("example.com")), "{groups:?}");
    let core = get_accepting(&sim, "/api", accept).await.ok();
    let pods = core["items"][0]["versions"][0]["resources"].as_array().unwrap();
    let pods = pods.iter().find(|r| r["resource"] == "pods").unwrap();
    // The group and version of a built-in kind are empty if the enclosing document has the same group and version.
    assert_eq!(pods["responseKind"], json!({"group": "", "version": "", "kind": "Pod"}));
    let subresource = |name: &str| {
        pods["subresources"].as_array().unwrap().iter().find(|s| s["subresource"] == name).unwrap()["responseKind"].clone()
    };
    assert_eq!(subresource("eviction"), json!({"group": "policy", "version": "v1", "kind": "Eviction"}));
    assert_eq!(subresource("status"), json!({"group": "", "version": "", "kind": "Pod"}));
    let custom =
        list["items"].as_array().unwrap().iter().find(|g| g["metadata"]["name"] == "example.com").unwrap();
    let custom = &custom["versions"][0];
    assert_eq!(custom["resources"][0]["responseKind"]["group"], "example.com");
    assert_eq!(custom["resources"][0]["responseKind"]["version"], custom["version"]);
    let groups = get(&sim, "/apis").await.ok();
    assert_eq!(groups["kind"], "APIGroupList");
    let resources = get(&sim, "/api/v1").await.ok();
    assert!(resources["resources"].as_array().unwrap().iter().any(|r| r["name"] == "pods/log"));
    assert_eq!(get(&sim, "/version").await.ok()["minor"], "37");
    assert_eq!(get(&sim, "/readyz").await.bytes, "ok");
    assert_eq!(get(&sim, "/nothing/here").await.code, 404);
    call(&sim, Method::POST, "/apis", json!({})).await.fails(405, "MethodNotAllowed");
}

#[tokio::test]
async fn events_are_served_in_two_groups() {
    let sim = Sim::new();
    let event = json!({
        "metadata": {"name": "e"}, "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
        "note": "hello", "reason": "Because", "type": "Normal", "action": "Do",
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "c", "reportingInstance": "i",
    });
    let path = "/apis/events.k8s.io/v1/namespaces/default/events";
    let created = post(&sim, path, event).await.ok();
    assert_eq!(created["note"], "hello");
    let core = get(&sim, "/api/v1/namespaces/default/events/e").await.ok();
    assert_eq!((&core["message"], &core["involvedObject"]["name"]), (&json!("hello"), &json!("p")));
    assert_eq!(core["reportingComponent"], "c");
    let selected = get(&sim, &format!("{path}?fieldSelector=regarding.name%3Dp")).await.ok();
    assert_eq!(selected["items"][0]["note"], "hello");
}

#[tokio::test]
async fn a_schema_default_can_be_an_empty_list() {
    let sim = Sim::new();
    let mut definition = foo_definition();
    let schema = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    schema["properties"]["spec"]["properties"]["list"] =
        json!({"type": "array", "default": [], "items": {"type": "string"}});
    post(&sim, DEFINITIONS, definition).await.ok();
    let stored = get(&sim, &format!("{DEFINITIONS}/foos.example.com")).await.ok();
    let schema = &stored["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    assert_eq!(schema["properties"]["spec"]["properties"]["list"]["default"], json!([]));
    let foo = json!({"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "a"}, "spec": {"info": "x"}});
    let created = post(&sim, FOOS, foo).await.ok();
    assert_eq!(created["spec"], json!({"info": "x", "size": 3, "list": []}));
}

#[tokio::test]
async fn create_and_patch_refuse_too_deeply_nested_objects() {
    let sim = Sim::new();
    let mut permissive = foo_definition();
    permissive["spec"]["versions"][0]["schema"]["openAPIV3Schema"] =
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    permissive["spec"]["versions"][0].as_object_mut().unwrap().remove("selectableFields");
    post(&sim, DEFINITIONS, permissive).await.ok();
    let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!({ "n": inner }));
    let path = format!("{FOOS}/a");
    for depth in [50, 100, 110, 115, 118, 119, 120, 121, 122, 123, 124, 125] {
        let response = post(&sim, FOOS, foo("a", nested(depth))).await;
        if response.code.is_success() {
            assert_eq!(get(&sim, &path).await.ok()["spec"], nested(depth), "{depth}");
            merge_patch(&sim, &path, json!({"metadata": {"labels": {"a": "b"}}})).await.ok();
            delete(&sim, &path).await.ok();
        } else {
            assert!(depth > 100, "{depth}: {}", response.body);
            response.fails(400, "BadRequest");
        }
    }
    post(&sim, FOOS, foo("a", nested(100))).await.ok();
    let json_patch = "application/json-patch+json";
    let add =
        |depth| json!([{"op": "add", "path": format!("/spec{}/m", "/n".repeat(99)), "value": nested(depth)}]);
    call_with_content_type(&sim, Method::PATCH, &path, json_patch, add(10)).await.ok();
    assert!(
        !call_with_content_type(&sim, Method::PATCH, &path, json_patch, add(100)).await.code.is_success()
    );
    get(&sim, &path).await.ok();
    merge_patch(&sim, &path, json!({"metadata": {"labels": {"a": "b"}}})).await.ok();
}

/// Returns the status and the reason of the condition `kind` of the definition `name`.
async fn condition(sim: &Sim, name: &str, kind: &str) -> (String, String) {
    let stored = get(sim, &format!("{DEFINITIONS}/{name}")).await.ok();
    let conditions = stored["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let condition = conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or_default();
    let text = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
    (text("status"), text("reason"))
}

#[tokio::test]
async fn a_deleted_definition_waits_for_the_finalizers_of_its_custom_resources() {
    let sim = sim_with_foo_definition().await;
    let mut held = foo("held", json!({"info": "x"}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    post(&sim, FOOS, held).await.ok();
    post(&sim, FOOS, foo("free", json!({"info": "x"}))).await.ok();
    let definition = format!("{DEFINITIONS}/foos.example.com");
    let deleted = delete(&sim, &definition).await.ok();
    let finalizer = "customresourcecleanup.apiextensions.k8s.io";
    assert_eq!(deleted["metadata"]["finalizers"], json!([finalizer]));
    let terminating = condition(&sim, "foos.example.com", "Terminating").await;
    assert_eq!(terminating, ("True".to_owned(), "InstanceDeletionInProgress".to_owned()));
    let list = get(&sim, FOOS).await.ok();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["metadata"]["name"], "held");
    let message = post(&sim, FOOS, foo("late", json!({"info": "x"}))).await.fails(403, "Forbidden");
    let expected = "create not allowed while custom resource definition is terminating";
    assert_eq!(message, format!("foos.example.com \"late\" is forbidden: {expected}"));
    merge_patch(&sim, &format!("{FOOS}/held"), json!({"metadata": {"finalizers": null}})).await.ok();
    get(&sim, &definition).await.fails(404, "NotFound");
    assert_eq!(get(&sim, FOOS).await.bytes, "404 page not found\n");
}

#[tokio::test]
async fn a_definition_with_conflicting_names_is_served_after_the_other_definition_is_deleted() {
    let sim = sim_with_foo_definition().await;
    let mut other = foo_definition();
    other["metadata"]["name"] = "bars.example.com".into();
    other["spec"]["names"] = json!({"plural": "bars", "kind": "Foo", "listKind": "BarList"});
    post(&sim, DEFINITIONS, other).await.ok();
    let accepted = condition(&sim, "bars.example.com", "NamesAccepted").await;
    assert_eq!(accepted, ("False".to_owned(), "KindConflict".to_owned()));
    delete(&sim, &format!("{DEFINITIONS}/foos.example.com")).await.ok();
    assert_eq!(condition(&sim, "bars.example.com", "Established").await.0, "True");
    get(&sim, "/apis/example.com/v1/namespaces/default/bars").await.ok();
}

#[tokio::test]
async fn a_definition_does_not_replace_a_built_in_resource_with_the_same_names() {
    let sim = Sim::new();
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"}});
    let created = post(&sim, leases, lease).await.ok();
    let mut definition = foo_definition();
    definition["metadata"] = json!({
        "name": "leases.coordination.k8s.io",
        "annotations": {"api-approved.kubernetes.io": "unapproved"},
        "finalizers": ["example.com/keep"],
    });
    definition["spec"]["group"] = "coordination.k8s.io".into();
    definition["spec"]["names"] = json!({"plural": "leases", "kind": "Foo"});
    post(&sim, DEFINITIONS, definition).await.ok();
    assert_eq!(get(&sim, &format!("{leases}/a")).await.ok(), created);
    delete(&sim, &format!("{DEFINITIONS}/leases.coordination.k8s.io")).await.ok();
    let terminating = condition(&sim, "leases.coordination.k8s.io", "Terminating").await;
    assert_eq!(terminating, ("False".to_owned(), "OverlappingBuiltInResource".to_owned()));
    assert_eq!(get(&sim, &format!("{leases}/a")).await.ok(), created);
}
