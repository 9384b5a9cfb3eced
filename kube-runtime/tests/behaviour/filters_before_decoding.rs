//! Tests of the filters that run before an object is decoded. The tests use the simulated server.

use crate::common::{client, format_item};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::{FilterDepth, ListParams, PartialObjectMeta, Verdict, WatchEvent, WatchParams};
use kube_client::core::{ApiResource, NotUsed, Object, Selector};
use kube_client::{Api, ResourceExt};
use kube_runtime::watcher::{Config, Event, InitialListStrategy};
use kube_runtime::{predicates, reflector, watcher};
use kube_sim::Sim;
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Borrow;

fn config_map(name: &str, value: &str, label: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default",
        "labels": {"l": label}}, "data": {"v": value}})
}

/// The strategies for the initial list. Most tests run with each of them.
const STRATEGIES: [InitialListStrategy; 2] =
    [InitialListStrategy::ListWatch, InitialListStrategy::StreamingList];

/// The next `count` items, as text.
async fn next_items(
    stream: &mut (impl futures::Stream<Item = watcher::Result<watcher::Event<ConfigMap>>> + Unpin),
    count: usize,
) -> Vec<String> {
    stream.take(count).map(format_item).collect().await
}

#[tokio::test(start_paused = true)]
async fn the_watcher_emits_only_changes_of_the_property_that_the_predicate_returns() {
    for strategy in STRATEGIES {
        let sim = Sim::new();
        sim.create(&config_map("a", "1", "x")).unwrap();
        let maps: Api<ConfigMap> = Api::default_namespaced(client(&sim));
        let config =
            Config::default().initial_list_strategy(strategy).fields("metadata.name!=kube-root-ca.crt");
        let mut stream = watcher(maps, config).only_changes_of(predicates::labels::<_>).boxed();
        assert_eq!(next_items(&mut stream, 3).await, ["[", "*a=1", "]"], "{strategy:?}");
        sim.update(&config_map("a", "2", "x")).unwrap();
        sim.create(&config_map("b", "3", "x")).unwrap();
        sim.update(&config_map("b", "4", "x")).unwrap();
        sim.update(&config_map("a", "5", "y")).unwrap();
        sim.delete("v1", "ConfigMap", "default", "b").unwrap();
        sim.create(&config_map("b", "6", "x")).unwrap();
        assert_eq!(next_items(&mut stream, 4).await, ["+b=3", "+a=5", "-b=4", "+b=6"], "{strategy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_passes_if_the_predicate_panics() {
    for strategy in STRATEGIES {
        let sim = Sim::new();
        sim.create(&config_map("a", "1", "x")).unwrap();
        let config =
            Config::default().initial_list_strategy(strategy).fields("metadata.name!=kube-root-ca.crt");
        let maps: Api<ConfigMap> = Api::default_namespaced(client(&sim));
        let predicate = |map: &PartialObjectMeta<ConfigMap>| {
            assert!(map.labels()["l"] != "poison");
            predicates::labels(map)
        };
        let mut stream = watcher(maps, config).only_changes_of(predicate).boxed();
        assert_eq!(next_items(&mut stream, 3).await, ["[", "*a=1", "]"], "{strategy:?}");
        sim.update(&config_map("a", "2", "poison")).unwrap();
        sim.update(&config_map("a", "3", "poison")).unwrap();
        sim.update(&config_map("a", "4", "x")).unwrap();
        sim.update(&config_map("a", "5", "x")).unwrap();
        sim.create(&config_map("b", "6", "x")).unwrap();
        assert_eq!(next_items(&mut stream, 4).await, ["+a=2", "+a=3", "+a=4", "+b=6"], "{strategy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_watcher_emits_a_deletion_for_a_deselected_object() {
    for strategy in STRATEGIES {
        let sim = Sim::new();
        sim.create(&config_map("a", "1", "x")).unwrap();
        sim.create(&config_map("b", "1", "y")).unwrap();
        let maps: Api<ConfigMap> = Api::default_namespaced(client(&sim));
        let config = Config::default().initial_list_strategy(strategy);
        let selector = Selector::from_iter([("l", "x")]);
        let mut stream =
            watcher(maps, config).only_labelled(selector).only_changes_of(predicates::labels::<_>).boxed();
        assert_eq!(next_items(&mut stream, 3).await, ["[", "*a=1", "]"], "{strategy:?}");
        sim.update(&config_map("b", "2", "y")).unwrap();
        sim.update(&config_map("a", "3", "y")).unwrap();
        sim.update(&config_map("a", "4", "y")).unwrap();
        sim.update(&config_map("a", "5", "x")).unwrap();
        sim.delete("v1", "ConfigMap", "default", "b").unwrap();
        sim.delete("v1", "ConfigMap", "default", "a").unwrap();
        assert_eq!(next_items(&mut stream, 3).await, ["-a=3", "+a=5", "-a=5"], "{strategy:?}");
    }
}

#[tokio::test]
async fn dropped_objects_become_bookmarks_in_a_watch_and_are_missing_in_a_list() {
    let sim = Sim::new();
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&sim));
    let listed = maps.list(&ListParams::default()).await.unwrap();
    let watch = maps
        .watch(&WatchParams::default(), listed.metadata.resource_version.as_deref().unwrap())
        .await
        .unwrap();
    let mut watch = watch.filter_before_decode(FilterDepth::Labels, |_, _| Verdict::Drop);
    let mut last = String::new();
    for n in 0..3 {
        last = sim.create(&config_map(&format!("m{n}"), "1", "x")).unwrap()["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .to_owned();
    }
    let mut seen = String::new();
    while seen != last {
        match watch.next().await.unwrap().unwrap() {
            WatchEvent::Bookmark(bookmark) => seen = bookmark.metadata.resource_version,
            other => panic!("{other:?}"),
        }
    }
    let stream = maps.list_stream(&ListParams::default()).await.unwrap();
    let kept: Vec<_> = stream
        .filter_before_decode(FilterDepth::Metadata, |_, object| match object.name_any().as_str() {
            "m1" => Verdict::Keep,
            _ => Verdict::Drop,
        })
        .map(|object| object.unwrap().name_any())
        .collect()
        .await;
    assert_eq!(kept, ["m1"]);
}

/// The spec of a deployment. More than 255 replicas cannot be decoded.
#[derive(Debug, Clone, Deserialize)]
struct Spec {
    replicas: u8,
}

type Deployment = Object<Spec, NotUsed>;

fn deployments(sim: &Sim) -> Api<Deployment> {
    let resource = ApiResource::erase::<k8s_openapi::api::apps::v1::Deployment>(&());
    Api::default_namespaced_with(client(sim), &resource)
}

/// A deployment, which cannot be decoded if `replicas` is above 255.
fn deployment(name: &str, replicas: u32, label: &str) -> Value {
    let labels = json!({"app": name});
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default", "labels": {"l": label}},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "i"}]}}}})
}

/// Like [`format_item`], for deployments: their names and replicas. An error is `!` and the name of the object that
/// cannot be decoded.
fn format_deployment_item<D: Borrow<Deployment>>(item: watcher::Result<Event<D>>) -> String {
    let text = |object: D| format!("{}={}", object.borrow().name_any(), object.borrow().spec.replicas);
    match item {
        Ok(Event::Init) => "[".into(),
        Ok(Event::InitDone) => "]".into(),
        Ok(Event::InitApply(object)) => format!("*{}", text(object)),
        Ok(Event::Apply(object)) => format!("+{}", text(object)),
        Ok(Event::Delete(object)) => format!("-{}", text(object)),
        Err(error) => format!("!{}", error.undecodable().and_then(|object| object.name.as_deref()).unwrap()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_label_filter_runs_first_even_if_it_is_added_last() {
    let sim = Sim::new();
    sim.create(&config_map("a", "1", "x")).unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&sim));
    let selector = Selector::from_iter([("l", "x")]);
    let mut stream = watcher(maps, Config::default())
        .only_changes_of(predicates::annotations::<_>)
        .only_labelled(selector)
        .boxed();
    assert_eq!(next_items(&mut stream, 3).await, ["[", "*a=1", "]"]);
    let mut annotated = config_map("a", "1", "x");
    annotated["metadata"]["annotations"] = json!({"n": "1"});
    sim.update(&annotated).unwrap();
    // Only the labels change, not the annotations.
    annotated["metadata"]["labels"]["l"] = json!("y");
    sim.update(&annotated).unwrap();
    assert_eq!(next_items(&mut stream, 2).await, ["+a=1", "-a=1"]);
}

#[tokio::test(start_paused = true)]
async fn a_deselected_object_is_removed_from_the_store_even_if_it_is_undecodable() {
    for strategy in STRATEGIES {
        let sim = Sim::new();
        sim.create(&deployment("a", 1, "x")).unwrap();
        let (reader, writer) = reflector::store();
        let config = Config::default().initial_list_strategy(strategy);
        let events = watcher(deployments(&sim), config).only_labelled(Selector::from_iter([("l", "x")]));
        let mut stream = reflector(writer, events).map(format_deployment_item);
        assert_eq!(stream.by_ref().take(3).collect::<Vec<_>>().await, ["[", "*a=1", "]"], "{strategy:?}");
        assert_eq!(reader.len(), 1);
        sim.update(&deployment("a", 300, "y")).unwrap();
        assert_eq!(stream.by_ref().take(2).collect::<Vec<_>>().await, ["!a", "-a=1"], "{strategy:?}");
        assert!(reader.is_empty(), "{strategy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_watcher_emits_an_object_that_becomes_decodable_without_a_change_of_its_labels() {
    for strategy in STRATEGIES {
        let sim = Sim::new();
        sim.create(&deployment("a", 1, "x")).unwrap();
        sim.create(&deployment("b", 300, "x")).unwrap();
        let config = Config::default().initial_list_strategy(strategy);
        let mut stream = watcher(deployments(&sim), config)
            .only_changes_of(predicates::labels::<_>)
            .map(format_deployment_item);
        let known: Vec<_> = stream.by_ref().take(4).collect().await;
        assert_eq!(known, ["[", "*a=1", "!b", "]"], "{strategy:?}");
        sim.update(&deployment("b", 2, "x")).unwrap();
        assert_eq!(stream.next().await.unwrap(), "+b=2", "{strategy:?}");
        sim.update(&deployment("a", 300, "y")).unwrap();
        assert_eq!(stream.next().await.unwrap(), "!a", "{strategy:?}");
        sim.update(&deployment("a", 3, "y")).unwrap();
        sim.update(&deployment("a", 4, "y")).unwrap();
        sim.update(&deployment("b", 5, "z")).unwrap();
        assert_eq!(stream.by_ref().take(2).collect::<Vec<_>>().await, ["+a=3", "+b=5"], "{strategy:?}");
    }
}
