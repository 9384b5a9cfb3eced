//! Tests of the OpenAPI documents, of the metrics of the server, and of the metrics API.

use http::StatusCode;
use kube_sim::{Sim, Usage};
use serde_json::{Value, json};

use crate::common::{get, get_accepting, merge_patch, post};

/// The CustomResourceDefinition of the kind `Shelf`. The kind has a description and a selectable field.
fn shelf_definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "shelves.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Cluster",
            "names": {"plural": "shelves", "kind": "Shelf"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "selectableFields": [{"jsonPath": ".spec.room"}],
                "schema": {"openAPIV3Schema": {"type": "object", "description": "A shelf.", "properties": {
                    "spec": {"type": "object", "properties": {"room": {"type": "string", "default": "a"}}},
                }}},
            }],
        },
    })
}

#[tokio::test]
async fn every_document_in_the_openapi_v3_index_is_served_with_an_etag() {
    let sim = Sim::new();
    let index = get(&sim, "/openapi/v3").await.ok();
    let paths = index["paths"].as_object().unwrap();
    assert!(
        paths.contains_key("apis/apps/v1") && paths.contains_key("apis") && paths.contains_key("version")
    );
    for (name, entry) in paths {
        let response = get(&sim, entry["serverRelativeURL"].as_str().unwrap()).await;
        assert!(response.headers.contains_key("etag"), "{name}");
        assert_eq!(response.ok()["openapi"], "3.0.0", "{name}");
    }
}

#[tokio::test]
async fn openapi_v2_and_v3_contain_a_new_definition_immediately() {
    let sim = Sim::new();
    let before = get(&sim, "/openapi/v2").await;
    post(&sim, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", shelf_definition()).await.ok();
    let index = get(&sim, "/openapi/v3").await.ok();
    let url = index["paths"]["apis/example.com/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    let document = get(&sim, &url).await.ok();
    let shelf = &document["components"]["schemas"]["com.example.v1.Shelf"];
    assert_eq!(shelf["description"], "A shelf.");
    assert_eq!(shelf["x-kubernetes-selectable-fields"], json!([{"fieldPath": "spec.room"}]));
    let item = &document["paths"]["/apis/example.com/v1/shelves/{name}"];
    assert_eq!(item["patch"]["operationId"], "patchExampleComV1Shelf");
    let after = get(&sim, "/openapi/v2").await;
    assert_ne!(before.headers["etag"], after.headers["etag"]);
    let room = &after.ok()["definitions"]["com.example.v1.Shelf"]["properties"]["spec"]["properties"]["room"];
    assert_eq!(room, &json!({"type": "string"}));
}

#[tokio::test]
async fn go_clients_get_openapi_v2_in_protobuf() {
    let sim = Sim::new();
    let requested = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let response = get_accepting(&sim, "/openapi/v2", requested).await;
    let content_type = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    assert_eq!(response.headers["content-type"], content_type);
    assert!(response.bytes.starts_with(b"\x0a\x032.0"), "{:?}", &response.bytes[..16]);
    get_accepting(&sim, "/openapi/v2", "application/xml").await.fails(406, "NotAcceptable");
}

#[tokio::test]
async fn requests_and_objects_are_counted() {
    let sim = Sim::new();
    get(&sim, "/api/v1/namespaces/default/pods").await.ok();
    get(&sim, "/api/v1/namespaces/default/pods/missing").await.fails(404, "NotFound");
    get(&sim, "/api/v1/any/name").await.fails(404, "NotFound");
    let response = get(&sim, "/metrics").await;
    assert_eq!(response.code, StatusCode::OK);
    let text = String::from_utf8(response.bytes.to_vec()).unwrap();
    let total = |labels: &str| text.contains(&format!("apiserver_request_total{{{labels}}} 1\n"));
    let pods = "component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"pods\"";
    let rest = "subresource=\"\"";
    assert!(
        total(&format!("code=\"200\",{pods},scope=\"namespace\",{rest},verb=\"LIST\",version=\"v1\"")),
        "{text}"
    );
    assert!(
        total(&format!("code=\"404\",{pods},scope=\"resource\",{rest},verb=\"GET\",version=\"v1\"")),
        "{text}"
    );
    let unserved = "code=\"404\",component=\"\",dry_run=\"\",group=\"\",resource=\"\",scope=\"\"";
    assert!(total(&format!("{unserved},{rest},verb=\"GET\",version=\"\"")), "{text}");
    assert!(text.contains("apiserver_resource_objects{group=\"\",resource=\"namespaces\"} 4\n"), "{text}");
}

#[tokio::test]
async fn the_metrics_api_reports_the_usage_that_the_test_sets_and_otherwise_half_of_the_resource_requests() {
    let sim = Sim::builder().nodes(1).metrics_api().build();
    let pod = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"nodeName": "node-0", "containers": [
                {"name": "main", "image": "a", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}},
            ]},
        })
    };
    sim.create(&pod("web")).unwrap();
    sim.create(&pod("waiting")).unwrap();
    let status = "/api/v1/namespaces/default/pods/web/status";
    merge_patch(&sim, status, json!({"status": {"phase": "Running"}})).await.ok();
    let pods = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods";
    let list = get(&sim, pods).await.ok();
    assert_eq!(list["kind"], "PodMetricsList");
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let usage = json!({"cpu": "500m", "memory": "524288Ki"});
    assert_eq!(list["items"][0]["containers"], json!([{"name": "main", "usage": usage}]));
    get(&sim, &format!("{pods}/waiting")).await.fails(404, "NotFound");
    let selected = get(&sim, &format!("{pods}?labelSelector=app%3Dother")).await.ok();
    assert_eq!(selected["items"], json!([]));

    let nodes = "/apis/metrics.k8s.io/v1beta1/nodes";
    assert_eq!(get(&sim, nodes).await.ok()["items"][0]["usage"]["cpu"], "600m");
    let usage = Usage { cpu_millicores: 30, memory_bytes: 2048 };
    sim.set_container_usage("default", "web", "main", Some(usage));
    assert_eq!(get(&sim, &format!("{pods}/web")).await.ok()["containers"][0]["usage"]["memory"], "2Ki");
    assert_eq!(get(&sim, &format!("{nodes}/node-0")).await.ok()["usage"]["cpu"], "130m");
    sim.set_node_usage("node-0", Some(usage));
    assert_eq!(
        get(&sim, &format!("{nodes}/node-0")).await.ok()["usage"],
        json!({"cpu": "30m", "memory": "2Ki"})
    );
    post(&sim, nodes, json!({})).await.fails(405, "MethodNotAllowed");

    let groups = get(&sim, "/apis").await.ok()["groups"].to_string();
    assert!(groups.contains("metrics.k8s.io/v1beta1"));
    let groups = get(&Sim::new(), "/apis").await.ok()["groups"].to_string();
    assert!(!groups.contains("metrics.k8s.io"));
}
