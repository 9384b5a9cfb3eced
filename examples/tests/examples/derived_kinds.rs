//! Tests of the output of the examples about derived kinds.

use crate::support::{Cluster, RunningExample, assert_contains};
use kube_sim::Sim;
use serde_json::{Value, json};

/// Runs an example until it ends, asserts its success, and returns the lines of its stdout.
async fn output_of(example: &str) -> Vec<String> {
    let cluster = Cluster::new().await;
    let mut running: RunningExample = cluster.start(example);
    let status = running.wait_for_exit().await;
    assert!(status.success(), "{status}\n{}\n{}", running.stdout(), running.stderr());
    running.stdout().lines().map(str::to_owned).collect()
}

/// Creates CRDs in a simulated cluster, and returns the specs that the cluster has stored. `text` contains the CRDs as
/// JSON, as an example has printed them.
fn stored_crd_specs(text: &str) -> Vec<Value> {
    let sim = Sim::new();
    let crds = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    crds.map(|crd| sim.create(&crd.unwrap()).unwrap()["spec"].take()).collect()
}

#[tokio::test]
async fn crd_derive_prints_a_crd_that_a_server_accepts() {
    let crds = stored_crd_specs(&output_of("crd_derive").await.join("\n"));
    let version = &crds[0]["versions"][0];
    assert_eq!(crds[0]["names"]["shortNames"], json!(["cp"]));
    assert_eq!(version["additionalPrinterColumns"][1]["name"], "Ready");
    assert_eq!(version["selectableFields"], json!([{ "jsonPath": ".spec.engine" }]));
    assert_eq!(version["subresources"]["scale"]["specReplicasPath"], ".spec.replicas");
}

#[tokio::test]
async fn crd_derive_custom_schema_prints_crds_that_a_server_accepts() {
    let crds = stored_crd_specs(&output_of("crd_derive_custom_schema").await.join("\n"));
    let spec = |crd: usize| &crds[crd]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    assert_eq!(spec(0)["properties"]["port"]["maximum"].as_f64(), Some(65535.0));
    assert_eq!(spec(1)["properties"]["content"]["x-kubernetes-preserve-unknown-fields"], true);
}

#[tokio::test]
async fn crd_derive_schema_prints_a_refusal_and_defaults_and_merged_lists() {
    let lines = output_of("crd_derive_schema").await;
    assert_contains(&lines[0], &["refused", "spec.host", "Required value"]);
    let defaulted = json!({ "host": "example.com", "path": "/", "backends": [], "tags": [] });
    assert_eq!(lines[1], format!("with defaults: {defaulted}"));
    let merged: Value = serde_json::from_str(lines[2].strip_prefix("merged: ").unwrap()).unwrap();
    assert_eq!(merged["backends"], json!([{ "name": "a", "port": 80 }, { "name": "b", "port": 81 }]));
    assert_eq!(merged["tags"], json!(["first", "second"]));
}

#[tokio::test]
async fn crd_derive_multi_reads_objects_of_each_version_in_the_other_version() {
    let lines = output_of("crd_derive_multi").await;
    let expected = [
        "created as v1, read as v2: BackupSpec { volume: \"data\", schedule: None }",
        "replaced as v2, read as v1: BackupSpec { volume: \"data\" }",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn crd_derive_cel_and_the_server_report_the_same_errors() {
    let lines = output_of("crd_derive_cel").await;
    assert_eq!(lines[0], "here: spec: min must not be above max");
    assert_contains(&lines[1], &["server: ", "spec", "min must not be above max"]);
    assert_eq!(lines[2], "update here: spec.target: is immutable");
    assert_contains(&lines[3], &["update on the server: ", "spec.target", "is immutable"]);
}

#[tokio::test]
async fn crd_derive_no_schema_reads_an_object() {
    assert_eq!(output_of("crd_derive_no_schema").await, ["owner: ada"]);
}

#[tokio::test]
async fn crd_apply_merges_and_reports_the_conflict() {
    let lines = output_of("crd_apply").await;
    assert_eq!(lines[0], r#"merged: {"title":"Home","replicas":3}"#);
    assert_eq!(lines[1], "applied again, unchanged: true");
    assert_contains(&lines[2], &["conflict: ", "editor", ".spec.title"]);
    assert_eq!(lines[3], r#"forced: {"title":"Start","replicas":3}"#);
    assert_eq!(lines[4], r#"removed: {"replicas":3}, uid unchanged: true"#);
}

#[tokio::test]
async fn errorbounded_configmap_watcher_prints_why_an_object_does_not_decode() {
    let cluster = Cluster::new().await;
    let mut example = cluster.start("errorbounded_configmap_watcher");
    example.wait_for_stderr("watching config maps").await;
    let config_map = |name: &str, data: Value| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": data,
            "metadata": { "name": name, "namespace": "default", "labels": { "examples.dev/settings": "" } },
        })
    };
    cluster.create(&config_map("bad", json!({ "colour": "red" })));
    let line = example.wait_for_stdout("default/bad").await;
    assert_contains(&line, &["default/bad is invalid: ", "missing field `color`"]);
    cluster.create(&config_map("good", json!({ "color": "red" })));
    assert_eq!(example.wait_for_stdout("default/good").await, "default/good: red");
    example.stop().await;
}
