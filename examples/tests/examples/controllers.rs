//! Tests of the examples that run a controller, of `leader_election`, and of `crd_api`.

use crate::support::{Cluster, RunningExample, assert_contains};
use kube_sim::Sim;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Waits until `found` returns a value, and returns this value. Panics with `what` if `found` returns no value within
/// 60 s.
async fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            match found() {
                Some(value) => return value,
                None => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("{what}"))
}

fn start_with_arguments(cluster: &Cluster, example: &str, arguments: &[&str]) -> RunningExample {
    let mut command = cluster.home.example_command(example, &cluster.kubeconfig);
    command.args(arguments);
    RunningExample::new(command)
}

#[tokio::test]
async fn configmapgen_controller_restores_its_config_map() {
    let cluster = Cluster::new().await;
    let mut example = cluster.start("configmapgen_controller");
    example.wait_for_stderr("running the controller").await;
    cluster.create(&json!({
        "apiVersion": "examples.dev/v1", "kind": "ConfigMapGenerator",
        "metadata": {"name": "a", "namespace": "default"}, "spec": {"content": "hello"},
    }));
    let map = ("v1", "ConfigMap", "default", "a");
    let content = |wanted: &'static str| {
        let sim = cluster.sim.clone();
        eventually(wanted, move || {
            let map = sim.get("v1", "ConfigMap", "default", "a").ok()?;
            (map["data"]["content"] == wanted).then_some(())
        })
    };
    content("hello").await;
    cluster.delete(map);
    content("hello").await;
    cluster.edit_object(map, |map| map["data"]["content"] = "changed".into());
    content("hello").await;
    cluster.edit_object(("examples.dev/v1", "ConfigMapGenerator", "default", "a"), |generator| {
        generator["spec"]["content"] = "new".into();
    });
    content("new").await;
    example.stop().await;
}

#[tokio::test]
async fn secret_syncer_copies_a_secret_and_deletes_the_copy() {
    let cluster = Cluster::new().await;
    cluster.create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}));
    let metadata =
        json!({"name": "login", "namespace": "default", "labels": {"examples.dev/copy-to": "other"}});
    cluster.create(
        &json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"user": "YQ=="}}),
    );
    let mut example = cluster.start("secret_syncer");
    example.wait_for_stdout("copied login").await;
    let copy = cluster.sim.get("v1", "Secret", "other", "login").unwrap();
    assert_eq!(copy["data"]["user"], "YQ==");
    cluster.delete(("v1", "Secret", "default", "login"));
    example.wait_for_stdout("deleted the copy of login").await;
    eventually("the secret is deleted", || cluster.sim.get("v1", "Secret", "default", "login").err()).await;
    assert!(cluster.sim.get("v1", "Secret", "other", "login").is_err());
    example.stop().await;
}

#[tokio::test]
async fn leader_election_hands_over_when_the_leader_ends() {
    let cluster = Cluster::new().await;
    let mut one = start_with_arguments(&cluster, "leader_election", &["one"]);
    one.wait_for_stdout("is the leader").await;
    let mut two = start_with_arguments(&cluster, "leader_election", &["two"]);
    two.wait_for_stdout("is a candidate").await;
    let counter = |name: &str| cluster.sim.get("v1", "ConfigMap", "default", name).ok();
    eventually("the leader counts", || counter("one")).await;
    assert!(counter("two").is_none());
    one.send_signal(Signal::TERM);
    assert!(one.wait_for_exit().await.success());
    two.wait_for_stdout("is the leader").await;
    eventually("the next leader counts", || counter("two")).await;
    two.stop().await;
    let lease =
        cluster.sim.get("coordination.k8s.io/v1", "Lease", "default", "leader-election-example").unwrap();
    assert_eq!(lease["spec"]["holderIdentity"], Value::Null, "the lease is released");
}

#[tokio::test]
async fn crd_api_prints_the_result_of_each_step() {
    let cluster = Cluster::new().await;
    let mut example = cluster.start("crd_api");
    let status = example.wait_for_exit().await;
    assert!(status.success(), "{status}\n{}", example.stderr());
    let expected = [
        "installed lamps.examples.dev",
        "created kitchen",
        "refused: a lamp needs a bulb",
        "moved to the dining room",
        "2 of 3 bulbs are lit",
        "kitchen: 4 bulbs",
        "0 lamps are left",
        "deleted lamps.examples.dev",
    ];
    assert_eq!(example.stdout().lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn site_controller_prints_its_crd_and_rejects_unknown_arguments() {
    let cluster = Cluster::new().await;
    let mut example = start_with_arguments(&cluster, "site_controller", &["crd"]);
    assert!(example.wait_for_exit().await.success());
    let definition: Value = serde_json::from_str(&example.stdout()).unwrap();
    assert_eq!(Sim::new().create(&definition).unwrap()["metadata"]["name"], "sites.example.com");
    for arguments in [&["install"][..], &["crd", "--help"]] {
        let mut refused = start_with_arguments(&cluster, "site_controller", arguments);
        assert_eq!(refused.wait_for_exit().await.code(), Some(1));
        assert_contains(&refused.stderr(), &["unknown arguments", arguments.last().unwrap(), "`crd`"]);
    }
}
