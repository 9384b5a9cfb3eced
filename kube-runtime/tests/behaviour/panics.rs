//! Tests of panics in a type's implementation of `Deserialize`.

use crate::common::{client, error_chain};
use futures::{StreamExt, stream::BoxStream};
use kube_client::core::{ApiResource, GroupVersionKind, NotUsed, Object};
use kube_client::{Api, ResourceExt};
use kube_runtime::watcher::{self, Event, watcher};
use kube_sim::Sim;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use std::time::Duration;

/// A spec whose decoding panics if there are 666 replicas.
#[derive(Clone, Debug)]
struct Spec;

impl<'de> Deserialize<'de> for Spec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            replicas: i32,
        }
        let fields = Fields::deserialize(deserializer)?;
        assert_ne!(fields.replicas, 666, "secret value");
        Ok(Self)
    }
}

fn create_deployment(sim: &Sim, name: &str, replicas: i32) {
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    sim.create(&deployment).unwrap();
}

/// The items that a watcher of deployments emits.
type DeploymentEvents = BoxStream<'static, watcher::Result<Event<Object<Spec, NotUsed>>>>;

/// Takes events until none arrives for two seconds. Returns their texts, except for the start and the end of a list.
async fn drain_events(events: &mut DeploymentEvents) -> Vec<String> {
    let mut all = Vec::new();
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_secs(2), events.next()).await {
        all.push(match event {
            Ok(Event::Apply(object)) => format!("+{}", object.name_any()),
            Ok(Event::InitApply(object)) => format!("list {}", object.name_any()),
            Ok(Event::Delete(object)) => format!("-{}", object.name_any()),
            Ok(Event::Init | Event::InitDone) => continue,
            Err(error) => {
                let text = error_chain(&error);
                assert!(text.contains("panicked") && !text.contains("secret value"), "{text}");
                format!("error {}", error.undecodable().and_then(|object| object.name.clone()).unwrap())
            }
        });
    }
    all
}

async fn check_that_a_panic_affects_only_one_object() {
    let sim = Sim::new();
    create_deployment(&sim, "a", 1);
    create_deployment(&sim, "b", 666);
    create_deployment(&sim, "c", 1);
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", "Deployment"));
    let api = Api::<Object<Spec, NotUsed>>::namespaced_with(client(&sim), "default", &resource);
    let mut events = watcher(api, watcher::Config::default()).boxed();
    let mut listed = drain_events(&mut events).await;
    listed.sort();
    assert_eq!(listed, ["error b", "list a", "list c"]);
    create_deployment(&sim, "d", 666);
    create_deployment(&sim, "e", 1);
    assert_eq!(drain_events(&mut events).await, ["error d", "+e"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_decoding_an_object_does_not_affect_other_objects() {
    check_that_a_panic_affects_only_one_object().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decode_panic_does_not_affect_other_objects_on_a_multi_threaded_runtime() {
    check_that_a_panic_affects_only_one_object().await;
}
