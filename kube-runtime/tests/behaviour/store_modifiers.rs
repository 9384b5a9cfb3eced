//! Tests of functions that modify objects before a store receives them.

use crate::common::{format_map, maps, put_map};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::{ResourceExt, api::WatchEvent};
use kube_runtime::reflector::{Cause, DeltaKind, Storage, StoreEvent, Subscription};
use kube_runtime::watcher::Config;
use kube_runtime::{Informer, Reflector, SharedInformer};
use kube_sim::Sim;
use std::time::Duration;
use tokio::time::timeout;

/// Takes items from a subscription until none arrives for a minute. Returns the texts of the deltas, sorted.
pub(crate) async fn drain_deltas(changes: &mut Subscription<ConfigMap>) -> Vec<String> {
    let mut items = Vec::new();
    while let Ok(Some(item)) = timeout(Duration::from_secs(60), changes.next()).await {
        if let Ok(StoreEvent::Delta(delta)) = item {
            let (map, cause) = (delta.last().unwrap(), delta.cause());
            let kind = match delta.kind() {
                DeltaKind::Added => "+",
                DeltaKind::Modified => "~",
                DeltaKind::Deleted => "-",
            };
            let cause = if cause == Cause::Vanished { " vanished" } else { "" };
            items.push(format!("{kind}{}/{}{cause}", map.namespace().unwrap(), format_map(&map)));
        }
    }
    items.sort();
    items
}

#[tokio::test(start_paused = true)]
async fn reflectors_and_informers_modify_objects_in_each_storage() {
    let hide = |map: &mut ConfigMap| drop(map.data.take());
    for storage in [Storage::typed, Storage::compact] {
        let sim = Sim::new();
        put_map(&sim, "a", "secret");
        let mut reflector = Reflector::with_storage(maps(&sim), Config::default(), storage().modify(hide));
        reflector.poll().await.unwrap();
        assert_eq!(reflector.read().iter().map(|map| format_map(map)).collect::<Vec<_>>(), ["a="]);
        let mut informer = Informer::with_storage(maps(&sim), Config::default(), storage().modify(hide));
        informer.poll().await.unwrap();
        assert!(matches!(informer.pop(), Some(WatchEvent::Added(map)) if map.data.is_none()));
        let shared = SharedInformer::with_storage(maps(&sim), Config::default(), storage().modify(hide));
        let mut changes = shared.subscribe();
        put_map(&sim, "a", "other");
        assert!(drain_deltas(&mut changes).await.iter().all(|item| item.ends_with("default/a=")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_modify_affects_only_its_object() {
    let sim = Sim::new();
    let check = |map: &mut ConfigMap| assert!(!format_map(map).ends_with("bad"), "a test");
    put_map(&sim, "a", "1");
    put_map(&sim, "b", "bad");
    let informer =
        SharedInformer::with_storage(maps(&sim), Config::default(), Storage::typed().modify(check));
    let mut changes = informer.subscribe();
    assert_eq!(drain_deltas(&mut changes).await, ["+default/a=1"]);
    put_map(&sim, "a", "bad");
    put_map(&sim, "b", "2");
    assert_eq!(drain_deltas(&mut changes).await, ["+default/b=2"], "the last state of a stays");
    sim.delete("v1", "ConfigMap", "default", "a").unwrap();
    assert_eq!(drain_deltas(&mut changes).await, ["-default/a=1"]);
}
