//! Tests of the number and size of allocations on the hot paths. Unlike durations, these values are equal on every
//! machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

use allocation_counter::{AllocationInfo, measure};
use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube_client::api::{FilterDepth, ListParams, Verdict, WatchParams};
use kube_client::client::Body;
use kube_client::core::{ApiResource, FieldSet, Object};
use kube_client::{Api, Client, Resource, ResourceExt};
use kube_runtime::controller::{self, Action, Changes, mapped, own};
use kube_runtime::reflector::{ObjectRef, Storage, Store, deltas, indexes, store_with};
use kube_runtime::watcher::Event;
use kube_runtime::{Controller, watcher};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of pods in each list, watch and snapshot, and the number of config maps that a controller reconciles.
const POD_COUNT: usize = 200;

/// A pod with most of the usual fields.
fn pod(n: usize) -> Value {
    let labels: Value =
        (0..8).map(|label| (format!("example.com/label-{label}"), json!(format!("{n}")))).collect();
    let managed: Value =
        (0..40).map(|field| (format!("f:field-{field}"), json!({".": {}, "f:a": {}}))).collect();
    let volume =
        |name: &str| json!({"name": name, "configMap": {"name": format!("{name}-{n}"), "defaultMode": 420}});
    let condition =
        |name: &str| json!({"type": name, "status": "True", "lastTransitionTime": "2026-05-01T10:00:00Z"});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("pod-{n}"), "namespace": "team", "uid": format!("uid-{n}"),
            "resourceVersion": format!("{}", 1000 + n), "labels": labels, "annotations": {"checksum": "0".repeat(64)},
            "managedFields": [{"manager": "kubelet", "operation": "Update", "apiVersion": "v1",
                "fieldsType": "FieldsV1", "fieldsV1": managed}]},
        "spec": {"nodeName": format!("node-{}", n % 10), "volumes": [volume("config"), volume("token"), volume("cache")],
            "containers": [{"name": "app", "image": format!("registry.example/app@sha256:{}", "a".repeat(64)),
                "args": ["--listen=:8080", "--workers=4"], "env": [{"name": "LEVEL", "value": "info"}],
                "ports": [{"containerPort": 8080, "name": "http"}, {"containerPort": 9090, "name": "metrics"}],
                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}}}]},
        "status": {"phase": "Running", "podIP": format!("10.0.0.{}", n % 250),
            "conditions": [condition("Ready"), condition("Initialized"), condition("PodScheduled")],
            "containerStatuses": [{"name": "app", "ready": true, "restartCount": 0, "image": "app", "imageID": "id"}]},
    })
}

/// A client whose service answers every request with `body`.
fn client(body: Vec<u8>) -> Client {
    let service = tower::service_fn(move |_: http::Request<Body>| {
        let response = http::Response::new(Body::from(body.clone()));
        async move { Ok::<_, Infallible>(response) }
    });
    Client::new(service, "default")
}

/// The [`Api`] of pods, over a [`client`] whose service answers every request with `body`.
fn pods(body: Vec<u8>) -> Api<Pod> {
    Api::<Pod>::all(client(body)).skip_fields(FieldSet::managed_fields())
}

/// The body of a list of pods.
fn list_body() -> Vec<u8> {
    let items: Vec<_> = (0..POD_COUNT).map(pod).collect();
    let list =
        json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}, "items": items});
    list.to_string().into_bytes()
}

/// Runs a future on the current thread, because only the allocations of that thread are counted.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Fills two stores, one after the other. Returns the second store, and the allocations while it is filled.
fn measure_second_fill<K>(api: &Api<K>, storage: fn() -> Storage<K>) -> (AllocationInfo, Store<K>)
where
    K: Resource + DeserializeOwned + Send + Sync + 'static,
{
    // The first call makes the one-time allocations of the thread and the process.
    measure_fill(api, storage());
    measure_fill(api, storage())
}

/// Fills a store. Returns the store and the allocations, including one-time allocations.
fn measure_fill<K>(api: &Api<K>, storage: Storage<K>) -> (AllocationInfo, Store<K>)
where
    K: Resource + DeserializeOwned + Send + Sync + 'static,
{
    let (store, mut writer) = store_with(storage);
    let info = measure(|| {
        block_on(async {
            let mut items = api.list_stream(&ListParams::default()).await.unwrap();
            while let Some(pod) = items.next().await {
                writer.apply_watcher_event(Event::Apply(pod.unwrap()));
            }
        });
    });
    assert_eq!(store.len(), POD_COUNT);
    (info, store)
}

fn average_per_object(total: u64) -> u64 {
    total / POD_COUNT as u64
}

#[test]
fn a_typed_pod_takes_less_than_20_kb_and_75_allocations() {
    let (info, store) = measure_second_fill(&pods(list_body()), Storage::typed);
    let bytes = info.bytes_current.unsigned_abs() / POD_COUNT as u64;
    assert!(bytes < 20_000, "{bytes} bytes stay for each pod");
    let allocations = average_per_object(info.count_total);
    assert!(allocations < 75, "{allocations} allocations for each pod");
    drop(store);
}

#[test]
fn a_compact_pod_takes_less_than_450_bytes() {
    let (info, store) = measure_second_fill(&pods(list_body()), Storage::compact);
    // The memory that does not depend on the number of pods: the first objects, the dictionary and the compressor. The
    // first objects stay uncompressed, and the dictionary is made from these objects. The compressor has a copy of the
    // dictionary and a hash table.
    let fixed = 3 * (32 << 10) + (16 << 10);
    let bytes = (info.bytes_current.unsigned_abs() - fixed) / POD_COUNT as u64;
    assert!(bytes < 450, "{bytes} bytes stay for each pod");
    drop(store);
}

#[test]
fn the_deltas_of_the_first_snapshot_take_at_most_24_bytes_for_each_object() {
    for storage in [Storage::typed, Storage::compact] {
        let (_store, mut writer) = store_with::<Pod>(storage());
        writer.apply_watcher_event(Event::Init);
        for n in 0..POD_COUNT {
            writer.apply_watcher_event(Event::InitApply(serde_json::from_value(pod(n)).unwrap()));
        }
        let mut change = None;
        let info = measure(|| change = Some(writer.apply_watcher_event(Event::InitDone)));
        let bytes = info.bytes_max / POD_COUNT as u64;
        assert!(bytes <= 24, "{bytes} bytes for each delta");
        assert_eq!(change.unwrap().into_deltas().count(), POD_COUNT);
    }
}

/// A pod's spec with one field.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PartialSpec {
    node_name: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct PartialStatus {
    phase: Option<String>,
}

#[test]
fn a_partial_pod_allocates_only_its_fields() {
    type PartialPod = Object<PartialSpec, PartialStatus>;
    let unwanted = ["metadata.managedFields", "metadata.labels", "metadata.annotations"];
    let unwanted = unwanted.into_iter().map(|path| path.parse::<FieldSet>().unwrap()).collect();
    let api = Api::<PartialPod>::all_with(client(list_body()), &ApiResource::erase::<Pod>(&()))
        .skip_fields(unwanted);
    let (info, store) = measure_second_fill(&api, Storage::typed);
    let pod = &store.state()[0];
    assert_eq!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Running"));
    assert!(pod.spec.node_name.is_some());
    let bytes = info.bytes_current.unsigned_abs() / POD_COUNT as u64;
    assert!(bytes < 700, "{bytes} bytes stay for each pod, {}", size_of::<PartialPod>());
    let allocations = average_per_object(info.count_total);
    assert!(allocations < 12, "{allocations} allocations for each pod");
}

/// The events of a snapshot of `pods`.
fn snapshot_events(pods: Vec<Pod>) -> impl Iterator<Item = Event<Pod>> {
    [Event::Init].into_iter().chain(pods.into_iter().map(Event::InitApply)).chain([Event::InitDone])
}

#[test]
fn an_event_of_a_watch_allocates_only_the_stored_object() {
    let pods: Vec<Pod> = (0..POD_COUNT).map(|n| serde_json::from_value(pod(n)).unwrap()).collect();
    let (_store, mut writer) = store_with(Storage::typed());
    for event in snapshot_events(pods.clone()) {
        drop(writer.apply_watcher_event(event));
    }
    let changed = pods.into_iter().map(|mut pod| {
        pod.metadata.resource_version = Some("2000".into());
        pod
    });
    let changed: Vec<_> = changed.collect();
    let info = measure(|| {
        for pod in changed {
            let mut deltas = writer.apply_watcher_event(Event::Apply(pod)).into_deltas();
            assert!(deltas.next().is_some_and(|delta| delta.old().is_some() && delta.current().is_some()));
        }
    });
    assert_eq!(info.count_total, POD_COUNT as u64, "one shared allocation for each object");
}

#[test]
fn a_relist_allocates_only_a_map_and_the_changed_objects() {
    let pods: Vec<Pod> = (0..POD_COUNT).map(|n| serde_json::from_value(pod(n)).unwrap()).collect();
    let (_store, mut writer) = store_with(Storage::typed());
    for event in snapshot_events(pods.clone()) {
        drop(writer.apply_watcher_event(event));
    }
    let mut relisted = pods;
    relisted[7].metadata.resource_version = Some("2000".into());
    let info = measure(|| {
        let deltas =
            snapshot_events(relisted).flat_map(|event| writer.apply_watcher_event(event).into_deltas());
        assert_eq!(deltas.count(), 1);
    });
    assert!(info.count_total < 20, "{} allocations for a relist with one change", info.count_total);
}

#[test]
fn a_reconcile_without_changes_allocates_little() {
    let sim = kube_sim::Sim::new();
    for n in 0..POD_COUNT {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("map-{n}"), "namespace": "default"}});
        sim.create(&map).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let maps = Api::<ConfigMap>::default_namespaced(Client::new(sim.service(), "default"));
    let (send, all) = futures::channel::mpsc::unbounded();
    let reconcile = |_, _| std::future::ready(Ok::<_, Infallible>(Action::await_change()));
    let mut results = Controller::new(maps, watcher::Config::default())
        .reconcile_all_on(all)
        .run(reconcile, controller::backoff_on_error, std::sync::Arc::new(()))
        .boxed();
    let mut round =
        || runtime.block_on(async { results.by_ref().take(POD_COUNT).for_each(async |_| ()).await });
    round();
    send.unbounded_send(()).unwrap();
    round();
    let info = measure(|| {
        send.unbounded_send(()).unwrap();
        round();
    });
    let allocations = average_per_object(info.count_total);
    assert!(allocations <= 8, "{allocations} allocations for each reconcile");
}

#[test]
fn a_list_stream_never_buffers_the_whole_list() {
    let (pods, whole) = (pods(list_body()), list_body().len() as u64);
    let info = measure(|| {
        block_on(async {
            let mut items = pods.list_stream(&ListParams::default()).await.unwrap();
            while let Some(pod) = items.next().await {
                drop(pod.unwrap());
            }
        });
    });
    // The limit allows the service's copy of the body, and about as many bytes for buffers and decoded pods.
    assert!(info.bytes_max < 2 * whole + 200_000, "{} bytes at most, for a body of {whole}", info.bytes_max);
}

#[test]
fn an_event_that_a_filter_drops_allocates_only_its_metadata() {
    let lines = (0..POD_COUNT).map(|n| json!({"type": "MODIFIED", "object": pod(n)}).to_string() + "\n");
    let pods = pods(lines.collect::<String>().into_bytes());
    let info = measure(|| {
        block_on(async {
            let watch = pods.watch(&WatchParams::default(), "1").await.unwrap();
            let left = watch.filter_before_decode(FilterDepth::Metadata, |_, _| Verdict::Drop).count().await;
            assert!(left <= 2, "{left} events were emitted");
        });
    });
    let allocations = average_per_object(info.count_total);
    assert!(allocations < 30, "{allocations} allocations for each event");
}

/// A config map that exists for a short time.
fn short_lived_map(name: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    map.metadata.namespace = Some("team".into());
    map.metadata.uid = Some(name.to_owned());
    map.metadata.resource_version = Some("1".into());
    map
}

/// The number of objects that a call of [`add_and_delete`] adds to each collection and deletes again.
const OBJECT_COUNT: usize = 1000;

/// Sends the events of each collection: first the additions of objects, and then the deletions of the same objects. Calls
/// `poll` after the additions, and again after the deletions. The name of each object contains `round`.
fn add_and_delete(
    round: usize,
    collections: &[UnboundedSender<watcher::Result<Event<ConfigMap>>>],
    mut poll: impl FnMut(),
) {
    for is_deletion in [false, true] {
        for number in 0..OBJECT_COUNT {
            let object = short_lived_map(&format!("{round}-{number}"));
            for events in collections {
                let event =
                    if is_deletion { Event::Delete(object.clone()) } else { Event::Apply(object.clone()) };
                events.unbounded_send(Ok(event)).unwrap();
            }
        }
        poll();
    }
}

#[test]
fn deleted_objects_leave_no_memory_behind_in_a_controller() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (maps, map_events) = unbounded::<watcher::Result<Event<ConfigMap>>>();
    let (others, other_events) = unbounded::<watcher::Result<Event<ConfigMap>>>();
    let (store, writer) = store_with::<ConfigMap>(Storage::typed());
    let (other_store, other_writer) = store_with::<ConfigMap>(Storage::typed());
    let index = store.index_by(indexes::namespace::<ConfigMap>());
    let mut subscription = store.subscribe();
    let own_maps = Changes::of_store("maps", &store, deltas(writer, map_events)).handle(own());
    let related = Changes::of_store("others", &other_store, deltas(other_writer, other_events)).handle(
        mapped(|other: ConfigMap| Some(ObjectRef::<ConfigMap>::new(&other.name_any()).within("team"))),
    );
    // Some reconciles fail, and some requeue their objects.
    let reconcile = |map: Arc<ConfigMap>, _| {
        std::future::ready(match map.name_any().len() % 3 {
            0 => Err(std::io::Error::other("a failure")),
            1 => Ok(Action::requeue(std::time::Duration::from_secs(3600))),
            _ => Ok(Action::await_change()),
        })
    };
    let deleted = Arc::new(AtomicUsize::new(0));
    let counter = deleted.clone();
    let count_deletion = move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok::<_, Infallible>(()))
    };
    let mut results = Controller::from_source(store.clone(), own_maps)
        .with_source(related)
        .on_deletion(count_deletion)
        .run(reconcile, controller::backoff_on_error, Arc::new(()))
        .boxed();
    let collections = [maps, others];
    for events in &collections {
        events.unbounded_send(Ok(Event::Init)).unwrap();
        events.unbounded_send(Ok(Event::InitDone)).unwrap();
    }
    let mut poll = || {
        runtime.block_on(async {
            for _ in 0..200 {
                while results.next().now_or_never().flatten().is_some() {}
                while subscription.next().now_or_never().flatten().is_some() {}
                tokio::task::yield_now().await;
            }
        });
    };
    // The first rounds grow the buffers.
    (0..10).for_each(|round| add_and_delete(round, &collections, &mut poll));
    let info = measure(|| (10..110).for_each(|round| add_and_delete(round, &collections, &mut poll)));
    // A buffer may have grown. If one key of each object remained, the keys would take more than a megabyte.
    assert!(info.bytes_current < 300_000, "{} bytes remain of 100,000 objects", info.bytes_current);
    assert_eq!((store.len(), other_store.len(), index.values().len()), (0, 0, 0));
    assert_eq!(deleted.load(Ordering::SeqCst), 110 * OBJECT_COUNT);
}
