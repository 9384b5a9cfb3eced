//! Tests of clients whose requests reach several replicas of the API server. The watch caches of some
//! replicas lag behind the storage.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::{Patch, PatchParams};
use kube_client::{Api, Client, ResourceExt as _};
use kube_runtime::controller::Action;
use kube_runtime::watcher::{Config, Event};
use kube_runtime::{Controller, reflector, watcher};
use kube_sim::fault::{self, Rule};
use kube_sim::{Lag, Sim};
use serde_json::json;
use tokio::time::sleep;

use crate::common::{delete_map, format_map, put_map};

/// The API of the config maps, behind a load balancer of three API servers: one is up to date, one lags by a time, and
/// one by a number of versions.
fn balanced_maps(sim: &Sim) -> Api<ConfigMap> {
    let replicas = [sim.replica(Lag::Time(Duration::from_secs(7))), sim.replica(Lag::Versions(4))];
    Api::default_namespaced(Client::new(sim.balanced(&replicas), "default"))
}

/// Makes the API servers end many watches early. A watcher resumes such a watch with a new request, which can reach
/// another API server.
fn break_watches(sim: &Sim) {
    sim.faults().add(Rule::new(fault::Action::CloseAfterEvents(3)).verb("watch").skip(1).times(40));
    sim.faults().add(Rule::new(fault::Action::CutAfterEvents(2)).verb("watch").probability(0.3).times(20));
}

/// Changes config maps for about ten minutes. Every two minutes, compacts all changes and restarts the API server. Then
/// creates ten namespaces, one every 30 seconds, because a lagging watch cache receives a change only after
/// some time, or after some further changes.
async fn change_maps(sim: &Sim) {
    for n in 0..200 {
        put_map(sim, &format!("m{}", n % 7), &n.to_string());
        if n % 11 == 0 {
            delete_map(sim, &format!("m{}", n % 7));
        }
        if n % 40 == 39 {
            sim.compact_all();
            sim.restart();
        }
        sleep(Duration::from_secs(3)).await;
    }
    for n in 0..10 {
        sim.create(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("n{n}")}}))
            .unwrap();
        sleep(Duration::from_secs(30)).await;
    }
}

fn format_maps_of_server(sim: &Sim) -> Vec<String> {
    let maps = sim.list("v1", "ConfigMap", "default").unwrap();
    let name = |map: &serde_json::Value| {
        format!(
            "{}={}",
            map["metadata"]["name"].as_str().unwrap(),
            map["data"]["v"].as_str().unwrap_or_default()
        )
    };
    maps.iter().map(name).collect()
}

#[tokio::test(start_paused = true)]
async fn a_store_never_returns_to_an_older_version_and_reaches_the_state_of_the_server() {
    for seed in 0..4 {
        let sim = Sim::builder().seed(seed).build();
        break_watches(&sim);
        let (reader, writer) = reflector::store();
        let mut items = reflector(writer, watcher(balanced_maps(&sim), Config::default())).boxed();
        let mut changes = Box::pin(change_maps(&sim)).fuse();
        let mut newest = BTreeMap::<String, u64>::new();
        let mut events = 0;
        loop {
            let item = tokio::select! {
                item = items.next() => item.unwrap(),
                () = &mut changes => break,
            };
            let Ok(Event::Apply(map) | Event::InitApply(map)) = item else { continue };
            events += 1;
            let version = map.resource_version().unwrap().parse().unwrap();
            let before = newest.insert(map.uid().unwrap(), version).unwrap_or(0);
            assert!(
                version >= before,
                "seed {seed}: {} went back from {before} to {version}",
                map.name_any()
            );
        }
        let mut reached: Vec<_> = reader.state().iter().map(|map| format_map(map)).collect();
        reached.sort();
        assert_eq!(reached, format_maps_of_server(&sim), "seed {seed}");
        assert!(events > 100, "seed {seed}: {events}");
        let used: std::collections::BTreeSet<_> =
            sim.journal().entries().iter().filter(|e| e.verb == "watch").map(|e| e.replica).collect();
        assert_eq!(used.len(), 3);
    }
}

/// The value `v` of each object at its last reconcile, by name.
type SeenValues = Mutex<BTreeMap<String, String>>;

#[tokio::test(start_paused = true)]
async fn a_controller_reconciles_the_last_state_of_each_object() {
    let sim = Sim::builder().seed(5).build();
    break_watches(&sim);
    let maps = balanced_maps(&sim);
    let seen = Arc::new(SeenValues::default());
    let reconcile = |map: Arc<ConfigMap>, (maps, seen): (&Api<ConfigMap>, &SeenValues)| {
        let value = map.data.as_ref().and_then(|data| data.get("v")).cloned().unwrap_or_default();
        seen.lock().unwrap().insert(map.name_any(), value.clone());
        let annotation = json!({"metadata": {"annotations": {"seen": value}}});
        let maps = maps.clone();
        async move {
            match maps.patch(&map.name_any(), &PatchParams::default(), &Patch::Merge(annotation)).await {
                Err(error) if !error.is_not_found() => Err(error),
                _ => Ok(Action::await_change()),
            }
        }
    };
    let context = Arc::new((maps.clone(), seen.clone()));
    let controller = Controller::new(maps, Config::default()).run(
        move |map, context: Arc<(Api<ConfigMap>, Arc<SeenValues>)>| reconcile(map, (&context.0, &context.1)),
        |_, _: &kube_client::Error, _| Action::requeue(Duration::from_secs(1)),
        context,
    );
    let running = tokio::spawn(controller.for_each(async |_| {}));
    change_maps(&sim).await;
    running.abort();
    for map in sim.list("v1", "ConfigMap", "default").unwrap() {
        let value = &map["data"]["v"];
        assert_eq!(&map["metadata"]["annotations"]["seen"], value, "{map}");
        let name = map["metadata"]["name"].as_str().unwrap();
        assert_eq!(seen.lock().unwrap().get(name).map(String::as_str), value.as_str());
    }
}
