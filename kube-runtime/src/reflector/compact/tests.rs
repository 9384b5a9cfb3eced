//! Tests of compact storage.

use super::*;
use crate::reflector::stored_object::StoredObject;
use crate::reflector::{DeltaKind, ObjectRef, Store, Writer};
use crate::watcher::Event;
use foldhash::quality::FixedState;
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use serde::Deserialize;
use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex};

/// A store with the format `storage`, and its writer. The writer records only the deletions of a snapshot.
/// Such a writer of a compact store may let other threads pack the objects of a snapshot. Other kinds of
/// writers never do so.
fn store_with<K>(storage: Storage<K>) -> (Store<K>, Writer<K>) {
    let (store, writer) = crate::reflector::store_with(storage);
    (store, writer.record_only_deletions())
}

/// The config map `map-{n}`, with `value` as its resource version and in its data.
fn config_map(n: usize, value: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(format!("map-{n}"));
    map.metadata.namespace = Some("ns".into());
    map.metadata.uid = Some(format!("uid-{n}"));
    map.metadata.resource_version = Some(value.into());
    let lines = (0..40).map(|line| (format!("settings-{line}"), format!("{value} of line {line}")));
    map.data = Some(lines.collect());
    map
}

#[test]
fn a_compact_store_returns_its_objects_after_changes_and_after_a_relist() {
    let (reader, mut writer) = crate::reflector::store_with::<ConfigMap>(Storage::compact().cached(8));
    let key = |n: usize| ObjectRef::new(&format!("map-{n}")).within("ns");
    for n in 0..100 {
        writer.apply_watcher_event(Event::Apply(config_map(n, "1")));
    }
    let deltas: Vec<_> = writer.apply_watcher_event(Event::Apply(config_map(7, "2"))).into_deltas().collect();
    assert_eq!(deltas[0].old().as_deref(), Some(&config_map(7, "1")));
    assert_eq!(reader.len(), 100);
    for n in 0..100 {
        let expected = config_map(n, if n == 7 { "2" } else { "1" });
        assert_eq!(reader.get(&key(n)).as_deref(), Some(&expected));
        assert_eq!(reader.get(&key(n)).as_deref(), Some(&expected));
    }
    assert_eq!(reader.state_filter(|map| map.metadata.resource_version.as_deref() == Some("2")).len(), 1);
    writer.apply_watcher_event(Event::Init);
    for n in 1..100 {
        writer.apply_watcher_event(Event::InitApply(config_map(n, "3")));
    }
    let deltas: Vec<_> = writer.apply_watcher_event(Event::InitDone).into_deltas().collect();
    assert_eq!(deltas.len(), 100);
    assert_eq!(deltas[0].current().as_deref(), Some(&config_map(1, "3")));
    assert_eq!(
        (deltas[99].kind(), deltas[99].old().as_deref()),
        (DeltaKind::Deleted, Some(&config_map(0, "1")))
    );
    assert_eq!(
        reader.find(|map| map.metadata.name.as_deref() == Some("map-9")).as_deref(),
        Some(&config_map(9, "3"))
    );
    assert_eq!(reader.get(&key(0)), None);
}

#[test]
fn a_packed_object_takes_less_than_an_eighth_of_its_json() {
    let storage = Storage::<ConfigMap>::compact();
    let codec = storage.codec.unwrap();
    for n in 0..50 {
        codec.pack(&config_map(n, "1"));
    }
    let object = Arc::new(config_map(77, "1"));
    let json = serde_json::to_vec(&*object).unwrap().len();
    let packed = codec.pack(&object).expect("the object survives the round trip");
    let bytes = packed.encoded().bytes.len();
    assert!(bytes * 8 < json, "{bytes} of {json} bytes");
    assert_eq!(codec.unpack(&packed), Some(object));
}

#[test]
fn objects_share_pages_and_are_moved_from_sparse_pages() {
    let (reader, mut writer) = store_with::<ConfigMap>(Storage::compact());
    // A config map with data that no other config map has.
    let unique_map = |n: usize, value: &str| {
        let own = |part: usize| FixedState::with_seed(n as u64).hash_one(part).to_string();
        let mut map = config_map(n, value);
        map.data = Some([("own".to_owned(), (0..50).map(own).collect())].into());
        map
    };
    let pages = |reader: &Store<ConfigMap>| {
        let stored = reader.shared.read();
        let pages = stored.iter().map(|stored| match stored {
            StoredObject::Packed(packed) => packed.address().0,
            StoredObject::Typed(_) => panic!("it was kept as it is"),
        });
        pages.collect::<HashSet<_>>().len()
    };
    let check_values = |reader: &Store<ConfigMap>, value: &dyn Fn(usize) -> Option<&'static str>| {
        for n in 0..2000 {
            let found = reader.get(&ObjectRef::new(&format!("map-{n}")).within("ns"));
            assert_eq!(found.as_deref(), value(n).map(|value| unique_map(n, value)).as_ref());
        }
    };
    writer.apply_watcher_event(Event::Init);
    for n in 0..2000 {
        writer.apply_watcher_event(Event::InitApply(unique_map(n, "1")));
    }
    writer.apply_watcher_event(Event::InitDone);
    let filled = pages(&reader);
    assert!(filled < 150, "{filled} pages");
    check_values(&reader, &|_| Some("1"));
    for n in (0..2000).filter(|n| n % 10 != 0) {
        writer.apply_watcher_event(Event::Delete(unique_map(n, "1")));
    }
    assert!(pages(&reader) < filled / 2, "{} of {filled} pages are left", pages(&reader));
    check_values(&reader, &|n| (n % 10 == 0).then_some("1"));
    // A relist replaces most objects; the unchanged objects are spread over all pages.
    writer.apply_watcher_event(Event::Init);
    for n in 0..2000 {
        writer.apply_watcher_event(Event::InitApply(unique_map(n, if n % 20 == 0 { "1" } else { "2" })));
    }
    writer.apply_watcher_event(Event::InitDone);
    assert!(pages(&reader) < 2 * filled, "{} pages", pages(&reader));
    check_values(&reader, &|n| Some(if n % 20 == 0 { "1" } else { "2" }));
    for n in 0..2000 {
        writer.apply_watcher_event(Event::Apply(unique_map(n, "3")));
    }
    assert!(pages(&reader) < 2 * filled, "{} pages", pages(&reader));
    check_values(&reader, &|_| Some("3"));
}

/// The number of objects that are stored as `StoredObject::Typed`, that is, not packed.
fn count_typed(reader: &Store<ConfigMap>) -> usize {
    reader.shared.read().iter().filter(|stored| matches!(stored, StoredObject::Typed(_))).count()
}

/// The events of a snapshot of 1,000 objects.
fn snapshot_events(value: &'static str) -> impl Iterator<Item = Event<ConfigMap>> {
    let objects = (0..1000).map(move |n| Event::InitApply(config_map(n, value)));
    std::iter::once(Event::Init).chain(objects).chain([Event::InitDone])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_threads_pack_a_list_and_wake_the_stream_to_store_the_last_batches() {
    let (reader, writer) = store_with::<ConfigMap>(Storage::compact());
    let events = stream::iter(snapshot_events("1").map(Ok)).chain(stream::pending());
    let mut events = std::pin::pin!(crate::reflector::reflector(writer, events));
    while !matches!(events.next().await, Some(Ok(Event::InitDone))) {}
    let late = count_typed(&reader);
    assert!(late < 200, "{late} objects were still on their way");
    for n in 0..1000 {
        let key = ObjectRef::new(&format!("map-{n}")).within("ns");
        assert_eq!(reader.get(&key).as_deref(), Some(&config_map(n, "1")));
    }
    // No further event arrives, so the finished batches must wake the stream.
    let all_packed = async {
        while count_typed(&reader) > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        event = events.next() => panic!("{event:?}"),
        () = all_packed => {}
    }
    assert_eq!(reader.state().len(), 1000);
}

/// A spec that records which threads serialize it.
#[derive(Debug, Clone, Deserialize)]
struct TracedSpec;

/// The threads that serialized a [`TracedSpec`], in order.
static SERIALIZING_THREADS: Mutex<Vec<std::thread::ThreadId>> = Mutex::new(Vec::new());

impl Serialize for TracedSpec {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        SERIALIZING_THREADS.lock().unwrap().push(std::thread::current().id());
        serializer.serialize_unit()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_threads_serialize_a_part_of_a_list() {
    type Object = kube_client::core::Object<TracedSpec, ()>;
    let resource = kube_client::core::ApiResource::erase::<ConfigMap>(&());
    let (_reader, mut writer) = store_with::<Object>(Storage::compact());
    for n in 0..2000 {
        let object = Object::new(&format!("object-{n}"), &resource, TracedSpec);
        writer.apply_watcher_event(Event::InitApply(object));
        tokio::task::yield_now().await;
    }
    writer.apply_watcher_event(Event::InitDone);
    std::future::poll_fn(|cx| writer.poll_packing(cx)).await;
    let here = std::thread::current().id();
    let elsewhere = SERIALIZING_THREADS.lock().unwrap().iter().filter(|thread| **thread != here).count();
    // Each object is serialized twice; the second time verifies the round trip.
    assert!(elsewhere > 400, "{elsewhere} of 4000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_is_packed_late_does_not_replace_a_newer_object() {
    let (reader, mut writer) = store_with::<ConfigMap>(Storage::compact());
    for event in snapshot_events("1") {
        writer.apply_watcher_event(event);
    }
    for n in 900..1000 {
        writer.apply_watcher_event(Event::Delete(config_map(n, "1")));
    }
    // Some of these objects may still be in packing tasks.
    for n in 850..900 {
        writer.apply_watcher_event(Event::Apply(config_map(n, "2")));
    }
    std::future::poll_fn(|cx| writer.poll_packing(cx)).await;
    assert_eq!((reader.len(), count_typed(&reader)), (900, 0));
    for n in 0..900 {
        let key = ObjectRef::new(&format!("map-{n}")).within("ns");
        assert_eq!(reader.get(&key), Some(Arc::new(config_map(n, if n < 850 { "1" } else { "2" }))));
    }
    // During the second snapshot, some objects of the first snapshot are still in packing tasks.
    for event in snapshot_events("1").chain(snapshot_events("1")) {
        writer.apply_watcher_event(event);
    }
    std::future::poll_fn(|cx| writer.poll_packing(cx)).await;
    assert_eq!((reader.len(), count_typed(&reader)), (1000, 0));
}

#[test]
fn the_writer_packs_objects_immediately_on_a_single_thread() {
    let (reader, mut writer) = store_with::<ConfigMap>(Storage::compact());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _guard = runtime.enter();
    for event in snapshot_events("1") {
        writer.apply_watcher_event(event);
    }
    assert_eq!((reader.len(), count_typed(&reader)), (1000, 0));
}

#[test]
fn a_cached_object_is_decoded_once() {
    let (reader, mut writer) = store_with::<ConfigMap>(Storage::compact().cached(1));
    writer.apply_watcher_event(Event::Apply(config_map(1, "1")));
    let key = ObjectRef::new("map-1").within("ns");
    assert!(Arc::ptr_eq(&reader.get(&key).unwrap(), &reader.get(&key).unwrap()));
    let (reader, mut writer) = store_with::<ConfigMap>(Storage::compact().cached(0));
    writer.apply_watcher_event(Event::Apply(config_map(1, "1")));
    assert!(!Arc::ptr_eq(&reader.get(&key).unwrap(), &reader.get(&key).unwrap()));
}

/// A spec that serializes and deserializes differently.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct AsymmetricSpec {
    metadata: kube_client::core::ObjectMeta,
    #[serde(rename(serialize = "a", deserialize = "b"), default)]
    value: u8,
}

#[test]
fn an_object_is_stored_in_typed_form_if_it_does_not_survive_the_round_trip() {
    type Object = kube_client::core::Object<AsymmetricSpec, ()>;
    let resource = kube_client::core::ApiResource::erase::<ConfigMap>(&());
    let asymmetric = |value| AsymmetricSpec { metadata: kube_client::core::ObjectMeta::default(), value };
    let (reader, mut writer) = store_with::<Object>(Storage::compact());
    writer.apply_watcher_event(Event::Apply(Object::new("odd", &resource, asymmetric(7))));
    assert_eq!(reader.state()[0].spec, asymmetric(7));
}

/// A spec whose serialization panics.
#[derive(Debug, Clone, Deserialize)]
struct PanickingSpec;

impl Serialize for PanickingSpec {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("the spec cannot be serialized")
    }
}

#[test]
fn an_object_is_stored_in_typed_form_if_its_serialization_panics() {
    type Object = kube_client::core::Object<PanickingSpec, ()>;
    let resource = kube_client::core::ApiResource::erase::<ConfigMap>(&());
    let (reader, mut writer) = store_with::<Object>(Storage::compact());
    writer.apply_watcher_event(Event::Apply(Object::new("odd", &resource, PanickingSpec)));
    assert_eq!(reader.state().len(), 1);
}

/// A type that has fewer fields than the objects of the server.
type SmallObject = kube_client::core::Object<SmallSpec, ()>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SmallSpec {
    n: usize,
}

/// An object with many fields that [`SmallSpec`] does not have.
fn object_with_many_fields(n: usize) -> serde_json::Value {
    let other: Vec<_> = (0..30).map(|other| format!("{other} of {n}")).collect();
    serde_json::json!({"apiVersion": "v1", "kind": "Few", "spec": {"n": n, "other": other},
        "metadata": {"name": format!("few-{n}"), "uid": n.to_string(), "resourceVersion": "1"}})
}

#[test]
fn the_first_objects_decide_whether_only_the_fields_of_the_type_are_stored() {
    let codec = Codec::<SmallObject>::new();
    let text = |stored: &StoredObject<SmallObject>| match stored {
        StoredObject::Packed(packed) => {
            codec.compression.decompress(&packed.encoded(), |text| String::from_utf8_lossy(text).into_owned())
        }
        StoredObject::Typed(_) => None,
    };
    for n in 0..40 {
        let stored = codec.pack_json(&object_with_many_fields(n));
        assert_eq!(stored.unpack(Some(&codec)).unwrap().spec, SmallSpec { n });
        assert_eq!(text(&stored).unwrap().contains("other"), n < 15, "{n}");
    }
    // With `Check::Syntax`, the codec always keeps the text of the server.
    let mut unchecked = Codec::<SmallObject>::new();
    unchecked.check = Check::Syntax;
    let StoredObject::Packed(packed) = unchecked.pack_json(&object_with_many_fields(1)) else {
        panic!("it is typed")
    };
    let has_other = |text: &[u8]| String::from_utf8_lossy(text).contains("other");
    assert_eq!(unchecked.compression.decompress(&packed.encoded(), has_other), Some(true));
}

#[test]
fn the_default_check_of_a_codec_depends_on_the_object_type() {
    use crate::reflector::codec::Check;
    use kube_client::core::{DynamicObject, PartialObjectMeta};
    assert_eq!(Codec::<ConfigMap>::new().check, Check::Syntax);
    assert_eq!(Codec::<DynamicObject>::new().check, Check::Syntax);
    assert_eq!(Codec::<PartialObjectMeta<SmallObject>>::new().check, Check::Syntax);
    assert_eq!(Codec::<SmallObject>::new().check, Check::Decode);
}

/// The number of stored objects for which `f` returns `true`.
fn count_stored(
    reader: &Store<ConfigMap>,
    f: impl Fn(&crate::reflector::StoredObject<ConfigMap>) -> bool,
) -> usize {
    reader.shared.read().iter().filter(|stored| f(stored)).count()
}

#[test]
fn objects_that_were_packed_with_an_earlier_method_are_packed_again() {
    let (reader, mut writer) = store_with::<ConfigMap>(Storage::compact());
    let codec = reader.shared.codec().unwrap().clone();
    let is_outdated = |stored: &StoredObject<ConfigMap>| match stored {
        StoredObject::Packed(packed) => codec.is_outdated(packed),
        StoredObject::Typed(_) => true,
    };
    // The first objects are not compressed.
    for n in 0..3 {
        writer.apply_watcher_event(Event::Apply(config_map(n, "1")));
    }
    assert_eq!(codec.compression.best_method(), crate::reflector::compression::Method::Plain);
    let mut n = 3;
    while codec.compression.best_method() == crate::reflector::compression::Method::Plain {
        writer.apply_watcher_event(Event::Apply(config_map(n, "1")));
        n += 1;
    }
    assert!(count_stored(&reader, is_outdated) >= 4);
    for version in 0..n {
        writer.apply_watcher_event(Event::Apply(config_map(0, &version.to_string())));
    }
    assert_eq!(count_stored(&reader, is_outdated), 0);
    for other in 1..n {
        let key = ObjectRef::new(&format!("map-{other}")).within("ns");
        assert_eq!(reader.get(&key).as_deref(), Some(&config_map(other, "1")));
    }
}

#[cfg(feature = "zstd")]
#[tokio::test]
async fn the_writer_packs_the_first_objects_again_with_zstd_when_the_dictionary_is_full() {
    use crate::reflector::compression::Method;
    let (reader, mut writer) = store_with::<ConfigMap>(Storage::compact().zstd());
    let codec = reader.shared.codec().unwrap().clone();
    let is_zstd = |stored: &StoredObject<ConfigMap>| matches!(stored, StoredObject::Packed(packed) if packed.encoded().method == Method::Zstd);
    for n in 0..150 {
        writer.apply_watcher_event(Event::Apply(config_map(n, "1")));
    }
    assert_eq!(codec.compression.best_method(), Method::Zstd);
    std::future::poll_fn(|cx| writer.poll_packing(cx)).await;
    assert_eq!(count_stored(&reader, is_zstd), 150);
    for n in 0..150 {
        let key = ObjectRef::new(&format!("map-{n}")).within("ns");
        assert_eq!(reader.get(&key).as_deref(), Some(&config_map(n, "1")));
    }
    // A dropped store leaves no reference to the codec behind.
    let weak = std::sync::Arc::downgrade(&codec);
    drop((codec, reader, writer));
    assert!(weak.upgrade().is_none());
}
