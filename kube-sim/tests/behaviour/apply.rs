//! Tests of server-side apply and managed fields, through `SimService`.

use crate::common::{CONFIG_MAPS, TestResponse, call_with_content_type, get, merge_patch, post};
use http::Method;
use kube_sim::Sim;
use serde_json::{Value, json};

/// Applies the config map `a` as the field manager `manager`; `more` contains further query parameters.
async fn apply(sim: &Sim, manager: &str, more: &str, body: Value) -> TestResponse {
    let path = format!("{CONFIG_MAPS}/a?fieldManager={manager}{more}");
    call_with_content_type(sim, Method::PATCH, &path, "application/apply-patch+yaml", body).await
}

fn config_map_with_data(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
}

#[tokio::test]
async fn a_field_manager_owns_the_fields_that_it_applies() {
    let sim = Sim::new();
    let created = apply(&sim, "one", "", config_map_with_data(&json!({"k": "1", "l": "1"}))).await;
    assert_eq!(created.code, 201);
    let created = created.ok();
    assert_eq!(created["metadata"]["managedFields"][0]["manager"], "one");
    assert_eq!(created["metadata"]["managedFields"][0]["operation"], "Apply");
    let before = sim.resource_version();
    assert_eq!(
        apply(&sim, "one", "", config_map_with_data(&json!({"k": "1", "l": "1"}))).await.ok(),
        created
    );
    assert_eq!(sim.resource_version(), before, "applying the same again changes nothing");

    let conflict = apply(&sim, "two", "", config_map_with_data(&json!({"k": "2"}))).await;
    assert_eq!(conflict.body["details"]["causes"][0]["field"], ".data.k");
    assert_eq!(conflict.body["details"]["causes"][0]["reason"], "FieldManagerConflict");
    let message = conflict.fails(409, "Conflict");
    assert_eq!(message, "Apply failed with 1 conflict: conflict with \"one\": .data.k");
    let forced = apply(&sim, "two", "&force=true", config_map_with_data(&json!({"k": "2"}))).await.ok();
    assert_eq!(forced["data"], json!({"k": "2", "l": "1"}));

    let dropped = apply(&sim, "one", "", config_map_with_data(&json!({}))).await.ok();
    assert_eq!(dropped["data"], json!({"k": "2"}));
}

#[tokio::test]
async fn every_write_updates_the_managed_fields() {
    let sim = Sim::new();
    let created = post(&sim, CONFIG_MAPS, config_map_with_data(&json!({"k": "1"}))).await.ok();
    let entry = &created["metadata"]["managedFields"][0];
    assert_eq!((&entry["manager"], &entry["operation"]), (&json!("tests"), &json!("Update")));
    assert_eq!(entry["fieldsV1"], json!({"f:data": {".": {}, "f:k": {}}}));
    merge_patch(&sim, &format!("{CONFIG_MAPS}/a?fieldManager=other"), json!({"data": {"l": "2"}})).await.ok();
    let fields = get(&sim, &format!("{CONFIG_MAPS}/a")).await.ok()["metadata"]["managedFields"].take();
    let managers: Vec<_> = fields.as_array().unwrap().iter().map(|f| f["manager"].clone()).collect();
    assert_eq!(managers, [json!("other"), json!("tests")]);
}

#[tokio::test]
async fn apply_needs_a_field_manager_and_a_complete_object() {
    let sim = Sim::new();
    let path = format!("{CONFIG_MAPS}/a");
    let kind = "application/apply-patch+yaml";
    let message = call_with_content_type(&sim, Method::PATCH, &path, kind, config_map_with_data(&json!({})))
        .await
        .fails(422, "Invalid");
    assert!(message.contains("fieldManager: Required value: is required for apply patch"), "{message}");
    apply(&sim, "one", "", json!({"metadata": {"name": "a"}})).await.fails(400, "BadRequest");
    let mut other = config_map_with_data(&json!({}));
    other["metadata"]["name"] = "b".into();
    apply(&sim, "one", "", other).await.fails(400, "BadRequest");
}

#[tokio::test]
async fn a_manager_that_applies_a_scale_owns_the_replica_count() {
    let sim = Sim::new();
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let template =
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": template});
    let deployment =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec});
    post(&sim, path, deployment).await.ok();
    let scale = json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"}, "spec": {"replicas": 4},
    });
    let apply = async |more: &str| {
        let path = format!("{path}/d/scale?fieldManager=scaler{more}");
        call_with_content_type(&sim, Method::PATCH, &path, "application/apply-patch+yaml", scale.clone())
            .await
    };
    let conflict =
        "Apply failed with 1 conflict: conflict with \"tests\" using autoscaling/v1: .spec.replicas";
    assert_eq!(apply("").await.fails(409, "Conflict"), conflict);
    assert_eq!(apply("&force=true").await.ok()["spec"]["replicas"], 4);
    let scaled = get(&sim, &format!("{path}/d")).await.ok();
    assert_eq!(scaled["spec"]["replicas"], 4);
    let managers = scaled["metadata"]["managedFields"].as_array().unwrap();
    let owner = managers.iter().find(|entry| entry["manager"] == "scaler").unwrap();
    assert_eq!(owner["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));
    assert_eq!((&owner["operation"], &owner["subresource"]), (&json!("Apply"), &json!("scale")));
    let creator = managers.iter().find(|entry| entry["manager"] == "tests").unwrap();
    assert_eq!(creator["fieldsV1"]["f:spec"].get("f:replicas"), None);
}
