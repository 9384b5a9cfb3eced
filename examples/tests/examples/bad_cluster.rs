//! Servers that answer what they should not: frames that are no JSON, objects of another shape, failures while all was well.

use crate::support::{Cluster, Key, assert_says, pod};
use kube_sim::{
    Sim,
    fault::{Action, Rule},
};
use std::time::Duration;

const WEB: Key<'static> = ("v1", "Pod", "default", "web");

fn not_json(index: usize) -> Rule {
    let bytes = "<html>bad gateway</html>\n".into();
    Rule::new(Action::ReplaceEvent { index, bytes }).verb("watch").resource("pods")
}

fn undecodable(name: &str) -> Rule {
    let object = format!(
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}","namespace":"default"}},"spec":{{"containers":7}}}}"#
    );
    Rule::new(Action::ReplaceObject { name: name.to_owned(), bytes: object.into() })
}

#[tokio::test]
async fn a_watch_that_is_no_json_from_the_start_is_an_error() {
    for example in ["pod_informer", "pod_reflector"] {
        let cluster = Cluster::new().await;
        cluster.create(&pod("web", "node-0"));
        cluster.sim.faults().add(not_json(0));
        let error = cluster.start(example).failure().await;
        assert_says(&error, &["watch of /api/v1/pods", "Pod", "<html>"]);
    }
}

/// Together, since each mostly waits for polls of ten seconds.
#[tokio::test]
async fn what_goes_wrong_later_is_reported_and_healed() {
    tokio::join!(turns_into_something_else(), away_for_a_while(), history_is_gone());
}

/// A watch that is no JSON from some time on.
async fn turns_into_something_else() {
    let cluster = Cluster::new().await;
    cluster.create(&pod("web", "node-0"));
    let mut example = cluster.start("pod_informer");
    example.says("added    default/web").await;
    let rule = cluster.sim.faults().add(not_json(0).times(1));
    cluster.change(WEB, |pod| pod["status"]["phase"] = "Running".into());
    example.says("modified default/web").await;
    // The watch of the next poll is the one that breaks at its first event.
    while cluster.sim.faults().hits(rule) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cluster.delete(WEB);
    let line = example.logs("trying again: the watch of /api/v1/pods").await;
    assert_says(&line, &["WARN", "<html>"]);
    example.says("deleted  default/web").await;
    example.stop().await;
}

#[tokio::test]
async fn an_object_that_does_not_decode_is_named_and_the_rest_goes_on() {
    let cluster = Cluster::new().await;
    for name in ["a", "bad", "c"] {
        cluster.create(&pod(name, "node-0"));
    }
    cluster.sim.faults().add(undecodable("bad"));
    let mut reflector = cluster.start("pod_reflector");
    let line = reflector.logs("skipped").await;
    assert_says(&line, &["decode Pod default/bad", "invalid type", "WARN"]);
    reflector.says("2 pods").await;
    reflector.says("default/a").await;
    reflector.says("default/c").await;
    reflector.stop().await;

    let mut informer = cluster.start("pod_informer");
    informer.says("added    default/a").await;
    informer.says("added    default/c").await;
    // And while it watches.
    cluster.change(("v1", "Pod", "default", "bad"), |pod| pod["metadata"]["labels"]["seen"] = "again".into());
    cluster.change(("v1", "Pod", "default", "c"), |pod| pod["status"]["phase"] = "Running".into());
    let line = informer.says("modified").await;
    assert_says(&line, &["default/c: Running"]);
    informer.logs("decode Pod default/bad of a MODIFIED event").await;
    informer.stop().await;
}

#[tokio::test]
async fn node_informer_survives_a_node_that_does_not_decode() {
    let cluster = Cluster::of(Sim::builder().nodes(3).build()).await;
    let object =
        r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-1"},"status":{"conditions":7}}"#;
    cluster
        .sim
        .faults()
        .add(Rule::new(Action::ReplaceObject { name: "node-1".into(), bytes: object.into() }));
    cluster.change(("v1", "Node", "", "node-2"), |node| {
        node["status"]["conditions"][0]["status"] = "True".into();
    });
    let mut example = cluster.start("node_informer");
    example.logs("decode Node node-1").await;
    let line = example.says("node-2").await;
    assert_says(&line, &["node-2 is broken: MemoryPressure is True"]);
    example.stop().await;
}

/// A server that fails for a while.
async fn away_for_a_while() {
    let cluster = Cluster::new().await;
    let mut example = cluster.start("pod_informer");
    cluster.create(&pod("web", "node-0"));
    example.says("added    default/web").await;
    let rule = cluster.sim.faults().add(Rule::new(Action::status(500)).resource("pods"));
    let line = example.logs("trying again").await;
    assert_says(&line, &["watch of /api/v1/pods", "500"]);
    cluster.sim.faults().remove(rule);
    cluster.delete(WEB);
    example.says("deleted  default/web").await;
    example.stop().await;
}

/// A server that has forgotten what happened, which nobody needs to be told.
async fn history_is_gone() {
    let cluster = Cluster::new().await;
    cluster.create(&pod("web", "node-0"));
    let mut example = cluster.start("pod_informer");
    example.says("added    default/web").await;
    cluster.delete(WEB);
    cluster.sim.compact_all();
    cluster.sim.end_watches();
    example.says("deleted  default/web").await;
    example.stop().await;
}

#[tokio::test]
async fn a_refusal_is_an_error_at_once() {
    let cluster = Cluster::new().await;
    cluster.sim.faults().add(Rule::new(Action::status(403)));
    for (example, resource) in
        [("pod_informer", "pods"), ("node_informer", "nodes"), ("node_reflector", "nodes")]
    {
        let error = cluster.start(example).failure().await;
        assert_says(&error, &[&format!("/api/v1/{resource}"), "403"]);
    }
}
