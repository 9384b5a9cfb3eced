//! Tests of compact stores, which keep the text of each object instead of a typed value.
#![expect(clippy::disallowed_types, reason = "a test seeds its own generator")]

use crate::common::{client, maps, put_map};
use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::api::{ApiResource, DynamicObject};
use kube_client::config::WireFormat;
use kube_client::core::{FieldSet, Selector};
use kube_client::{Api, Resource, ResourceExt};
use kube_runtime::reflector::{self, Check, Storage, Store, StoreEvent, indexes};
use kube_runtime::watcher::{Config, InitialListStrategy, watcher};
use kube_runtime::{Informer, Reflector, SharedInformer};
use kube_sim::Sim;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const FORMATS: [WireFormat; 2] = [WireFormat::Json, WireFormat::Protobuf];

/// The objects of a store as JSON, sorted.
fn sorted_objects<K: Resource + Serialize>(store: &Store<K>) -> Vec<String> {
    let mut objects: Vec<_> = store.state().iter().map(|object| json!(**object).to_string()).collect();
    objects.sort();
    objects
}

/// A random text, possibly empty, of characters with one or several bytes. JSON escapes some of these characters.
fn random_text(random: &mut fastrand::Rng) -> String {
    (0..random.usize(0..40))
        .map(|_| random.choice(['a', '"', '\\', '\n', 'é', '😀', '{', '}', ',', '\u{1}']).unwrap())
        .collect()
}

/// A random object: a config map or a deployment.
fn random_object(random: &mut fastrand::Rng) -> Value {
    let name = format!("object-{}", random.u8(0..12));
    let annotations = json!({"a": random_text(random), "b": random_text(random)});
    let labels = json!({"app": if random.bool() { "web" } else { "db" }});
    let metadata =
        json!({"name": name, "namespace": "default", "labels": labels, "annotations": annotations});
    if random.bool() {
        let data = json!({"text": random_text(random), "number": random.u32(..).to_string()});
        return json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data, "immutable": null});
    }
    let container = json!({"name": "main", "image": "web:1", "command": ["run", random_text(random)],
        "resources": {"limits": {"cpu": "100m", "memory": "1Gi"}},
        "ports": [{"containerPort": random.u16(1..), "name": "http"}]});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {
        "replicas": random.u8(0..5), "selector": {"matchLabels": {"app": "web"}},
        "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}}})
}

/// Creates, replaces or deletes an object.
fn make_random_change(sim: &Sim, random: &mut fastrand::Rng) {
    let object = random_object(random);
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap();
    let (version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
    if sim.get(version, kind, "default", name).is_err() {
        sim.create(&object).unwrap();
    } else if random.u8(0..3) == 0 {
        sim.delete(version, kind, "default", name).unwrap();
    } else {
        sim.update(&object).unwrap();
    }
}

/// Two informers for one kind: the first has typed storage, and the second has compact storage.
struct InformerPair<K: Resource + Send + Sync + 'static> {
    informers: [SharedInformer<K>; 2],
    subscriptions: Vec<kube_runtime::reflector::Subscription<K>>,
}

impl<K: Resource + Serialize + DeserializeOwned + Clone + Send + Sync + 'static> InformerPair<K> {
    fn new(api: &Api<K>, config: &Config, check: Check) -> Self {
        let compact = Storage::compact().check(check).cached(4);
        let informers = [Storage::typed(), compact]
            .map(|storage| SharedInformer::with_storage(api.clone(), config.clone(), storage));
        let subscriptions = informers.iter().map(SharedInformer::subscribe).collect();
        Self { informers, subscriptions }
    }

    /// Asserts that both stores have the same objects. Returns the number of objects in each store.
    fn assert_equal(&self, what: &str) -> usize {
        let [typed, compact] = self.informers.each_ref().map(|informer| sorted_objects(&informer.store()));
        assert_eq!(compact, typed, "{what}");
        assert_eq!(self.subscriptions.len(), 2);
        typed.len()
    }
}

/// Waits for five seconds of the paused clock. In this time, all watches receive the changes.
async fn wait_for_changes() {
    tokio::time::sleep(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_compact_store_equals_a_typed_store_after_random_changes_in_each_format() {
    for (seed, format) in FORMATS.into_iter().cycle().take(6).enumerate() {
        let mut random = fastrand::Rng::with_seed(seed as u64);
        let sim = Sim::new();
        let client = client(&sim).with_wire_format(format);
        let skipped =
            "data.number".parse::<FieldSet>().unwrap().and("metadata.annotations.a".parse().unwrap());
        let config = Config::default().skip_fields(FieldSet::managed_fields().and(skipped));
        let config = match seed % 4 {
            0 | 1 => config,
            _ => config.initial_list_strategy(InitialListStrategy::ListWatch).page_size(3),
        };
        for _ in 0..20 {
            make_random_change(&sim, &mut random);
        }
        let check = if seed < 3 { Check::Syntax } else { Check::Decode };
        let maps = InformerPair::<ConfigMap>::new(&Api::default_namespaced(client.clone()), &config, check);
        let deployments =
            InformerPair::<Deployment>::new(&Api::default_namespaced(client.clone()), &config, check);
        let resource = ApiResource::erase::<ConfigMap>(&());
        let dynamic = Api::<DynamicObject>::default_namespaced_with(client.clone(), &resource);
        let dynamic = InformerPair::new(&dynamic, &config, check);
        let mut counts = [0; 3];
        for round in 0..8 {
            for _ in 0..random.usize(0..12) {
                make_random_change(&sim, &mut random);
            }
            if round % 3 == 2 {
                // The watchers must relist.
                sim.compact_all();
                sim.end_watches();
                (0..5).for_each(|_| make_random_change(&sim, &mut random));
            }
            wait_for_changes().await;
            let what = format!("{format:?}, seed {seed}, round {round}");
            counts[0] += maps.assert_equal(&what);
            counts[1] += deployments.assert_equal(&what);
            counts[2] += dynamic.assert_equal(&what);
        }
        assert!(counts.iter().all(|count| *count > 8), "{counts:?}");
        let stored = maps.informers[1].store();
        assert!(
            sorted_objects(&stored)
                .iter()
                .all(|text| !text.contains("number") && !text.contains("managedFields"))
        );
        assert!(
            sorted_objects(&dynamic.informers[1].store())
                .iter()
                .all(|text| text.contains("\"kind\":\"ConfigMap\""))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_compact_store_equals_a_typed_store_for_a_reflector_an_informer_and_a_merge() {
    for format in FORMATS {
        let sim = Sim::new();
        put_map(&sim, "a", "1");
        put_map(&sim, "b", "2");
        let api = || Api::<ConfigMap>::default_namespaced(client(&sim).with_wire_format(format));
        let mut typed = Reflector::new(api());
        typed.poll().await.unwrap();
        let expected = sorted_objects(&typed.store());
        let mut reflector = Reflector::with_storage(api(), Config::default(), Storage::compact());
        reflector.poll().await.unwrap();
        assert_eq!(sorted_objects(&reflector.store()), expected);
        assert_eq!(reflector.resource_version(), typed.resource_version());
        let mut informer = Informer::with_storage(api(), Config::default(), Storage::compact());
        informer.poll().await.unwrap();
        assert_eq!((informer.len(), sorted_objects(&informer.store())), (2, expected.clone()));
        let parts =
            [Config::default().fields("metadata.name=a"), Config::default().fields("metadata.name=b")];
        let merged = SharedInformer::merged(parts.map(|config| (api(), config)), Storage::compact());
        let _changes = merged.subscribe();
        merged.store().wait_until_ready().await.unwrap();
        assert_eq!(sorted_objects(&merged.store()), expected);
        put_map(&sim, "a", "3");
        wait_for_changes().await;
        reflector.poll().await.unwrap();
        assert_eq!(sorted_objects(&merged.store()), sorted_objects(&reflector.store()));
        assert_ne!(sorted_objects(&merged.store()), expected);
    }
}

/// The number of decoded [`CountedData`] values.
static DECODE_COUNT: AtomicUsize = AtomicUsize::new(0);

/// The data of a config map. Each decode of the data adds 1 to [`DECODE_COUNT`].
#[derive(Debug, Clone, Serialize)]
struct CountedData(Value);

impl<'de> Deserialize<'de> for CountedData {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DECODE_COUNT.fetch_add(1, Ordering::Relaxed);
        Value::deserialize(deserializer).map(CountedData)
    }
}

#[tokio::test(start_paused = true)]
async fn keys_and_labels_are_read_without_decoding_the_object() {
    /// A config map with [`CountedData`] data.
    #[derive(Debug, Clone, Serialize, Deserialize)]
    struct CountedMap {
        metadata: kube_client::core::ObjectMeta,
        data: CountedData,
    }
    impl Resource for CountedMap {
        type DynamicType = ();
        type Scope = kube_client::core::NamespaceResourceScope;
        fn kind((): &()) -> std::borrow::Cow<'_, str> {
            "ConfigMap".into()
        }
        fn group((): &()) -> std::borrow::Cow<'_, str> {
            "".into()
        }
        fn version((): &()) -> std::borrow::Cow<'_, str> {
            "v1".into()
        }
        fn plural((): &()) -> std::borrow::Cow<'_, str> {
            "configmaps".into()
        }
        fn meta(&self) -> &kube_client::core::ObjectMeta {
            &self.metadata
        }
        fn meta_mut(&mut self) -> &mut kube_client::core::ObjectMeta {
            &mut self.metadata
        }
    }
    let sim = Sim::new();
    for n in 0..40 {
        let labels = json!({"app": if n % 4 == 0 { "web" } else { "db" }});
        sim.create(&json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"v": "x".repeat(900)},
            "metadata": {"name": format!("map-{n}"), "namespace": "default", "labels": labels}}))
            .unwrap();
    }
    let api = Api::<CountedMap>::default_namespaced(client(&sim));
    let (reader, writer) = reflector::store_with(Storage::compact().check(Check::Syntax));
    let by_app = reader.index_by_metadata(indexes::label("app"));
    let mut deltas = watcher(api.clone(), Config::default()).deltas(writer).boxed();
    let mut keys = Vec::new();
    while let StoreEvent::Delta(delta) = deltas.next().await.unwrap().unwrap() {
        let labels = delta.metadata().unwrap().labels.unwrap();
        keys.push((delta.key().1.to_owned(), labels["app"].clone()));
    }
    assert_eq!((reader.len(), by_app.count("web"), by_app.count("db")), (40, 10, 30));
    assert_eq!(keys.iter().filter(|(_, app)| app == "web").count(), 10);
    assert_eq!(DECODE_COUNT.load(Ordering::Relaxed), 0);
    assert_eq!(by_app.get("web").len(), 10);
    assert_eq!(DECODE_COUNT.swap(0, Ordering::Relaxed), 10);
    let selected = reader.state_filter_selector(&Selector::from_iter([("app", "db")]));
    assert_eq!((selected.len(), DECODE_COUNT.swap(0, Ordering::Relaxed)), (30, 30));
    // The program defines the type `CountedMap`. For such a type, a compact store by default decodes each object before it
    // stores the text.
    let mut checked = Reflector::with_storage(api, Config::default(), Storage::compact());
    checked.poll().await.unwrap();
    assert!(DECODE_COUNT.load(Ordering::Relaxed) >= 40);
}

#[tokio::test(start_paused = true)]
async fn a_compact_store_contains_the_changes_of_its_modifier() {
    let sim = Sim::new();
    put_map(&sim, "a", "1");
    let storage = Storage::compact().modify(|map: &mut ConfigMap| {
        map.data.get_or_insert_default().insert("added".into(), "yes".into());
    });
    let informer = SharedInformer::with_storage(maps(&sim), Config::default(), storage);
    let _changes = informer.subscribe();
    informer.store().wait_until_ready().await.unwrap();
    put_map(&sim, "b", "2");
    wait_for_changes().await;
    let objects = informer.store().state();
    assert_eq!(objects.len(), 2);
    assert!(objects.iter().all(|map| map.data.as_ref().is_some_and(|data| data["added"] == "yes")));
}

#[tokio::test(start_paused = true)]
async fn filters_of_the_watcher_run_before_the_text_is_stored() {
    for format in FORMATS {
        let sim = Sim::new();
        let put = |name: &str, app: &str| {
            let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": "default", "labels": {"app": app}}});
            if sim.create(&object).is_err() {
                sim.update(&object).unwrap();
            }
        };
        put("a", "web");
        put("b", "db");
        let api = Api::<ConfigMap>::default_namespaced(client(&sim).with_wire_format(format));
        let (reader, writer) = reflector::store_with(Storage::compact());
        let selected = watcher(api, Config::default()).only_labelled(Selector::from_iter([("app", "web")]));
        let mut deltas = selected.deltas(writer).boxed();
        let mut poll = async || {
            while tokio::time::timeout(Duration::from_secs(5), deltas.next()).await.is_ok() {}
            let mut names: Vec<_> = reader.state().iter().map(|map| map.name_any()).collect();
            names.sort();
            names
        };
        assert_eq!(poll().await, ["a"]);
        put("a", "db");
        put("b", "web");
        put("c", "web");
        assert_eq!(poll().await, ["b", "c"], "{format:?}");
    }
}
