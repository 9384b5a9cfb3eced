//! Tests with faulty servers: watch events that are not JSON, objects that do not decode, temporary failures, expired
//! resource versions, and forbidden requests.

use crate::support::{Cluster, ObjectKey, assert_contains, pod};
use kube_sim::{
    Sim,
    fault::{Action, Rule},
};
use std::time::Duration;

/// The key of the pod `web` in the namespace `default`.
const WEB_POD: ObjectKey<'static> = ("v1", "Pod", "default", "web");

/// A fault rule that replaces the event at `index` of each watch of pods by text that is not JSON.
fn non_json_event_rule(index: usize) -> Rule {
    let bytes = "<html>bad gateway</html>\n".into();
    Rule::new(Action::ReplaceEvent { index, bytes }).verb("watch").resource("pods")
}

/// A fault rule that replaces the pod `name` in responses by an object that does not decode as a pod.
fn undecodable_pod_rule(name: &str) -> Rule {
    let object = format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}","namespace":"default"}},"spec":{{"containers":7}}}}"#
    );
    Rule::new(Action::ReplaceObject { name: name.to_owned(), bytes: object.into() })
}

#[tokio::test]
async fn pod_examples_fail_if_the_first_watch_event_is_not_json() {
    for example in ["pod_informer", "pod_reflector"] {
        let cluster = Cluster::new().await;
        cluster.create(&pod("web", "node-0"));
        cluster.sim.faults().add(non_json_event_rule(0));
        let error = cluster.start(example).wait_for_failure().await;
        assert_contains(&error, &["watch of /api/v1/pods", "Pod", "<html>"]);
    }
}

/// Runs the cases concurrently, because they are slow: in the examples, each call of `Informer::poll` takes ten seconds.
#[tokio::test]
async fn pod_informer_continues_if_a_poll_fails_after_a_successful_poll() {
    tokio::join!(
        retries_after_invalid_json(),
        retries_after_server_errors(),
        relists_after_an_expired_version()
    );
}

/// After valid events, the server sends a watch event that is not JSON.
async fn retries_after_invalid_json() {
    let cluster = Cluster::new().await;
    cluster.create(&pod("web", "node-0"));
    let mut example = cluster.start("pod_informer");
    example.wait_for_stdout("added    default/web").await;
    let rule = cluster.sim.faults().add(non_json_event_rule(0).times(1));
    cluster.edit_object(WEB_POD, |pod| pod["status"]["phase"] = "Running".into());
    example.wait_for_stdout("modified default/web").await;
    // Wait for the watch of the next poll. The fault replaces the first event of that watch.
    while cluster.sim.faults().hits(rule) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cluster.delete(WEB_POD);
    let line = example.wait_for_stderr("trying again: the watch of /api/v1/pods").await;
    assert_contains(&line, &["WARN", "<html>"]);
    example.wait_for_stdout("deleted  default/web").await;
    example.stop().await;
}

#[tokio::test]
async fn pod_examples_report_an_undecodable_object_and_continue() {
    let cluster = Cluster::new().await;
    for name in ["a", "bad", "c"] {
        cluster.create(&pod(name, "node-0"));
    }
    cluster.sim.faults().add(undecodable_pod_rule("bad"));
    let mut reflector = cluster.start("pod_reflector");
    let line = reflector.wait_for_stderr("skipped").await;
    assert_contains(&line, &["decode Pod default/bad", "invalid type", "WARN"]);
    reflector.wait_for_stdout("2 pods").await;
    reflector.wait_for_stdout("default/a").await;
    reflector.wait_for_stdout("default/c").await;
    reflector.stop().await;

    let mut informer = cluster.start("pod_informer");
    informer.wait_for_stdout("added    default/a").await;
    informer.wait_for_stdout("added    default/c").await;
    // The server sends these changes as watch events, not in the initial list.
    cluster.edit_object(("v1", "Pod", "default", "bad"), |pod| {
        pod["metadata"]["labels"]["seen"] = "again".into();
    });
    cluster.edit_object(("v1", "Pod", "default", "c"), |pod| pod["status"]["phase"] = "Running".into());
    let line = informer.wait_for_stdout("modified").await;
    assert_contains(&line, &["default/c: Running"]);
    informer.wait_for_stderr("decode Pod default/bad of a MODIFIED event").await;
    informer.stop().await;
}

#[tokio::test]
async fn node_informer_continues_after_an_undecodable_node() {
    let cluster = Cluster::with_sim(Sim::builder().nodes(3).build()).await;
    let object =
        r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-1"},"status":{"conditions":7}}"#;
    cluster
        .sim
        .faults()
        .add(Rule::new(Action::ReplaceObject { name: "node-1".into(), bytes: object.into() }));
    cluster.edit_object(("v1", "Node", "", "node-2"), |node| {
        node["status"]["conditions"][0]["status"] = "True".into();
    });
    let mut example = cluster.start("node_informer");
    example.wait_for_stderr("decode Node node-1").await;
    let line = example.wait_for_stdout("node-2").await;
    assert_contains(&line, &["node-2 is unhealthy: MemoryPressure is True"]);
    example.stop().await;
}

/// The server temporarily returns status 500.
async fn retries_after_server_errors() {
    let cluster = Cluster::new().await;
    let mut example = cluster.start("pod_informer");
    cluster.create(&pod("web", "node-0"));
    example.wait_for_stdout("added    default/web").await;
    let rule = cluster.sim.faults().add(Rule::new(Action::status(500)).resource("pods"));
    let line = example.wait_for_stderr("trying again").await;
    assert_contains(&line, &["watch of /api/v1/pods", "500"]);
    cluster.sim.faults().remove(rule);
    cluster.delete(WEB_POD);
    example.wait_for_stdout("deleted  default/web").await;
    example.stop().await;
}

/// The resource version of the watch expires (410). The informer relists without an error.
async fn relists_after_an_expired_version() {
    let cluster = Cluster::new().await;
    cluster.create(&pod("web", "node-0"));
    let mut example = cluster.start("pod_informer");
    example.wait_for_stdout("added    default/web").await;
    cluster.delete(WEB_POD);
    cluster.sim.compact_all();
    cluster.sim.end_watches();
    example.wait_for_stdout("deleted  default/web").await;
    example.stop().await;
}

#[tokio::test]
async fn an_example_fails_at_once_if_its_requests_are_forbidden() {
    let cluster = Cluster::new().await;
    cluster.sim.faults().add(Rule::new(Action::status(403)));
    for (example, resource) in
        [("pod_informer", "pods"), ("node_informer", "nodes"), ("node_reflector", "nodes")]
    {
        let error = cluster.start(example).wait_for_failure().await;
        assert_contains(&error, &[&format!("/api/v1/{resource}"), "403"]);
    }
}
