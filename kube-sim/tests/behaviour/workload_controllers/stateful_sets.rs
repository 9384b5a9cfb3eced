//! Tests of the stateful set controller.

use serde_json::{Value, json};

use super::{advance, condition, merge_patch, pod_template, pods, sim};
use kube_sim::Sim;

const STATEFUL_SET_PATH: &str = "/apis/apps/v1/namespaces/default/statefulsets/db";

fn create(sim: &Sim, replicas: u32, spec: &Value, annotations: &Value) {
    let mut set =
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}, "spec": spec});
    set["spec"]["replicas"] = replicas.into();
    set["spec"]["serviceName"] = "db".into();
    set["spec"]["selector"] = json!({"matchLabels": {"app": "web"}});
    set["spec"]["template"] = pod_template("db:1", annotations);
    sim.create(&set).unwrap();
}

fn pod_names(sim: &Sim) -> Vec<String> {
    pods(sim).iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn status(sim: &Sim) -> Value {
    sim.get("apps/v1", "StatefulSet", "default", "db").unwrap()["status"].clone()
}

#[tokio::test(start_paused = true)]
async fn pods_are_created_in_the_order_of_their_ordinals_and_deleted_in_reverse_order() {
    let sim = sim();
    create(&sim, 3, &json!({}), &json!({"kube-sim/ready-after": "10s"}));
    assert_eq!(pod_names(&sim), ["db-0"]);
    advance(11).await;
    assert_eq!(pod_names(&sim), ["db-0", "db-1"]);
    advance(11).await;
    assert_eq!(pod_names(&sim), ["db-0", "db-1", "db-2"]);
    advance(11).await;
    assert_eq!(status(&sim)["readyReplicas"], 3);
    merge_patch(&sim, STATEFUL_SET_PATH, &json!({"spec": {"replicas": 1}}));
    let terminating = |sim: &Sim| -> Vec<String> {
        let all = pods(sim);
        let some = all.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_string());
        some.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(terminating(&sim), ["db-2"]);
    advance(2).await;
    assert_eq!(terminating(&sim), ["db-1"]);
    advance(2).await;
    assert_eq!(pod_names(&sim), ["db-0"]);
    let events = sim.list("v1", "Event", "default").unwrap();
    assert!(events.iter().any(|event| event["message"] == "Delete Pod db-2 in StatefulSet db successful"));
}

#[tokio::test(start_paused = true)]
async fn parallel_pods_are_created_at_once_with_their_identity_and_claims() {
    let sim = sim();
    let spec = json!({
        "podManagementPolicy": "Parallel",
        "volumeClaimTemplates": [{
            "metadata": {"name": "data"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }],
    });
    create(&sim, 3, &spec, &json!({"kube-sim/ready-after": "never"}));
    assert_eq!(pod_names(&sim), ["db-0", "db-1", "db-2"]);
    let pod = &pods(&sim)[1];
    assert_eq!(pod["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"], "db-1");
    assert_eq!(pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"], "1");
    assert_eq!((&pod["spec"]["hostname"], &pod["spec"]["subdomain"]), (&json!("db-1"), &json!("db")));
    assert_eq!(pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"], "data-db-1");
    let claims = sim.list("v1", "PersistentVolumeClaim", "default").unwrap();
    assert_eq!(claims.len(), 3);
    assert_eq!(claims[0]["metadata"]["name"], "data-db-0");
    let events = sim.list("v1", "Event", "default").unwrap();
    let has = |message: &str| events.iter().any(|event| event["message"] == message);
    assert!(has("Create Pod db-1 in StatefulSet db successful"), "{events:#?}");
    assert!(has("Create Claim data-db-0 Pod db-0 in StatefulSet db success"), "{events:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_rolling_update_replaces_pods_down_to_the_partition() {
    let sim = sim();
    let spec = json!({"updateStrategy": {"rollingUpdate": {"partition": 1}}});
    create(&sim, 3, &spec, &json!({}));
    let first = status(&sim)["currentRevision"].clone();
    assert_eq!(status(&sim)["updateRevision"], first);
    merge_patch(
        &sim,
        STATEFUL_SET_PATH,
        &json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "db:2"}]}}}}),
    );
    let images = |sim: &Sim| -> Vec<Value> {
        pods(sim).iter().map(|pod| pod["spec"]["containers"][0]["image"].clone()).collect()
    };
    assert_eq!(images(&sim), ["db:1", "db:1", "db:1"]);
    for expected in [["db:1", "db:1", "db:2"], ["db:1", "db:2", "db:2"], ["db:1", "db:2", "db:2"]] {
        advance(2).await;
        assert_eq!(images(&sim), expected);
    }
    assert_eq!(status(&sim)["currentRevision"], first);
    assert_eq!(status(&sim)["updatedReplicas"], 2);
    merge_patch(
        &sim,
        STATEFUL_SET_PATH,
        &json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}}),
    );
    advance(2).await;
    assert_eq!(images(&sim), ["db:2", "db:2", "db:2"]);
    let status = status(&sim);
    assert_eq!(status["currentRevision"], status["updateRevision"]);
    assert_ne!(status["currentRevision"], first);
    let revisions = sim.list("apps/v1", "ControllerRevision", "default").unwrap();
    let mut numbers: Vec<u64> =
        revisions.iter().map(|revision| revision["revision"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2]);
    assert_eq!(revisions[0]["data"]["spec"]["template"]["$patch"], "replace");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_pod_comes_back_with_its_name() {
    let sim = sim();
    create(&sim, 2, &json!({}), &json!({}));
    let before = pods(&sim)[0]["metadata"]["uid"].clone();
    sim.delete("v1", "Pod", "default", "db-0").unwrap();
    advance(2).await;
    let pod = &pods(&sim)[0];
    assert_eq!(pod_names(&sim), ["db-0", "db-1"]);
    assert_ne!(pod["metadata"]["uid"], before);
    assert_eq!(condition(pod, "Ready")["status"], "True");
}
