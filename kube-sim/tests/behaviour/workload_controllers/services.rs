//! Tests of the endpoints of services.

use serde_json::{Value, json};

use super::{advance, deployment, merge_patch, pods, sim};
use kube_sim::Sim;

fn create_service(sim: &Sim, spec: &Value) {
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "labels": {"tier": "front"}}, "spec": spec,
    });
    service["spec"]["selector"] = json!({"app": "web"});
    sim.create(&service).unwrap();
}

fn endpoint_slices(sim: &Sim) -> Vec<Value> {
    let all = sim.list("discovery.k8s.io/v1", "EndpointSlice", "default").unwrap();
    all.into_iter()
        .filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == "web")
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_slices_and_endpoints_follow_the_pods() {
    let sim = sim();
    create_service(&sim, &json!({"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}));
    assert!(endpoint_slices(&sim)[0]["endpoints"].as_array().is_none_or(Vec::is_empty));
    sim.create(&deployment(3, "web:1", &json!({}))).unwrap();
    let [slice] = &endpoint_slices(&sim)[..] else { panic!("one slice") };
    assert_eq!(slice["ports"], json!([{"name": "http", "port": 8080, "protocol": "TCP"}]));
    assert_eq!(slice["metadata"]["labels"]["tier"], "front");
    let endpoints = slice["endpoints"].as_array().unwrap();
    assert_eq!(endpoints.len(), 3);
    let pod = pods(&sim).into_iter().find(|pod| pod["metadata"]["name"] == endpoints[0]["targetRef"]["name"]);
    let pod = pod.expect("the target is a pod");
    assert_eq!(endpoints[0]["addresses"], json!([pod["status"]["podIP"]]));
    assert_eq!(endpoints[0]["nodeName"], pod["spec"]["nodeName"]);
    assert_eq!(endpoints[0]["conditions"], json!({"ready": true, "serving": true, "terminating": false}));
    let legacy = sim.get("v1", "Endpoints", "default", "web").unwrap();
    assert_eq!(legacy["subsets"][0]["addresses"].as_array().unwrap().len(), 3);
    assert_eq!(legacy["subsets"][0]["ports"], json!([{"name": "http", "port": 8080, "protocol": "TCP"}]));
    merge_patch(&sim, "/apis/apps/v1/namespaces/default/deployments/web", &json!({"spec": {"replicas": 1}}));
    advance(2).await;
    assert_eq!(endpoint_slices(&sim)[0]["endpoints"].as_array().unwrap().len(), 1);
    sim.delete("v1", "Service", "default", "web").unwrap();
    assert_eq!(endpoint_slices(&sim), Vec::<Value>::new());
    assert!(sim.get("v1", "Endpoints", "default", "web").unwrap_err().is_not_found());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_is_ready_only_if_its_pod_is_ready() {
    let sim = sim();
    create_service(&sim, &json!({"ports": [{"port": 80}]}));
    sim.create(&deployment(1, "web:1", &json!({"kube-sim/ready-after": "10s"}))).unwrap();
    let conditions = |sim: &Sim| endpoint_slices(sim)[0]["endpoints"][0]["conditions"]["ready"].clone();
    assert_eq!(conditions(&sim), false);
    let subset = |sim: &Sim| sim.get("v1", "Endpoints", "default", "web").unwrap()["subsets"][0].clone();
    assert!(subset(&sim)["notReadyAddresses"].is_array() && subset(&sim)["addresses"].is_null());
    advance(11).await;
    assert_eq!(conditions(&sim), true);
    assert!(subset(&sim)["notReadyAddresses"].is_null() && subset(&sim)["addresses"].is_array());
}

#[tokio::test(start_paused = true)]
async fn a_named_target_port_gets_the_port_number_of_the_container() {
    let sim = sim();
    create_service(&sim, &json!({"clusterIP": "None", "ports": [{"port": 80, "targetPort": "http"}]}));
    let mut web = deployment(1, "web:1", &json!({}));
    web["spec"]["template"]["spec"]["containers"][0]["ports"] =
        json!([{"name": "http", "containerPort": 8443}]);
    sim.create(&web).unwrap();
    assert_eq!(endpoint_slices(&sim)[0]["ports"][0]["port"], 8443);
    assert_eq!(endpoint_slices(&sim)[0]["metadata"]["labels"]["service.kubernetes.io/headless"], "");
}
