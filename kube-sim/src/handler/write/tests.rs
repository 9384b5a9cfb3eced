//! Tests of writes. In most tests, another request changes a stored object between the read and the commit
//! of the write.

use futures::FutureExt as _;
use http::Method;
use serde_json::{Value, json};

use super::*;
use crate::Sim;
use crate::handler::Call;
use crate::handler::convert;
use crate::handler::options::Options;
use crate::handler::reply::Request;
use crate::handler::target::Path;
use crate::warnings::Warnings;

const CONFIG_MAP_PATH: &str = "/api/v1/namespaces/default/configmaps/a";

fn sim_with_config_map() -> Sim {
    let sim = Sim::new();
    sim.create(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})).unwrap();
    sim
}

/// Adds the entries of `data` to the config map.
fn merge(sim: &Sim, data: &Value) {
    let patch = json!({ "data": data });
    sim.request(&Method::PATCH, CONFIG_MAP_PATH, "application/merge-patch+json", &patch).unwrap();
}

fn data(sim: &Sim) -> Value {
    sim.get("v1", "ConfigMap", "default", "a").unwrap()["data"].take()
}

/// Polls a future once and returns its result. Panics if the future is not ready.
fn poll_once<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("a write waits only for webhooks")
}

/// Calls `run` with the write context of a request for the config map.
fn with_context<T>(sim: &Sim, run: impl FnOnce(&mut WriteContext<'_>) -> T) -> T {
    let target = Path::parse(CONFIG_MAP_PATH).unwrap().resolve(&sim.inner().lock().registry).unwrap();
    let request = Request {
        method: Method::PATCH,
        path: CONFIG_MAP_PATH.to_owned(),
        query: String::new(),
        accept: String::new(),
        content_type: String::new(),
        user_agent: "test".to_owned(),
        if_none_match: String::new(),
        upgrade: None,
        user: crate::user::User::default(),
        calls_webhooks: false,
        body: bytes::Bytes::new(),
        arrival: crate::store::cache::Arrival::default(),
    };
    let options = Options::default();
    let warnings = Warnings::default();
    let call = Call {
        inner: sim.inner(),
        request: &request,
        target: &target,
        options: &options,
        warnings: &warnings,
    };
    run(&mut call.write_context())
}

#[test]
fn an_update_begins_again_if_the_object_changes_during_the_update() {
    let sim = sim_with_config_map();
    let mut attempts = 0;
    let written = with_context(&sim, |cx| {
        poll_once(cx.guaranteed_update(WrittenPart::Object, IfMissing::NotFound, |cx, old| {
            attempts += 1;
            if attempts < 3 {
                merge(&sim, &json!({ format!("other-{attempts}"): "x" }));
            }
            let mut object = convert::from_stored(&cx.target.resource, old.unwrap());
            object["data"]["own"] = "x".into();
            Ok(object)
        }))
    });
    assert!(!written.unwrap().created);
    assert_eq!(attempts, 3);
    assert_eq!(data(&sim), json!({"other-1": "x", "other-2": "x", "own": "x"}));
}

#[test]
fn an_update_with_a_resource_version_fails_with_conflict_if_the_object_changes_during_the_update() {
    let sim = sim_with_config_map();
    let stale = sim.get("v1", "ConfigMap", "default", "a").unwrap();
    let mut attempts = 0;
    let error = with_context(&sim, |cx| {
        poll_once(cx.guaranteed_update(WrittenPart::Object, IfMissing::NotFound, |_, _| {
            attempts += 1;
            if attempts == 1 {
                merge(&sim, &json!({"other": "x"}));
            }
            let mut object = stale.clone();
            object["data"] = json!({"own": "x"});
            Ok(object)
        }))
    });
    assert!(error.unwrap_err().is_conflict());
    assert_eq!((attempts, data(&sim)), (2, json!({"other": "x"})));
}

#[test]
fn an_update_fails_with_not_found_if_the_object_is_deleted_during_the_update() {
    let sim = sim_with_config_map();
    let error = with_context(&sim, |cx| {
        poll_once(cx.guaranteed_update(WrittenPart::Object, IfMissing::NotFound, |cx, old| {
            sim.delete("v1", "ConfigMap", "default", "a").unwrap();
            let mut object = convert::from_stored(&cx.target.resource, old.unwrap());
            object["data"] = json!({"own": "x"});
            Ok(object)
        }))
    });
    assert!(error.unwrap_err().is_not_found());
}

#[test]
fn an_apply_becomes_an_update_if_the_object_is_created_during_the_apply() {
    let sim = sim_with_config_map();
    sim.delete("v1", "ConfigMap", "default", "a").unwrap();
    let map = |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data});
    let mut attempts = 0;
    let written = with_context(&sim, |cx| {
        poll_once(cx.guaranteed_update(WrittenPart::Object, IfMissing::Create, |_, old| {
            attempts += 1;
            assert_eq!(old.is_some(), attempts == 2);
            if old.is_none() {
                sim.create(&map(json!({"other": "x"}))).unwrap();
            }
            Ok(map(json!({"own": "x"})))
        }))
    });
    assert!(!written.unwrap().created);
    assert_eq!(data(&sim), json!({"own": "x"}));
}

#[test]
fn a_create_fails_if_the_namespace_is_deleted_during_the_create() {
    let sim = Sim::builder().namespace("x").build();
    let target = Path::parse("/api/v1/namespaces/x/configmaps").unwrap();
    let target = target.resolve(&sim.inner().lock().registry).unwrap();
    let error = with_context(&sim, |cx| {
        let warnings = Warnings::default();
        let mut cx = WriteContext { target: &target, warnings: warnings.new_buffer(), ..*cx };
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
        let new = poll_once(cx.prepare_create(map)).unwrap();
        poll_once(cx.validate_create(&new)).unwrap();
        sim.delete("v1", "Namespace", "", "x").unwrap();
        poll_once(cx.commit_create(new)).unwrap_err()
    });
    assert!(error.is_not_found(), "{error:?}");
    assert!(sim.list("v1", "ConfigMap", "x").unwrap().is_empty());
}

#[test]
fn concurrent_patches_lose_no_change() {
    let sim = sim_with_config_map();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let sim = &sim;
            scope.spawn(move || {
                for number in 0..50 {
                    merge(sim, &json!({ format!("{thread}-{number}"): "x" }));
                }
            });
        }
    });
    assert_eq!(data(&sim).as_object().unwrap().len(), 200);
}

#[test]
fn exactly_one_of_concurrent_creates_with_the_same_name_succeeds() {
    let sim = Sim::new();
    let created = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
                match sim.create(&map) {
                    Ok(_) => created.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
                    Err(error) if error.is_already_exists() => 0,
                    Err(error) => panic!("{error:?}"),
                };
            });
        }
    });
    assert_eq!(created.into_inner(), 1);
}

#[test]
fn a_write_to_a_subresource_looks_up_namespace_labels_only_on_demand() {
    let sim = sim_with_config_map();
    let finished = with_context(&sim, |cx| {
        let cx = &*cx;
        let state = sim.inner().lock();
        std::thread::scope(|scope| {
            let (sender, receiver) = std::sync::mpsc::channel();
            scope.spawn(move || {
                let old = json!({});
                cx.with_subresource_update(&old, |update| sender.send(update.old.is_object()).unwrap());
            });
            // This thread holds the lock of the state. If the spawned thread looked up the namespace labels,
            // it would wait for this lock, and `recv_timeout` would return an error.
            let finished = receiver.recv_timeout(std::time::Duration::from_secs(10));
            drop(state);
            finished
        })
    });
    assert_eq!(finished, Ok(true));
}
