//! Tests of lists: selectors, chunking, resource versions, representations, compression.

use crate::common;
use crate::common::{CONFIG_MAPS, PODS, config_map, delete, get, get_accepting, pod, post};
use http::Request;
use http_body_util::Full;
use kube_sim::Sim;
use serde_json::{Value, json};

fn object_names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|i| i["metadata"]["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_list_contains_the_selected_objects_and_unsupported_field_selectors_are_rejected() {
    let sim = Sim::new();
    for (name, node) in [("a", "n1"), ("b", "n2"), ("c", "n1")] {
        let mut pod = pod(name);
        pod["spec"]["nodeName"] = node.into();
        pod["metadata"]["labels"] = json!({"app": name});
        post(&sim, PODS, pod).await.ok();
    }
    let pick = async |query: &str| {
        let list = get(&sim, &format!("{PODS}?{query}")).await.ok();
        object_names(&list).join(",")
    };
    assert_eq!(pick("fieldSelector=spec.nodeName%3Dn1").await, "a,c");
    assert_eq!(pick("fieldSelector=spec.nodeName!%3Dn1").await, "b");
    assert_eq!(pick("fieldSelector=metadata.name%3Db").await, "b");
    assert_eq!(pick("fieldSelector=status.phase%3DPending,spec.nodeName%3Dn1").await, "a,c");
    assert_eq!(pick("labelSelector=app%20in%20(a,b)").await, "a,b");
    let message = get(&sim, &format!("{PODS}?fieldSelector=spec.foo%3Dx")).await.fails(400, "BadRequest");
    assert_eq!(message, "field label not supported: spec.foo");
    get(&sim, &format!("{PODS}?labelSelector=a%20in%20b")).await.fails(400, "BadRequest");
    let message = get(&sim, &format!("{CONFIG_MAPS}?fieldSelector=x%3Dy")).await.fails(400, "BadRequest");
    assert!(message.contains("is not a known field selector: only \"metadata.name\""), "{message}");
}

#[tokio::test]
async fn the_pages_of_a_list_are_consistent_until_their_version_is_compacted() {
    let sim = Sim::new();
    for i in 0..5 {
        post(&sim, CONFIG_MAPS, config_map(&format!("m{i}"))).await.ok();
    }
    let first = get(&sim, &format!("{CONFIG_MAPS}?limit=2")).await.ok();
    assert_eq!(object_names(&first), ["m0", "m1"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    let token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    post(&sim, CONFIG_MAPS, config_map("m22")).await.ok();
    delete(&sim, &format!("{CONFIG_MAPS}/m3")).await.ok();
    let second = get(&sim, &format!("{CONFIG_MAPS}?limit=2&continue={token}")).await.ok();
    assert_eq!(object_names(&second), ["m2", "m3"]);
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    sim.compact_all();
    let late = get(&sim, &format!("{CONFIG_MAPS}?limit=2&continue={token}")).await;
    let fresh = late.body["metadata"]["continue"].as_str().unwrap().to_owned();
    late.fails(410, "Expired");
    let rest = get(&sim, &format!("{CONFIG_MAPS}?continue={fresh}")).await.ok();
    assert_eq!(object_names(&rest), ["m2", "m22", "m4"]);
    get(&sim, &format!("{CONFIG_MAPS}?continue=garbage")).await.fails(400, "BadRequest");
}

#[tokio::test(start_paused = true)]
async fn resource_version_match_selects_the_version_of_the_list() {
    let sim = Sim::new();
    let first = post(&sim, CONFIG_MAPS, config_map("a")).await.ok();
    let version = first["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    post(&sim, CONFIG_MAPS, config_map("b")).await.ok();
    let exact = format!("{CONFIG_MAPS}?resourceVersion={version}&resourceVersionMatch=Exact");
    let list = get(&sim, &exact).await.ok();
    assert_eq!(
        (object_names(&list), list["metadata"]["resourceVersion"].as_str().unwrap()),
        (vec!["a"], &*version)
    );
    let list = get(&sim, &format!("{CONFIG_MAPS}?resourceVersion={version}&limit=1")).await.ok();
    assert_eq!(object_names(&list), ["a"]);
    let list = get(&sim, &format!("{CONFIG_MAPS}?resourceVersion={version}")).await.ok();
    assert_eq!(object_names(&list), ["a", "b"]);
    let list = get(&sim, &format!("{CONFIG_MAPS}?resourceVersion=0&limit=1")).await.ok();
    assert_eq!(object_names(&list), ["a", "b"], "the limit is ignored for resource version 0");
    sim.compact_all();
    get(&sim, &exact).await.fails(410, "Expired");
    let response = get(&sim, &format!("{CONFIG_MAPS}?resourceVersion=9999")).await;
    assert_eq!(response.headers["retry-after"], "1");
    let message = response.fails(504, "Timeout");
    assert!(message.contains("Too large resource version: 9999, current:"), "{message}");
    get(&sim, &format!("{CONFIG_MAPS}?resourceVersionMatch=Exact")).await.fails(422, "Invalid");
    get(&sim, &format!("{CONFIG_MAPS}?resourceVersion=abc")).await.fails(400, "BadRequest");
}

#[tokio::test]
async fn items_of_built_in_kinds_omit_the_field_kind_in_lists() {
    let sim = Sim::new();
    post(&sim, CONFIG_MAPS, config_map("a")).await.ok();
    let response = get(&sim, CONFIG_MAPS).await;
    assert!(response.bytes.starts_with(b"{\"kind\":\"ConfigMapList\",\"apiVersion\":\"v1\",\"metadata\":{"));
    let list = response.ok();
    assert_eq!(list["items"][0].get("kind"), None);
    assert_eq!(list["items"][0]["data"]["k"], "v");
}

#[tokio::test]
async fn representations_are_negotiated() {
    let sim = Sim::new();
    post(&sim, PODS, pod("a")).await.ok();
    let table = get_accepting(&sim, PODS, "application/json;as=Table;v=v1;g=meta.k8s.io").await.ok();
    assert_eq!(table["kind"], "Table");
    assert_eq!(table["columnDefinitions"][0]["name"], "Name");
    assert_eq!(table["rows"][0]["cells"][0], "a");
    assert_eq!(table["rows"][0]["cells"][2], "Pending");
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let partial = get_accepting(&sim, PODS, accept).await.ok();
    assert_eq!(partial["items"][0]["metadata"]["name"], "a");
    assert_eq!(partial["items"][0].get("spec"), None);
    let yaml = get_accepting(&sim, &format!("{PODS}/a"), "application/yaml").await;
    assert!(yaml.bytes.starts_with(b"apiVersion: v1\n"), "{:?}", yaml.bytes);
    get_accepting(&sim, PODS, "text/html").await.fails(406, "NotAcceptable");
}

#[tokio::test]
async fn table_rows_contain_the_requested_part_of_the_object() {
    let sim = Sim::new();
    post(&sim, PODS, pod("a")).await.ok();
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    for path in [format!("{PODS}?"), format!("{PODS}/a?"), format!("{PODS}?watch=1&timeoutSeconds=1&")] {
        let row = async |include: &str| {
            let path = format!("{path}includeObject={include}");
            let response = get_accepting(&sim, &path, accept).await;
            let line = response.bytes.split(|b| *b == b'\n').next().unwrap();
            let table: serde_json::Value = serde_json::from_slice(line).unwrap();
            let table = table.get("object").unwrap_or(&table);
            assert_eq!(table["kind"], "Table", "{path}");
            table["rows"][0]["object"].clone()
        };
        assert_eq!(row("None").await, serde_json::Value::Null);
        for include in ["", "Metadata"] {
            let object = row(include).await;
            assert_eq!((&object["kind"], object.get("spec")), (&"PartialObjectMetadata".into(), None));
        }
        let object = row("Object").await;
        assert_eq!((&object["kind"], &object["metadata"]["name"]), (&"Pod".into(), &"a".into()));
        assert!(object["spec"]["containers"].is_array());
        get_accepting(&sim, &format!("{path}includeObject=All"), accept).await.fails(400, "BadRequest");
    }
    get_accepting(&sim, &format!("{PODS}?includeObject=All"), "application/json").await.ok();
}

#[tokio::test]
async fn large_lists_are_compressed_on_request() {
    let sim = Sim::new();
    for i in 0..20 {
        let mut map = config_map(&format!("m{i}"));
        map["data"]["k"] = "x".repeat(10_000).into();
        post(&sim, CONFIG_MAPS, map).await.ok();
    }
    let request = Request::get(CONFIG_MAPS).header("accept-encoding", "gzip").body(Full::default()).unwrap();
    let response = common::send(&sim, request).await;
    assert_eq!(response.headers["content-encoding"], "gzip");
    assert!(response.bytes.len() < 20_000, "{}", response.bytes.len());
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*response.bytes), &mut text).unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 20);
    assert!(get(&sim, CONFIG_MAPS).await.headers.get("content-encoding").is_none());
}

#[tokio::test]
async fn a_request_with_watch_false_is_a_list() {
    let sim = Sim::new();
    for value in ["false", "False", "FALSE", "0"] {
        let response = get(&sim, &format!("{CONFIG_MAPS}?watch={value}")).await.ok();
        assert_eq!(response["kind"], "ConfigMapList", "{value}");
    }
}
