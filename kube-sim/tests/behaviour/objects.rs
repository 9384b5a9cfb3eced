//! Tests of create, get, update and delete, through `SimService`.

use crate::common;
use crate::common::{CONFIG_MAPS, PODS, call, config_map, delete, get, merge_patch, pod, post, put};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use kube_sim::Sim;
use serde_json::{Value, json};

#[tokio::test]
async fn create_sets_the_system_fields() {
    let sim = Sim::new();
    let response = post(&sim, CONFIG_MAPS, config_map("a")).await;
    assert_eq!(response.code, 201);
    let map = response.ok();
    assert_eq!(map["metadata"]["namespace"], "default");
    assert_eq!(map["metadata"]["uid"].as_str().unwrap().len(), 36);
    assert!(map["metadata"]["creationTimestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!(map["metadata"]["resourceVersion"], sim.resource_version().to_string());
    assert_eq!(get(&sim, &format!("{CONFIG_MAPS}/a")).await.ok(), map);
}

#[tokio::test]
async fn names_are_generated_and_validated() {
    let sim = Sim::new();
    let mut map = config_map("");
    map["metadata"] = json!({"generateName": "x-"});
    let created = post(&sim, CONFIG_MAPS, map.clone()).await.ok();
    let name = created["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("x-") && name.len() == 7, "{name}");
    map["metadata"] = json!({});
    let message = post(&sim, CONFIG_MAPS, map.clone()).await.fails(422, "Invalid");
    assert!(message.contains("metadata.name: Required value: name or generateName is required"), "{message}");
    map["metadata"] = json!({"name": "No_Good"});
    let message = post(&sim, CONFIG_MAPS, map).await.fails(422, "Invalid");
    assert!(
        message.starts_with("ConfigMap \"No_Good\" is invalid: metadata.name: Invalid value:"),
        "{message}"
    );
}

#[tokio::test]
async fn errors_are_status_objects_but_an_unknown_path_gets_plain_text() {
    let sim = Sim::new();
    post(&sim, CONFIG_MAPS, config_map("a")).await.ok();
    let again = post(&sim, CONFIG_MAPS, config_map("a")).await;
    assert_eq!(again.body["details"], json!({"name": "a", "kind": "configmaps"}));
    assert_eq!(again.fails(409, "AlreadyExists"), "configmaps \"a\" already exists");
    let missing = get(&sim, &format!("{CONFIG_MAPS}/b")).await.fails(404, "NotFound");
    assert_eq!(missing, "configmaps \"b\" not found");
    let nowhere = post(&sim, "/api/v1/namespaces/nowhere/configmaps", config_map("a")).await;
    assert_eq!(nowhere.fails(404, "NotFound"), "namespaces \"nowhere\" not found");
    let mut elsewhere = config_map("c");
    elsewhere["metadata"]["namespace"] = "kube-system".into();
    post(&sim, CONFIG_MAPS, elsewhere).await.fails(400, "BadRequest");
    let mut other = config_map("c");
    other["kind"] = "Secret".into();
    post(&sim, CONFIG_MAPS, other).await.fails(400, "BadRequest");
    call(&sim, Method::POST, &format!("{CONFIG_MAPS}/a"), config_map("a"))
        .await
        .fails(405, "MethodNotAllowed");
    assert_eq!(get(&sim, "/apis/none/v1/things").await.bytes, "404 page not found\n");
}

#[tokio::test]
async fn an_update_of_an_old_version_is_a_conflict() {
    let sim = Sim::new();
    let path = format!("{CONFIG_MAPS}/a");
    let first = post(&sim, CONFIG_MAPS, config_map("a")).await.ok();
    let mut next = first.clone();
    next["data"]["k"] = "w".into();
    let second = put(&sim, &path, next.clone()).await.ok();
    assert_ne!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    assert_eq!(second["metadata"]["uid"], first["metadata"]["uid"]);
    let message = put(&sim, &path, next).await.fails(409, "Conflict");
    assert_eq!(
        message,
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
    );
    // An update without changes and without a resource version succeeds, and the server writes nothing.
    let before = sim.resource_version();
    let mut same = second.clone();
    same["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    assert_eq!(put(&sim, &path, same).await.ok(), second);
    assert_eq!(sim.resource_version(), before);
    let mut renamed = second;
    renamed["metadata"]["name"] = "b".into();
    put(&sim, &path, renamed).await.fails(400, "BadRequest");
}

#[tokio::test]
async fn changes_of_the_spec_increment_the_generation_and_the_status_is_a_subresource() {
    let sim = Sim::new();
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let deployment = json!({
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        },
        "status": {"replicas": 7},
    });
    let created = post(&sim, path, deployment).await.ok();
    assert_eq!(created["metadata"]["generation"], 1);
    assert_eq!(created["status"], json!({}));
    assert_eq!(created["apiVersion"], "apps/v1");
    let one = format!("{path}/web");
    let labelled = merge_patch(&sim, &one, json!({"metadata": {"labels": {"a": "b"}}})).await.ok();
    assert_eq!(labelled["metadata"]["generation"], 1);
    let scaled =
        merge_patch(&sim, &one, json!({"spec": {"replicas": 3}, "status": {"replicas": 9}})).await.ok();
    assert_eq!(scaled["metadata"]["generation"], 2);
    assert_eq!(scaled["status"], json!({}));
    let status = json!({"spec": {"replicas": 5}, "status": {"replicas": 3}});
    let reported = merge_patch(&sim, &format!("{one}/status"), status).await.ok();
    assert_eq!(reported["metadata"]["generation"], 2);
    assert_eq!(reported["spec"]["replicas"], 3);
    assert_eq!(reported["status"]["replicas"], 3);
    let scale = get(&sim, &format!("{one}/scale")).await.ok();
    assert_eq!(scale["spec"]["replicas"], 3);
    assert_eq!(scale["status"], json!({"replicas": 3, "selector": "app=web"}));
    merge_patch(&sim, &format!("{one}/scale"), json!({"spec": {"replicas": 4}})).await.ok();
    assert_eq!(get(&sim, &one).await.ok()["metadata"]["generation"], 3);
}

#[tokio::test]
async fn finalizers_defer_the_removal_of_an_object() {
    let sim = Sim::new();
    let path = format!("{CONFIG_MAPS}/a");
    let mut map = config_map("a");
    map["metadata"]["finalizers"] = json!(["example.com/hold"]);
    post(&sim, CONFIG_MAPS, map).await.ok();
    let marked = delete(&sim, &path).await.ok();
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);
    let message =
        merge_patch(&sim, &path, json!({"metadata": {"finalizers": ["example.com/hold", "example.com/b"]}}))
            .await
            .fails(422, "Invalid");
    assert!(message.contains("no new finalizers can be added if the object is being deleted"), "{message}");
    merge_patch(&sim, &path, json!({"metadata": {"finalizers": null}})).await.ok();
    get(&sim, &path).await.fails(404, "NotFound");
}

#[tokio::test]
async fn deletion_respects_preconditions_and_dry_runs() {
    let sim = Sim::new();
    let path = format!("{CONFIG_MAPS}/a");
    let map = post(&sim, CONFIG_MAPS, config_map("a")).await.ok();
    let options = json!({"preconditions": {"uid": "other"}});
    call(&sim, Method::DELETE, &path, options).await.fails(409, "Conflict");
    delete(&sim, &format!("{path}?dryRun=All")).await.ok();
    get(&sim, &path).await.ok();
    let deleted = delete(&sim, &path).await.ok();
    assert_eq!(deleted["status"], "Success");
    assert_eq!(deleted["details"]["uid"], map["metadata"]["uid"]);
    delete(&sim, &path).await.fails(404, "NotFound");
    let before = sim.resource_version();
    assert_eq!(post(&sim, &format!("{CONFIG_MAPS}?dryRun=All"), config_map("b")).await.code, 201);
    assert_eq!(sim.resource_version(), before);
    get(&sim, &format!("{CONFIG_MAPS}/b")).await.fails(404, "NotFound");
}

#[tokio::test]
async fn deleting_a_namespace_deletes_its_contents() {
    let sim = Sim::new();
    post(&sim, "/api/v1/namespaces", json!({"metadata": {"name": "x"}})).await.ok();
    let mut held = config_map("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let maps = "/api/v1/namespaces/x/configmaps";
    post(&sim, maps, held).await.ok();
    post(&sim, maps, config_map("free")).await.ok();
    let namespace = delete(&sim, "/api/v1/namespaces/x").await.ok();
    assert_eq!(namespace["status"]["phase"], "Terminating");
    get(&sim, &format!("{maps}/free")).await.fails(404, "NotFound");
    let late = post(&sim, maps, config_map("late")).await;
    assert_eq!(late.body["details"]["causes"][0]["reason"], "NamespaceTerminating");
    late.fails(403, "Forbidden");
    merge_patch(&sim, &format!("{maps}/held"), json!({"metadata": {"finalizers": null}})).await.ok();
    get(&sim, "/api/v1/namespaces/x").await.fails(404, "NotFound");
}

/// A config map with an owner reference to the config map `owner`; `blocks` is the value of `blockOwnerDeletion`.
fn config_map_owned_by(name: &str, owner: &Value, blocks: bool) -> Value {
    let mut map = config_map(name);
    map["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "blockOwnerDeletion": blocks,
    }]);
    map
}

#[tokio::test]
async fn the_propagation_policy_determines_the_deletion_of_dependents() {
    let sim = Sim::new();
    for (policy, stays) in [("Background", false), ("Foreground", false), ("Orphan", true)] {
        let owner = post(&sim, CONFIG_MAPS, config_map("owner")).await.ok();
        let child = post(&sim, CONFIG_MAPS, config_map_owned_by("child", &owner, true)).await.ok();
        post(&sim, CONFIG_MAPS, config_map_owned_by("grandchild", &child, true)).await.ok();
        delete(&sim, &format!("{CONFIG_MAPS}/owner?propagationPolicy={policy}")).await.ok();
        get(&sim, &format!("{CONFIG_MAPS}/owner")).await.fails(404, "NotFound");
        let left = get(&sim, &format!("{CONFIG_MAPS}/child")).await;
        if stays {
            assert_eq!(left.ok()["metadata"].get("ownerReferences"), None);
            delete(&sim, &format!("{CONFIG_MAPS}/child")).await.ok();
        } else {
            left.fails(404, "NotFound");
        }
        get(&sim, &format!("{CONFIG_MAPS}/grandchild")).await.fails(404, "NotFound");
    }
}

#[tokio::test]
async fn an_owner_deleted_in_the_foreground_waits_for_its_blocking_dependents() {
    let sim = Sim::new();
    let owner = post(&sim, CONFIG_MAPS, config_map("owner")).await.ok();
    let mut child = config_map_owned_by("child", &owner, true);
    child["metadata"]["finalizers"] = json!(["example.com/hold"]);
    post(&sim, CONFIG_MAPS, child).await.ok();
    delete(&sim, &format!("{CONFIG_MAPS}/owner?propagationPolicy=Foreground")).await.ok();
    let waiting = get(&sim, &format!("{CONFIG_MAPS}/owner")).await.ok();
    assert_eq!(waiting["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    merge_patch(&sim, &format!("{CONFIG_MAPS}/child"), json!({"metadata": {"finalizers": []}})).await.ok();
    get(&sim, &format!("{CONFIG_MAPS}/owner")).await.fails(404, "NotFound");
}

#[tokio::test(start_paused = true)]
async fn an_object_without_existing_owners_is_garbage_collected() {
    let sim = Sim::new();
    let owner = post(&sim, CONFIG_MAPS, config_map("owner")).await.ok();
    let deleted = post(&sim, CONFIG_MAPS, config_map("gone")).await.ok();
    delete(&sim, &format!("{CONFIG_MAPS}/gone")).await.ok();
    post(&sim, CONFIG_MAPS, config_map_owned_by("late", &deleted, true)).await.ok();
    post(&sim, CONFIG_MAPS, config_map_owned_by("adopted", &deleted, true)).await.ok();
    post(&sim, CONFIG_MAPS, config_map_owned_by("child", &owner, true)).await.ok();
    let reference = config_map_owned_by("adopted", &owner, true)["metadata"]["ownerReferences"].take();
    let adopt = json!({"metadata": {"ownerReferences": reference}});
    merge_patch(&sim, &format!("{CONFIG_MAPS}/adopted"), adopt).await.ok();
    get(&sim, &format!("{CONFIG_MAPS}/late")).await.ok();
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    get(&sim, &format!("{CONFIG_MAPS}/late")).await.fails(404, "NotFound");
    get(&sim, &format!("{CONFIG_MAPS}/adopted")).await.ok();
    get(&sim, &format!("{CONFIG_MAPS}/child")).await.ok();
}

#[tokio::test(start_paused = true)]
async fn deletion_of_a_scheduled_pod_is_graceful() {
    let sim = Sim::new();
    let mut placed = pod("placed");
    placed["spec"]["nodeName"] = "node-0".into();
    post(&sim, PODS, placed).await.ok();
    post(&sim, PODS, pod("waiting")).await.ok();
    delete(&sim, &format!("{PODS}/waiting")).await.ok();
    get(&sim, &format!("{PODS}/waiting")).await.fails(404, "NotFound");
    let marked = delete(&sim, &format!("{PODS}/placed")).await.ok();
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 30);
    get(&sim, &format!("{PODS}/placed")).await.ok();
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    get(&sim, &format!("{PODS}/placed")).await.fails(404, "NotFound");
}

#[tokio::test]
async fn deletecollection_deletes_the_objects_that_the_selector_matches() {
    let sim = Sim::new();
    for name in ["a", "b", "c"] {
        let mut map = config_map(name);
        map["metadata"]["labels"] = json!({"keep": (name == "b").to_string()});
        post(&sim, CONFIG_MAPS, map).await.ok();
    }
    let deleted = delete(&sim, &format!("{CONFIG_MAPS}?labelSelector=keep%3Dfalse")).await.ok();
    assert_eq!(deleted["items"].as_array().unwrap().len(), 2);
    let left = get(&sim, CONFIG_MAPS).await.ok();
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
}

/// A length-delimited field in the Protobuf wire format.
fn protobuf_field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
    out.extend_from_slice(content);
    out
}

#[tokio::test]
async fn request_bodies_can_be_protobuf() {
    let sim = Sim::new();
    let meta = [protobuf_field(1, b"v1"), protobuf_field(2, b"Namespace")].concat();
    let body = [
        b"k8s\0".to_vec(),
        protobuf_field(1, &meta),
        protobuf_field(2, &protobuf_field(1, &protobuf_field(1, b"made"))),
    ]
    .concat();
    let request = http::Request::post("/api/v1/namespaces")
        .header("content-type", "application/vnd.kubernetes.protobuf")
        .header("accept", "application/json")
        .body(http_body_util::Full::from(body))
        .unwrap();
    let response = common::send(&sim, request).await;
    assert_eq!(response.headers["content-type"], "application/json");
    assert_eq!(response.ok()["metadata"]["name"], "made");
    assert_eq!(get(&sim, "/api/v1/namespaces/made").await.ok()["status"]["phase"], "Active");
}

#[tokio::test]
async fn too_large_and_malformed_bodies_are_refused() {
    let sim = Sim::new();
    let mut large = config_map("a");
    large["data"]["k"] = "x".repeat(4 << 20).into();
    post(&sim, CONFIG_MAPS, large).await.fails(413, "RequestEntityTooLarge");
    for body in
        ["{", "[]", "7", "{\"metadata\": 7}", "{\"metadata\": {\"name\": 7}}", "{\"data\": {\"k\": 7}}"]
    {
        let request = http::Request::post(CONFIG_MAPS).body(http_body_util::Full::from(body)).unwrap();
        common::send(&sim, request).await.fails(400, "BadRequest");
    }
    let deep = format!("{{\"data\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let request = http::Request::post(CONFIG_MAPS).body(http_body_util::Full::from(deep)).unwrap();
    common::send(&sim, request).await.fails(400, "BadRequest");
    let request = http::Request::post(CONFIG_MAPS)
        .header("content-type", "text/csv")
        .body(http_body_util::Full::from("a"))
        .unwrap();
    common::send(&sim, request).await.fails(415, "UnsupportedMediaType");
}

#[tokio::test]
async fn the_storage_refuses_a_create_with_a_nonzero_resource_version() {
    let sim = Sim::new();
    let versioned = |name: &str, version: &str| {
        let mut map = config_map(name);
        map["metadata"]["resourceVersion"] = version.into();
        map
    };
    for (name, version, path) in [("a", "0", ""), ("b", "abc", ""), ("c", "5", "?dryRun=All")] {
        let response = post(&sim, &format!("{CONFIG_MAPS}{path}"), versioned(name, version)).await;
        assert_eq!(response.code, 201, "{version}{path}");
    }
    let stored = get(&sim, &format!("{CONFIG_MAPS}/b")).await.ok();
    assert_ne!(stored["metadata"]["resourceVersion"], "abc");
    assert_eq!(post(&sim, CONFIG_MAPS, versioned("d", "5")).await.code, 500);
}

#[tokio::test]
async fn config_maps_and_secrets_are_limited_to_one_mebibyte() {
    const DATA_LIMIT: usize = 1 << 20;
    let sim = Sim::new();
    let encoded = |length: usize| STANDARD.encode("a".repeat(length));
    let half = DATA_LIMIT / 2;
    for (kind, plural, words, fits, data) in [
        ("ConfigMap", "configmaps", "[]", true, json!({"data": {"k": "a".repeat(DATA_LIMIT)}})),
        ("ConfigMap", "configmaps", "[]", false, json!({"data": {"k": "a".repeat(DATA_LIMIT + 1)}})),
        ("ConfigMap", "configmaps", "[]", true, json!({"binaryData": {"k": encoded(DATA_LIMIT)}})),
        ("ConfigMap", "configmaps", "[]", false, json!({"binaryData": {"k": encoded(DATA_LIMIT + 1)}})),
        (
            "ConfigMap",
            "configmaps",
            "[]",
            false,
            json!({"data": {"k": "a".repeat(half)}, "binaryData": {"l": encoded(half + 1)}}),
        ),
        ("Secret", "secrets", "data", true, json!({"data": {"k": encoded(DATA_LIMIT)}})),
        ("Secret", "secrets", "data", false, json!({"data": {"k": encoded(half), "l": encoded(half + 1)}})),
        ("Secret", "secrets", "data", false, json!({"stringData": {"k": "a".repeat(DATA_LIMIT + 1)}})),
    ] {
        let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "big"}});
        object.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
        let path = format!("/api/v1/namespaces/default/{plural}?dryRun=All");
        let response = post(&sim, &path, object).await;
        if fits {
            response.ok();
        } else {
            let message = response.fails(422, "Invalid");
            let end = format!("is invalid: {words}: Too long: may not be more than 1048576 bytes");
            assert!(message.ends_with(&end), "{message}");
        }
    }
}

#[tokio::test]
async fn the_request_size_limit_of_etcd_applies_to_custom_resources() {
    let sim = Sim::new();
    let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let version = json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": any}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "bigs.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "bigs", "kind": "Big"}, "versions": [version]},
    });
    sim.create(&definition).unwrap();
    let path = "/apis/example.com/v1/namespaces/default/bigs";
    let big = |name: &str, length: usize| json!({"apiVersion": "example.com/v1", "kind": "Big", "metadata": {"name": name}, "x": "a".repeat(length)});
    post(&sim, path, big("a", 1_570_000)).await.ok();
    let message = post(&sim, path, big("b", 1_573_000)).await.fails(500, "");
    assert_eq!(message, "etcdserver: request is too large");
    let message = post(&sim, path, big("b", 2 << 20)).await.fails(500, "");
    assert!(
        message.starts_with(
            "rpc error: code = ResourceExhausted desc = trying to send message larger than max ("
        )
    );
    assert!(message.ends_with(" vs. 2097152)"), "{message}");
    // etcd's limit on the size of a request also applies to updates. A refused update changes nothing.
    merge_patch(&sim, &format!("{path}/a"), json!({"y": "a".repeat(3000)})).await.fails(500, "");
    assert_eq!(get(&sim, &format!("{path}/a")).await.ok().get("y"), None);
}
