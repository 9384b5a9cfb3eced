//! Tests of the deployment controller and the replica set controller.

use serde_json::{Value, json};

use super::{advance, condition, deployment, merge_patch, pods, sim};
use kube_sim::Sim;

const WEB_PATH: &str = "/apis/apps/v1/namespaces/default/deployments/web";

fn get_web(sim: &Sim) -> Value {
    sim.get("apps/v1", "Deployment", "default", "web").unwrap()
}

/// The replica sets in the order of their revisions.
fn replica_sets(sim: &Sim) -> Vec<Value> {
    let mut sets = sim.list("apps/v1", "ReplicaSet", "default").unwrap();
    sets.sort_by_key(|set| revision(set).parse::<u64>().unwrap());
    sets
}

fn revision(object: &Value) -> &str {
    object["metadata"]["annotations"]["deployment.kubernetes.io/revision"].as_str().unwrap()
}

fn set_image(sim: &Sim, image: &str) -> Value {
    let containers = json!([{"name": "main", "image": image}]);
    merge_patch(sim, WEB_PATH, &json!({"spec": {"template": {"spec": {"containers": containers}}}}))
}

fn replica_counts(sim: &Sim) -> Vec<u64> {
    replica_sets(sim).iter().map(|set| set["spec"]["replicas"].as_u64().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_deployment_gets_a_replica_set_and_ready_pods() {
    let sim = sim();
    sim.create(&deployment(3, "web:1", &json!({}))).unwrap();
    let web = get_web(&sim);
    for field in ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "observedGeneration"] {
        let expected = if field == "observedGeneration" { 1 } else { 3 };
        assert_eq!(web["status"][field], expected, "{field}");
    }
    assert_eq!(web["status"]["unavailableReplicas"], Value::Null);
    assert_eq!(condition(&web, "Available")["reason"], "MinimumReplicasAvailable");
    assert_eq!(condition(&web, "Progressing")["reason"], "NewReplicaSetAvailable");
    assert_eq!(revision(&web), "1");
    let [set] = &replica_sets(&sim)[..] else { panic!("one replica set") };
    let hash = &set["metadata"]["labels"]["pod-template-hash"];
    assert_eq!(set["metadata"]["name"], format!("web-{}", hash.as_str().unwrap()));
    for pod in pods(&sim) {
        assert_eq!(pod["metadata"]["labels"]["pod-template-hash"], *hash);
        assert_eq!(pod["metadata"]["ownerReferences"][0]["uid"], set["metadata"]["uid"]);
        assert_eq!(pod["status"]["phase"], "Running");
        assert_eq!(condition(&pod, "Ready")["status"], "True");
        assert!(pod["spec"]["nodeName"].is_string() && pod["status"]["podIP"].is_string(), "{pod}");
    }
    let events = sim.list("v1", "Event", "default").unwrap();
    let scaled = events.iter().find(|event| event["reason"] == "ScalingReplicaSet").unwrap();
    assert!(scaled["message"].as_str().unwrap().starts_with("Scaled up replica set web-"), "{scaled}");
}

#[tokio::test(start_paused = true)]
async fn a_rolling_update_replaces_the_pods_within_its_limits() {
    let sim = sim();
    let mut deployment = deployment(4, "web:1", &json!({"kube-sim/ready-after": "5s"}));
    deployment["spec"]["strategy"] = json!({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}});
    sim.create(&deployment).unwrap();
    assert_eq!(get_web(&sim)["status"]["unavailableReplicas"], 4);
    advance(6).await;
    assert_eq!(get_web(&sim)["status"]["availableReplicas"], 4);
    set_image(&sim, "web:2");
    let mut steps = 0;
    loop {
        let all = pods(&sim);
        let live: Vec<&Value> = all.iter().filter(|p| p["metadata"]["deletionTimestamp"].is_null()).collect();
        let ready = live.iter().filter(|pod| condition(pod, "Ready")["status"] == "True").count();
        assert!(live.len() <= 5 && ready >= 3, "{} pods, {ready} ready", live.len());
        if get_web(&sim)["status"]["updatedReplicas"] == 4 && replica_counts(&sim) == [0, 4] && all.len() == 4
        {
            break;
        }
        steps += 1;
        assert!(steps < 60, "{}", get_web(&sim)["status"]);
        advance(1).await;
    }
    assert!(steps > 5, "a rollout waits for its pods: {steps} steps");
    assert!(pods(&sim).iter().all(|pod| pod["spec"]["containers"][0]["image"] == "web:2"));
    assert_eq!(revision(&get_web(&sim)), "2");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_gives_the_old_replica_set_a_new_revision() {
    let sim = sim();
    sim.create(&deployment(2, "web:1", &json!({}))).unwrap();
    let first = replica_sets(&sim).remove(0);
    set_image(&sim, "web:2");
    assert_eq!(replica_counts(&sim), [0, 2]);
    set_image(&sim, "web:1");
    let sets = replica_sets(&sim);
    assert_eq!(sets.len(), 2);
    assert_eq!(sets[1]["metadata"]["uid"], first["metadata"]["uid"]);
    assert_eq!((revision(&sets[0]), revision(&sets[1]), revision(&get_web(&sim))), ("2", "3", "3"));
    assert_eq!(sets[1]["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"], "1");
    assert_eq!(replica_counts(&sim), [0, 2]);
}

#[tokio::test(start_paused = true)]
async fn old_revisions_beyond_the_limit_are_deleted() {
    let sim = sim();
    let mut deployment = deployment(1, "web:0", &json!({}));
    deployment["spec"]["revisionHistoryLimit"] = 2.into();
    sim.create(&deployment).unwrap();
    for number in 1..5 {
        set_image(&sim, &format!("web:{number}"));
    }
    let kept: Vec<String> = replica_sets(&sim).iter().map(|set| revision(set).to_owned()).collect();
    assert_eq!(kept, ["3", "4", "5"]);
}

#[tokio::test(start_paused = true)]
async fn a_paused_deployment_scales_but_does_not_roll_out() {
    let sim = sim();
    sim.create(&deployment(2, "web:1", &json!({}))).unwrap();
    merge_patch(&sim, WEB_PATH, &json!({"spec": {"paused": true}}));
    assert_eq!(condition(&get_web(&sim), "Progressing")["reason"], "DeploymentPaused");
    set_image(&sim, "web:2");
    merge_patch(&sim, WEB_PATH, &json!({"spec": {"replicas": 3}}));
    assert_eq!(replica_counts(&sim), [3]);
    assert_eq!(get_web(&sim)["status"]["updatedReplicas"], Value::Null);
    merge_patch(&sim, WEB_PATH, &json!({"spec": {"paused": null}}));
    assert_eq!(replica_counts(&sim), [0, 3]);
    assert_eq!(condition(&get_web(&sim), "Progressing")["reason"], "NewReplicaSetAvailable");
}

#[tokio::test(start_paused = true)]
async fn a_rollout_without_progress_exceeds_its_deadline() {
    let sim = sim();
    let mut deployment = deployment(2, "web:1", &json!({"kube-sim/ready-after": "never"}));
    deployment["spec"]["progressDeadlineSeconds"] = 30.into();
    sim.create(&deployment).unwrap();
    advance(29).await;
    assert_eq!(condition(&get_web(&sim), "Progressing")["status"], "True");
    advance(3).await;
    let web = get_web(&sim);
    assert_eq!(condition(&web, "Progressing")["reason"], "ProgressDeadlineExceeded");
    assert_eq!(condition(&web, "Progressing")["status"], "False");
    assert_eq!(condition(&web, "Available")["status"], "False");
}

#[tokio::test(start_paused = true)]
async fn the_recreate_strategy_waits_for_the_end_of_the_old_pods() {
    let sim = sim();
    let mut deployment = deployment(2, "web:1", &json!({}));
    deployment["spec"]["strategy"] = json!({"type": "Recreate"});
    sim.create(&deployment).unwrap();
    set_image(&sim, "web:2");
    let images = |sim: &Sim| -> Vec<Value> {
        pods(sim).iter().map(|pod| pod["spec"]["containers"][0]["image"].clone()).collect()
    };
    assert_eq!(images(&sim), ["web:1", "web:1"]);
    advance(2).await;
    assert_eq!(images(&sim), ["web:2", "web:2"]);
}

#[tokio::test(start_paused = true)]
async fn a_replica_set_adopts_and_releases_pods() {
    let sim = sim();
    let orphan = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "orphan", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "web:1"}]},
    });
    sim.create(&orphan).unwrap();
    let mut set = deployment(2, "web:1", &json!({}));
    set["kind"] = "ReplicaSet".into();
    let set = sim.create(&set).unwrap();
    assert_eq!(pods(&sim).len(), 2);
    let adopted = sim.get("v1", "Pod", "default", "orphan").unwrap();
    assert_eq!(adopted["metadata"]["ownerReferences"][0]["uid"], set["metadata"]["uid"]);
    merge_patch(
        &sim,
        "/api/v1/namespaces/default/pods/orphan",
        &json!({"metadata": {"labels": {"app": "other"}}}),
    );
    let released = sim.get("v1", "Pod", "default", "orphan").unwrap();
    assert_eq!(released["metadata"]["ownerReferences"], Value::Null);
    assert_eq!(pods(&sim).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_scale_down_deletes_unready_pods_and_pods_of_low_deletion_cost_first() {
    let sim = sim();
    let set = deployment(4, "web:1", &json!({}));
    sim.create(&set).unwrap();
    let names: Vec<String> =
        pods(&sim).iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect();
    let annotate = |name: &str, key: &str, value: &str| {
        let path = format!("/api/v1/namespaces/default/pods/{name}");
        merge_patch(&sim, &path, &json!({"metadata": {"annotations": {key: value}}}));
    };
    annotate(&names[2], "controller.kubernetes.io/pod-deletion-cost", "-1");
    annotate(&names[1], "kube-sim/ready-after", "never");
    merge_patch(&sim, WEB_PATH, &json!({"spec": {"replicas": 2}}));
    let live: Vec<String> = pods(&sim)
        .iter()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(live, [names[0].clone(), names[3].clone()]);
}
