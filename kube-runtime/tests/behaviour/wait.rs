//! Tests of waits for conditions of objects, and for deletions.

use crate::common::{client, delete_map, error_chain, format_map, maps, put_map};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_client::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube_client::{Api, ResourceExt};
use kube_runtime::wait::delete::{self, delete_and_finalize, delete_and_finalize_within};
use kube_runtime::wait::{Condition, Error, await_condition, await_condition_within, conditions};
use kube_sim::{Sim, fault};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// The condition that the config map exists and has this value.
fn has_value(value: &'static str) -> impl Condition<ConfigMap> {
    move |map: Option<&ConfigMap>| map.is_some_and(|map| format_map(map).ends_with(&format!("={value}")))
}

/// Checks that the condition returns `expected` for the object with this JSON, and `false` for an absent object.
#[track_caller]
fn check_condition<K: DeserializeOwned>(condition: &impl Condition<K>, object: Value, expected: bool) {
    let shown = object.to_string();
    let object: K = serde_json::from_value(object).unwrap();
    assert_eq!(condition.matches_object(Some(&object)), expected, "{shown}");
    assert!(!condition.matches_object(None), "an absent object");
}

#[tokio::test(start_paused = true)]
async fn a_wait_returns_the_first_state_that_satisfies_the_condition() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let current = await_condition(maps(&sim), "a", has_value("1")).await.unwrap();
    assert_eq!(format_map(&current.unwrap()), "a=1");
    let wait = tokio::spawn(await_condition(maps(&sim), "a", has_value("3")));
    for value in ["2", "3", "4"] {
        tokio::time::sleep(MINUTE).await;
        put_map(&sim, "a", value);
    }
    assert_eq!(format_map(&wait.await.unwrap().unwrap().unwrap()), "a=3");
}

#[tokio::test(start_paused = true)]
async fn the_state_of_an_absent_object_is_none() {
    let sim = Sim::new();
    put_map(&sim, "other", "1");
    let absent = conditions::is_created::<ConfigMap>().not();
    assert!(await_condition(maps(&sim), "a", absent).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_wait_survives_failures_of_lists_and_watches() {
    let sim = Sim::new();
    for action in
        [fault::Action::status(500), fault::Action::Reset, fault::Action::status_retry_after(429, 1)]
    {
        sim.faults().add(fault::Rule::new(action).resource("configmaps").times(3));
    }
    let wait = tokio::spawn(await_condition(maps(&sim), "a", has_value("2")));
    tokio::time::sleep(10 * MINUTE).await;
    put_map(&sim, "a", "1");
    sim.compact_all();
    sim.end_watches();
    tokio::time::sleep(10 * MINUTE).await;
    put_map(&sim, "a", "2");
    assert_eq!(format_map(&wait.await.unwrap().unwrap().unwrap()), "a=2");
}

#[tokio::test(start_paused = true)]
async fn a_wait_continues_while_the_kind_does_not_exist() {
    let sim = Sim::new();
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Widget"));
    let widgets: Api<DynamicObject> = Api::default_namespaced_with(client(&sim), &kind);
    let wait = tokio::spawn(await_condition(widgets, "a", conditions::is_created()));
    tokio::time::sleep(MINUTE).await;
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    sim.create(&json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]}}))
        .unwrap();
    let crds: Api<CustomResourceDefinition> = Api::all(client(&sim));
    await_condition(crds, "widgets.example.com", conditions::is_crd_established()).await.unwrap();
    sim.create(&json!({"apiVersion": "example.com/v1", "kind": "Widget",
        "metadata": {"name": "a", "namespace": "default"}}))
        .unwrap();
    assert_eq!(wait.await.unwrap().unwrap().unwrap().name_any(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_forbidden_watch_ends_the_wait() {
    let sim = Sim::new();
    sim.faults().add(fault::Rule::new(fault::Action::status(403)).resource("configmaps"));
    let error = await_condition(maps(&sim), "a", has_value("1")).await.unwrap_err();
    assert!(error.watch_error().unwrap().status().unwrap().is_forbidden(), "{error}");
    assert!(error.to_string().contains("/api/v1/namespaces/default/configmaps"), "{error}");
    assert!(!error.is_timeout());
}

#[tokio::test(start_paused = true)]
async fn an_object_that_does_not_decode_ends_the_wait() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let bytes = br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":3}"#;
    let action = fault::Action::ReplaceObject { name: "a".into(), bytes: bytes.as_slice().into() };
    sim.faults().add(fault::Rule::new(action));
    let error = await_condition(maps(&sim), "a", has_value("1")).await.unwrap_err();
    assert_eq!(error.watch_error().unwrap().undecodable().unwrap().name.as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_error_contains_the_object_and_the_last_failure_of_the_watch() {
    let sim = Sim::new();
    let error = await_condition_within(maps(&sim), "a", has_value("1"), MINUTE).await.unwrap_err();
    assert!(matches!(&error, Error::TimedOut { last: None, .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "timed out after 60s waiting for a condition of /api/v1/namespaces/default/configmaps/a"
    );
    sim.faults().add(fault::Rule::new(fault::Action::status(500)).resource("configmaps"));
    let error = await_condition_within(maps(&sim), "a", has_value("1"), MINUTE).await.unwrap_err();
    assert!(
        error.is_timeout() && error.to_string().contains("; the last failure of its watch: cannot"),
        "{error}"
    );
    assert_eq!(error.watch_error().unwrap().status().unwrap().code, 500);
    let text = error_chain(&error);
    assert_eq!(text.matches("waiting for a condition").count(), 1, "{text}");
    put_map(&sim, "a", "1");
    sim.faults().clear();
    let forever = await_condition_within(maps(&sim), "a", has_value("1"), Duration::MAX).await;
    assert_eq!(format_existing_map(forever.unwrap()), "a=1");
}

/// Formats a config map that must exist.
fn format_existing_map(map: Option<ConfigMap>) -> String {
    format_map(&map.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_deletion_waits_until_the_finalizers_are_removed() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let set = |finalizers: Value| {
        let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
        let maps = maps(&sim);
        async move { maps.patch("a", &PatchParams::default(), &patch).await.unwrap() }
    };
    set(json!(["example.com/hold"])).await;
    let params = DeleteParams::default();
    let error = delete_and_finalize_within(maps(&sim), "a", &params, MINUTE).await.unwrap_err();
    assert!(matches!(&error, delete::Error::Await(error) if error.is_timeout()), "{error}");
    let held = maps(&sim);
    let wait = tokio::spawn(async move { delete_and_finalize(held, "a", &DeleteParams::default()).await });
    tokio::time::sleep(MINUTE).await;
    assert!(!wait.is_finished());
    set(json!(null)).await;
    wait.await.unwrap().unwrap();
    assert!(maps(&sim).get_opt("a").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn is_deleted_is_true_for_a_new_object_of_the_same_name() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let uid = maps(&sim).get("a").await.unwrap().uid().unwrap();
    delete_map(&sim, "a");
    put_map(&sim, "a", "2");
    let is_deleted = conditions::is_deleted::<ConfigMap>(&uid);
    let state = await_condition(maps(&sim), "a", is_deleted).await.unwrap();
    assert_eq!(format_existing_map(state), "a=2");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_in_a_dry_run_does_not_wait() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    delete_and_finalize(maps(&sim), "a", &DeleteParams::default().dry_run()).await.unwrap();
    assert!(maps(&sim).get_opt("a").await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn deleting_an_absent_object_returns_an_error_with_the_object_path() {
    let sim = Sim::new();
    let error = delete_and_finalize(maps(&sim), "a", &DeleteParams::default()).await.unwrap_err();
    assert!(matches!(&error, delete::Error::Delete { source, .. } if source.is_not_found()));
    assert!(
        error.to_string().starts_with("cannot delete /api/v1/namespaces/default/configmaps/a: "),
        "{error}"
    );
}

#[test]
fn conditions_of_pods_jobs_and_crds_follow_their_status() {
    check_condition::<Pod>(&conditions::is_pod_running(), json!({"status": {"phase": "Running"}}), true);
    check_condition::<Pod>(&conditions::is_pod_running(), json!({"status": {"phase": "Pending"}}), false);
    check_condition::<Pod>(&conditions::is_pod_running(), json!({}), false);
    for (name, status, expected) in
        [("Complete", "True", true), ("Complete", "False", false), ("Failed", "True", false)]
    {
        let object = json!({"status": {"conditions": [{"type": name, "status": status}]}});
        check_condition::<Job>(&conditions::is_job_completed(), object, expected);
    }
    for (name, status, expected) in
        [("Established", "True", true), ("Established", "False", false), ("NamesAccepted", "True", false)]
    {
        let object = json!({"spec": {"group": "", "names": {"kind": "", "plural": ""}, "scope": "", "versions": []},
            "status": {"conditions": [{"type": name, "status": status}]}});
        check_condition::<CustomResourceDefinition>(&conditions::is_crd_established(), object, expected);
    }
}

#[test]
fn a_rollout_is_complete_only_if_the_current_generation_is_observed() {
    let object = |generation: u32, observed: u32, status: &str, reason: &str| {
        json!({"metadata": {"generation": generation}, "status": {"observedGeneration": observed,
            "conditions": [{"type": "Progressing", "status": status, "reason": reason}]}})
    };
    let completed = conditions::is_deployment_completed();
    check_condition::<Deployment>(&completed, object(2, 2, "True", "NewReplicaSetAvailable"), true);
    check_condition::<Deployment>(&completed, object(3, 2, "True", "NewReplicaSetAvailable"), false);
    check_condition::<Deployment>(&completed, object(2, 2, "True", "ReplicaSetUpdated"), false);
    check_condition::<Deployment>(&completed, object(2, 2, "False", "NewReplicaSetAvailable"), false);
    check_condition::<Deployment>(&completed, json!({}), false);
}

#[test]
fn a_load_balancer_is_provisioned_when_every_entry_has_an_address() {
    let cases = [
        (json!([{"ip": "10.0.0.1"}, {"hostname": "a.example.com"}]), true),
        (json!([{"ip": "10.0.0.1"}, {}]), false),
        (json!([]), false),
        (json!(null), false),
    ];
    for (addresses, expected) in cases {
        let status = json!({"loadBalancer": {"ingress": addresses}});
        let service = json!({"spec": {"type": "LoadBalancer"}, "status": status});
        check_condition::<Service>(&conditions::is_service_loadbalancer_provisioned(), service, expected);
        check_condition::<Ingress>(
            &conditions::is_ingress_provisioned(),
            json!({"status": status}),
            expected,
        );
    }
    check_condition::<Service>(
        &conditions::is_service_loadbalancer_provisioned(),
        json!({"spec": {"type": "ClusterIP"}}),
        true,
    );
}

#[test]
fn combinators_negate_and_combine_conditions() {
    let yes = |_: Option<&Pod>| true;
    let no = |_: Option<&Pod>| false;
    let is = |condition: &dyn Condition<Pod>| condition.matches_object(None);
    assert!(is(&no.not()) && !is(&yes.not()));
    assert!(is(&yes.and(yes)) && !is(&yes.and(no)) && !is(&no.and(yes)));
    assert!(is(&yes.or(no)) && is(&no.or(yes)) && !is(&no.or(no)));
}
