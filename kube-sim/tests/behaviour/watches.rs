//! Tests of watches: events, bookmarks, initial lists, history, timeouts.

use std::time::Duration;

use crate::common;
use crate::common::{CONFIG_MAPS, PODS, Watch, config_map, delete, get, merge_patch, pod, post};
use kube_sim::{Sim, WatchList};
use serde_json::json;

/// The type of an event and the name of its object, as [`Watch::next_type_and_name`] returns them.
fn event(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

#[tokio::test]
async fn a_watch_sends_changes_in_order_after_the_initial_list() {
    let sim = Sim::new();
    post(&sim, CONFIG_MAPS, config_map("a")).await.ok();
    let mut watch = Watch::open(&sim, &format!("{CONFIG_MAPS}?watch=true")).await;
    assert_eq!(watch.next_type_and_name().await, event("ADDED", "a"));
    post(&sim, CONFIG_MAPS, config_map("b")).await.ok();
    merge_patch(&sim, &format!("{CONFIG_MAPS}/a"), json!({"data": {"k": "w"}})).await.ok();
    delete(&sim, &format!("{CONFIG_MAPS}/a")).await.ok();
    assert_eq!(watch.next_type_and_name().await, event("ADDED", "b"));
    let changed = watch.next().await.unwrap();
    assert_eq!((&changed["type"], &changed["object"]["data"]["k"]), (&json!("MODIFIED"), &json!("w")));
    assert_eq!(changed["object"]["kind"], "ConfigMap");
    let deleted = watch.next().await.unwrap();
    assert_eq!(deleted["type"], "DELETED");
    assert_eq!(deleted["object"]["metadata"]["resourceVersion"], sim.resource_version().to_string());
}

#[tokio::test]
async fn a_watch_resumes_after_a_resource_version() {
    let sim = Sim::new();
    let first = post(&sim, CONFIG_MAPS, config_map("a")).await.ok();
    let version = first["metadata"]["resourceVersion"].as_str().unwrap();
    post(&sim, CONFIG_MAPS, config_map("b")).await.ok();
    let mut watch = Watch::open(&sim, &format!("{CONFIG_MAPS}?watch=true&resourceVersion={version}")).await;
    assert_eq!(watch.next_type_and_name().await, event("ADDED", "b"));
}

#[tokio::test]
async fn an_event_of_type_deleted_has_the_last_selected_state_if_the_selector_no_longer_matches() {
    let sim = Sim::new();
    let mut map = config_map("a");
    map["metadata"]["labels"] = json!({"in": "yes"});
    post(&sim, CONFIG_MAPS, map).await.ok();
    let from = sim.resource_version();
    let mut watch =
        Watch::open(&sim, &format!("{CONFIG_MAPS}?watch=1&labelSelector=in%3Dyes&resourceVersion={from}"))
            .await;
    let unselected =
        merge_patch(&sim, &format!("{CONFIG_MAPS}/a"), json!({"metadata": {"labels": {"in": "no"}}}))
            .await
            .ok();
    merge_patch(&sim, &format!("{CONFIG_MAPS}/a"), json!({"data": {"k": "unseen"}})).await.ok();
    merge_patch(&sim, &format!("{CONFIG_MAPS}/a"), json!({"metadata": {"labels": {"in": "yes"}}})).await.ok();
    let deleted = watch.next().await.unwrap();
    assert_eq!(deleted["type"], "DELETED");
    assert_eq!(deleted["object"]["metadata"]["labels"]["in"], "yes");
    assert_eq!(deleted["object"]["metadata"]["resourceVersion"], unselected["metadata"]["resourceVersion"]);
    assert_eq!(watch.next_type_and_name().await, event("ADDED", "a"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_sends_bookmarks_periodically_and_before_its_timeout() {
    let sim = Sim::builder().bookmark_interval(Duration::from_secs(10)).build();
    let from = sim.resource_version();
    let path = format!("{PODS}?watch=1&allowWatchBookmarks=true&timeoutSeconds=25&resourceVersion={from}");
    let mut watch = Watch::open(&sim, &path).await;
    let begin = tokio::time::Instant::now();
    post(&sim, CONFIG_MAPS, config_map("elsewhere")).await.ok();
    let mut at = Vec::new();
    while let Some(event) = watch.next().await {
        assert_eq!(event["type"], "BOOKMARK");
        assert_eq!(event["object"]["kind"], "Pod");
        assert_eq!(event["object"]["metadata"]["resourceVersion"], sim.resource_version().to_string());
        assert_eq!(event["object"]["spec"], json!({"containers": null}));
        at.push(begin.elapsed().as_secs());
    }
    assert_eq!(at, [10, 20, 23]);
    assert_eq!(begin.elapsed().as_secs(), 25);
}

#[tokio::test]
async fn the_initial_list_ends_with_an_annotated_bookmark() {
    let sim = Sim::new();
    post(&sim, CONFIG_MAPS, config_map("a")).await.ok();
    let query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
    let mut watch = Watch::open(&sim, &format!("{CONFIG_MAPS}?{query}")).await;
    assert_eq!(watch.next_type_and_name().await, event("ADDED", "a"));
    let end = watch.next().await.unwrap();
    assert_eq!(end["type"], "BOOKMARK");
    assert_eq!(end["object"]["metadata"]["annotations"], json!({"k8s.io/initial-events-end": "true"}));
    assert_eq!(end["object"]["metadata"]["resourceVersion"], sim.resource_version().to_string());
    post(&sim, CONFIG_MAPS, config_map("b")).await.ok();
    assert_eq!(watch.next_type_and_name().await, event("ADDED", "b"));
    let message =
        get(&sim, &format!("{CONFIG_MAPS}?watch=1&sendInitialEvents=true")).await.fails(422, "Invalid");
    assert!(
        message.contains("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_server_can_refuse_or_ignore_the_parameter_send_initial_events() {
    let query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
    let sim = Sim::builder().watch_list(WatchList::Refused).build();
    let message = get(&sim, &format!("{CONFIG_MAPS}?{query}")).await.fails(422, "Invalid");
    assert!(message.contains("sendInitialEvents is forbidden for watch"), "{message}");

    let sim = Sim::builder().watch_list(WatchList::Ignored).build();
    post(&sim, CONFIG_MAPS, config_map("a")).await.ok();
    let mut watch = Watch::open(&sim, &format!("{CONFIG_MAPS}?{query}&timeoutSeconds=200")).await;
    assert_eq!(watch.next_type_and_name().await, event("ADDED", "a"));
    let mut bookmarks = 0;
    while let Some(event) = watch.next().await {
        assert_eq!(event["object"]["metadata"].get("annotations"), None);
        bookmarks += 1;
    }
    assert_eq!(bookmarks, 4);
}

#[tokio::test]
async fn a_watch_from_an_expired_version_ends_with_an_error_event() {
    let sim = Sim::new();
    let version = post(&sim, CONFIG_MAPS, config_map("a")).await.ok()["metadata"]["resourceVersion"].clone();
    post(&sim, CONFIG_MAPS, config_map("b")).await.ok();
    sim.compact_all();
    let path = format!("{CONFIG_MAPS}?watch=1&resourceVersion={}", version.as_str().unwrap());
    let mut watch = Watch::open(&sim, &path).await;
    assert_eq!(watch.code, 200);
    let error = watch.next().await.unwrap();
    assert_eq!(error["type"], "ERROR");
    assert_eq!((&error["object"]["code"], &error["object"]["reason"]), (&json!(410), &json!("Expired")));
    assert!(watch.next().await.is_none());
    let now = sim.resource_version();
    let mut watch = Watch::open(&sim, &format!("{CONFIG_MAPS}?watch=1&resourceVersion={now}")).await;
    post(&sim, CONFIG_MAPS, config_map("c")).await.ok();
    assert_eq!(watch.next_type_and_name().await, event("ADDED", "c"));
}

#[tokio::test]
async fn a_watch_ends_if_the_history_has_lost_its_next_event() {
    let sim = Sim::builder().history(10).build();
    let from = sim.resource_version();
    let mut watch = Watch::open(&sim, &format!("{CONFIG_MAPS}?watch=1&resourceVersion={from}")).await;
    for i in 0..30 {
        post(&sim, CONFIG_MAPS, config_map(&format!("m{i}"))).await.ok();
    }
    assert!(watch.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_watch_sends_two_events_for_the_graceful_deletion_of_a_pod() {
    let sim = Sim::new();
    let mut placed = pod("a");
    placed["spec"]["nodeName"] = "n".into();
    post(&sim, PODS, placed).await.ok();
    let from = sim.resource_version();
    let mut watch = Watch::open(&sim, &format!("{PODS}?watch=1&resourceVersion={from}")).await;
    let path = format!("{PODS}/a");
    let (first, _) = tokio::join!(watch.next_type_and_name(), delete(&sim, &path));
    assert_eq!(first, event("MODIFIED", "a"));
    assert_eq!(watch.next_type_and_name().await, event("DELETED", "a"));
}

#[tokio::test]
async fn a_watch_can_request_events_as_partial_metadata_or_as_tables() {
    let sim = Sim::new();
    post(&sim, PODS, pod("a")).await.ok();
    for (accept, kind) in [
        ("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", "PartialObjectMetadata"),
        ("application/json;as=Table;g=meta.k8s.io;v=v1", "Table"),
    ] {
        let response = common::get_accepting(&sim, &format!("{PODS}?watch=1&timeoutSeconds=1"), accept).await;
        let line = response.bytes.split(|b| *b == b'\n').next().unwrap();
        let event: serde_json::Value = serde_json::from_slice(line).unwrap();
        assert_eq!(event["type"], "ADDED");
        assert_eq!(event["object"]["kind"], kind);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_a_future_version_is_silent_until_the_storage_passes_that_version() {
    let sim = Sim::builder().bookmark_interval(Duration::from_secs(10)).build();
    let future = sim.resource_version() + 3;
    let path =
        format!("{CONFIG_MAPS}?watch=1&allowWatchBookmarks=true&timeoutSeconds=600&resourceVersion={future}");
    let mut watch = Watch::open(&sim, &path).await;
    assert_eq!(watch.code, 200);
    for name in ["a", "b", "c"] {
        post(&sim, CONFIG_MAPS, config_map(name)).await.ok();
    }
    let silence = tokio::time::timeout(Duration::from_secs(5), watch.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    post(&sim, CONFIG_MAPS, config_map("d")).await.ok();
    assert_eq!(watch.next_type_and_name().await, event("ADDED", "d"));

    let path = format!("{path}000");
    let mut watch = Watch::open(&sim, &path).await;
    let begin = tokio::time::Instant::now();
    assert!(watch.next().await.is_none(), "neither events nor bookmarks");
    assert_eq!(begin.elapsed().as_secs(), 600);
}

#[tokio::test]
async fn an_initial_list_from_a_future_version_ends_with_an_error_event() {
    let sim = Sim::new();
    let query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
    let mut watch = Watch::open(&sim, &format!("{CONFIG_MAPS}?{query}&resourceVersion=9999")).await;
    assert_eq!(watch.code, 200);
    let error = watch.next().await.unwrap();
    assert_eq!(error["type"], "ERROR");
    let status = &error["object"];
    assert_eq!((&status["code"], &status["reason"]), (&json!(504), &json!("Timeout")));
    assert_eq!(status["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    assert_eq!(status["details"]["retryAfterSeconds"], 1);
    assert!(watch.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_restore_resets_the_version_and_silences_open_watches() {
    let sim = Sim::builder().bookmark_interval(Duration::from_secs(10)).build();
    post(&sim, CONFIG_MAPS, config_map("kept")).await.ok();
    let (snapshot, version) = (sim.snapshot(), sim.resource_version());
    post(&sim, CONFIG_MAPS, config_map("lost")).await.ok();
    delete(&sim, &format!("{CONFIG_MAPS}/kept")).await.ok();
    let path = format!("{CONFIG_MAPS}?watch=1&allowWatchBookmarks=true&timeoutSeconds=600");
    let mut watch = Watch::open(&sim, &path).await;
    assert_eq!(watch.next_type_and_name().await, event("ADDED", "lost"));

    sim.restore(&snapshot);
    assert_eq!(sim.resource_version(), version);
    get(&sim, &format!("{CONFIG_MAPS}/kept")).await.ok();
    get(&sim, &format!("{CONFIG_MAPS}/lost")).await.fails(404, "NotFound");
    post(&sim, CONFIG_MAPS, config_map("new")).await.ok();
    let silence = tokio::time::timeout(Duration::from_secs(100), watch.next()).await;
    assert!(silence.is_err(), "{silence:?}");
    // The creation of `seen` brings the storage to the version at which the watch began, so the watch sends no event for
    // `seen`. The creation of `seen-too` brings the storage to a later version.
    post(&sim, CONFIG_MAPS, config_map("seen")).await.ok();
    post(&sim, CONFIG_MAPS, config_map("seen-too")).await.ok();
    assert_eq!(watch.next_type_and_name().await, event("ADDED", "seen-too"));

    sim.restore(&snapshot);
    get(&sim, &format!("{CONFIG_MAPS}/new")).await.fails(404, "NotFound");
    let mut watch = Watch::open(&sim, &path).await;
    assert_eq!(watch.next_type_and_name().await, event("ADDED", "kept"));
}

#[tokio::test]
async fn restore_resets_the_served_definitions() {
    let sim = Sim::new();
    let snapshot = sim.snapshot();
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "tools.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "tools", "kind": "Tool"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object"}}}],
        },
    });
    sim.create(&definition).unwrap();
    let tools = "/apis/example.com/v1/namespaces/default/tools";
    get(&sim, tools).await.ok();
    let mut watch = Watch::open(&sim, &format!("{tools}?watch=1")).await;
    sim.restore(&snapshot);
    assert_eq!(get(&sim, tools).await.code, 404);
    assert!(watch.next().await.is_none(), "the resource of the watch is no longer served");
    sim.create(&definition).unwrap();
    get(&sim, tools).await.ok();
}

#[tokio::test]
async fn a_watch_from_an_expired_version_and_without_initial_events_ends_with_an_error_event() {
    let sim = Sim::new();
    let version = post(&sim, CONFIG_MAPS, config_map("a")).await.ok()["metadata"]["resourceVersion"].clone();
    post(&sim, CONFIG_MAPS, config_map("b")).await.ok();
    sim.compact_all();
    let query = "watch=1&sendInitialEvents=false&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
    let from = version.as_str().unwrap();
    let mut watch = Watch::open(&sim, &format!("{CONFIG_MAPS}?{query}&resourceVersion={from}")).await;
    assert_eq!(watch.code, 200);
    let error = watch.next().await.unwrap();
    assert_eq!((&error["type"], &error["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert!(watch.next().await.is_none());
    // A watch with `sendInitialEvents=false` and without a resource version begins with the next change.
    let mut watch = Watch::open(&sim, &format!("{CONFIG_MAPS}?{query}")).await;
    post(&sim, CONFIG_MAPS, config_map("c")).await.ok();
    assert_eq!(watch.next_type_and_name().await, event("ADDED", "c"));
}

#[tokio::test]
async fn removing_the_last_finalizer_sends_one_deleted_event_with_the_state_before_the_update() {
    for verb in ["patch", "update"] {
        let sim = Sim::new();
        let path = format!("{CONFIG_MAPS}/a");
        let mut map = config_map("a");
        map["metadata"]["finalizers"] = json!(["example.com/hold"]);
        post(&sim, CONFIG_MAPS, map).await.ok();
        delete(&sim, &path).await.ok();
        let mut marked = get(&sim, &path).await.ok();
        let from = sim.resource_version();
        let mut watch = Watch::open(&sim, &format!("{CONFIG_MAPS}?watch=1&resourceVersion={from}")).await;
        let response = if verb == "patch" {
            merge_patch(&sim, &path, json!({"metadata": {"finalizers": null}, "data": {"k": "last"}}))
                .await
                .ok()
        } else {
            marked["metadata"]["finalizers"] = json!([]);
            marked["data"]["k"] = "last".into();
            common::put(&sim, &path, marked).await.ok()
        };
        assert_eq!(response["data"]["k"], "last");
        assert_eq!(response["metadata"]["resourceVersion"], from.to_string(), "the change was not written");
        let deleted = watch.next().await.unwrap();
        assert_eq!(deleted["type"], "DELETED", "{verb}");
        assert_eq!(deleted["object"]["data"]["k"], "v");
        assert_eq!(deleted["object"]["metadata"]["finalizers"], json!(["example.com/hold"]));
        assert_eq!(deleted["object"]["metadata"]["resourceVersion"], (from + 1).to_string());
        assert_eq!(sim.resource_version(), from + 1);
    }
}

#[tokio::test]
async fn finalizing_a_namespace_sends_one_deleted_event() {
    let sim = Sim::new();
    let path = "/api/v1/namespaces/held";
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "held"}});
    post(&sim, "/api/v1/namespaces", namespace.clone()).await.ok();
    let mut map = config_map("a");
    map["metadata"]["finalizers"] = json!(["example.com/hold"]);
    post(&sim, &format!("{path}/configmaps"), map).await.ok();
    delete(&sim, path).await.ok();
    let from = sim.resource_version();
    let mut watch = Watch::open(&sim, &format!("/api/v1/namespaces?watch=1&resourceVersion={from}")).await;
    common::put(&sim, &format!("{path}/finalize"), namespace).await.ok();
    let deleted = watch.next().await.unwrap();
    assert_eq!(deleted["type"], "DELETED");
    assert_eq!(deleted["object"]["spec"]["finalizers"], json!(["kubernetes"]));
}

#[tokio::test]
async fn compaction_applies_to_resources_with_and_without_objects() {
    let sim = Sim::new();
    let before = sim.resource_version();
    post(&sim, CONFIG_MAPS, config_map("a")).await.ok();
    sim.compact_all();
    for resource in ["/api/v1/secrets", "/api/v1/configmaps"] {
        let mut watch =
            Watch::open(&sim, &format!("{resource}?watch=true&timeoutSeconds=1&resourceVersion={before}"))
                .await;
        let event = watch.next().await.unwrap();
        assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)), "{resource}");
        let old = format!("{resource}?resourceVersionMatch=Exact&resourceVersion={before}");
        get(&sim, &old).await.fails(410, "Expired");
    }
}

#[tokio::test]
async fn compaction_does_not_end_open_watches() {
    let sim = Sim::new();
    let from = sim.resource_version();
    let path = format!("{CONFIG_MAPS}?watch=1&resourceVersion={from}");
    let (mut idle, mut behind) = (Watch::open(&sim, &path).await, Watch::open(&sim, &path).await);
    // The watch `idle` has received no event, so this watch remains at its initial resource version.
    assert!(tokio::time::timeout(Duration::from_millis(1), idle.next()).await.is_err());
    post(&sim, PODS, pod("elsewhere")).await.ok();
    sim.compact_all();
    post(&sim, CONFIG_MAPS, config_map("a")).await.ok();
    assert_eq!(idle.next_type_and_name().await, event("ADDED", "a"));
    sim.compact_all();
    post(&sim, CONFIG_MAPS, config_map("b")).await.ok();
    assert_eq!(idle.next_type_and_name().await, event("ADDED", "b"));
    assert_eq!(
        behind.next_type_and_name().await,
        event("ADDED", "a"),
        "the watch had not read this change before the compaction"
    );
    assert_eq!(behind.next_type_and_name().await, event("ADDED", "b"));
    // A new watch from a version before the compaction ends with an `ERROR` event of code 410.
    assert_eq!(Watch::open(&sim, &path).await.next().await.unwrap()["type"], "ERROR");
}

#[tokio::test]
async fn a_new_watch_resumes_after_a_call_of_end_watches() {
    let sim = Sim::new();
    let from = sim.resource_version();
    let path = format!("{CONFIG_MAPS}?watch=1&resourceVersion={from}");
    let mut watch = Watch::open(&sim, &path).await;
    let (end, ()) = tokio::join!(watch.next(), async { sim.end_watches() });
    assert!(end.is_none(), "{end:?}");
    let mut watch = Watch::open(&sim, &path).await;
    post(&sim, CONFIG_MAPS, config_map("a")).await.ok();
    assert_eq!(watch.next_type_and_name().await, event("ADDED", "a"));
}
