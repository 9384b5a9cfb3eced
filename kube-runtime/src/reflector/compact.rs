//! Compact storage: objects as compressed text, decoded when they are read.
//!
//! Owns the encoding, the dictionary and the cache of decoded objects. What is stored when is the writer's business, and where
//! it is in memory that of `page`.

use super::objects::{Placed, place};
use super::packing::Batch;
use super::page::{Mark, Packed, Text};
use foldhash::quality::{FixedState, RandomState};
use kube_client::Resource;
use lz4_flex::block::{compress_into_with_dict, decompress_with_dict, get_maximum_output_size};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt,
    hash::BuildHasher,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// How much of the first objects becomes the dictionary that all others are compressed with. Objects of one kind repeat each
/// other's field names and much of their values; a larger dictionary costs time at each write.
const DICTIONARY: usize = 16 << 10;

/// How a store keeps its objects; see [`store_with`](super::store_with).
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_runtime::reflector::{self, Storage};
///
/// let (reader, writer) = reflector::store_with::<Pod>(Storage::compact().cached(1000));
/// # drop((reader, writer));
/// ```
pub struct Storage<K> {
    pub(super) codec: Option<Codec<K>>,
}

impl<K> Storage<K> {
    /// Objects as they are: reading one costs nothing, and a typical pod takes about 30 KiB of memory.
    #[must_use]
    pub fn typed() -> Self {
        Self { codec: None }
    }

    /// Objects as compressed JSON, decoded whenever they are read but for the last few: a typical pod takes about 1.5 KiB of
    /// memory, and reading one some 35 microseconds.
    ///
    /// What `K` does not know of an object is not stored. An object that does not come out of its own JSON as it went in,
    /// because its type is written otherwise than it is read, is kept as it is.
    ///
    /// The objects of a list become text on the threads of a tokio runtime that has several, and are held as they are until
    /// then: a few dozen at a time, the last ones until the stream is polled again, or the writer gets its next event.
    #[must_use]
    pub fn compact() -> Self
    where
        K: Resource + Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        Self {
            codec: Some(Codec {
                encode: |object, text| serde_json::to_writer(text, object),
                decode: |text| serde_json::from_slice(text),
                spawn: |runtime, codec, batch| {
                    runtime.spawn(async move { batch.pack(|object, scratch| codec.pack(object, scratch)) })
                },
                dictionary: OnceLock::new(),
                cache: Mutex::new(Cache::new(256)),
                identity: RandomState::default(),
            }),
        }
    }

    /// For how many objects the decoded form is kept after they were read, 256 unless this is called. Typed storage has no
    /// use for it.
    #[must_use]
    pub fn cached(mut self, objects: usize) -> Self {
        if let Some(codec) = &mut self.codec {
            codec.cache = Mutex::new(Cache::new(objects));
        }
        self
    }
}

impl<K> Default for Storage<K> {
    fn default() -> Self {
        Self::typed()
    }
}

impl<K> fmt::Debug for Storage<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.codec.is_some() { "Storage::compact" } else { "Storage::typed" })
    }
}

/// An object as a store holds it.
#[derive(Debug)]
pub(super) enum Held<K> {
    Typed(Arc<K>),
    Packed(Packed),
}

impl<K> Clone for Held<K> {
    fn clone(&self) -> Self {
        match self {
            Self::Typed(object) => Self::Typed(object.clone()),
            Self::Packed(packed) => Self::Packed(packed.clone()),
        }
    }
}

impl<K: Resource> Held<K> {
    /// Whether it is this very version of an object, which does not have to be kept anew then.
    pub(super) fn is_that_version_of(&self, object: &K, codec: Option<&Codec<K>>) -> bool {
        let meta = object.meta();
        if meta.resource_version.is_none() {
            return false;
        }
        match self {
            Self::Typed(known) => {
                let known = known.meta();
                known.resource_version == meta.resource_version && known.uid == meta.uid
            }
            Self::Packed(known) => codec.is_some_and(|codec| codec.identify(object) == known.text().identity),
        }
    }
}

impl<K> Held<K> {
    /// Whether it is held as this very object.
    pub(super) fn is_object(&self, object: &Arc<K>) -> bool {
        matches!(self, Self::Typed(known) if Arc::ptr_eq(known, object))
    }

    /// Whether it is held as this very text.
    pub(super) fn is(&self, packed: &Packed) -> bool {
        matches!(self, Self::Packed(known) if known.is(packed))
    }
}

impl<K: Resource> Placed for Held<K> {
    fn place(&self) -> (&str, &str) {
        match self {
            Self::Typed(object) => place(object.meta()),
            Self::Packed(packed) => packed.place(),
        }
    }
}

/// What a writer needs while it packs, kept from one object to the next: large pieces of memory that come and go between the
/// small ones that stay would leave a heap in which room is hard to find.
#[derive(Default)]
pub(super) struct Scratch {
    /// Text of the first objects, until there is enough of it for a dictionary.
    sample: Vec<u8>,
    text: Vec<u8>,
    again: Vec<u8>,
    compressed: Vec<u8>,
}

/// Packs a batch on another thread.
type Spawn<K> = fn(&Handle, Arc<Codec<K>>, Batch<K>) -> JoinHandle<Batch<K>>;

/// Turns objects into text and back.
pub(super) struct Codec<K> {
    encode: fn(&K, &mut Vec<u8>) -> serde_json::Result<()>,
    decode: fn(&[u8]) -> serde_json::Result<K>,
    spawn: Spawn<K>,
    /// Set once enough objects were seen; those before are not compressed.
    dictionary: OnceLock<Box<[u8]>>,
    cache: Mutex<Cache<K>>,
    identity: RandomState,
}

impl<K: Resource> Codec<K> {
    /// The object as text; `None` if it would not come out of it as it went in.
    pub(super) fn pack(&self, object: &K, scratch: &mut Scratch) -> Option<Packed> {
        let Scratch { sample, text, again, compressed } = scratch;
        text.clear();
        (self.encode)(object, text).ok()?;
        // What a store cannot give back must not go into it.
        let read = (self.decode)(text).ok()?;
        again.clear();
        (self.encode)(&read, again).ok()?;
        if again != text {
            return None;
        }
        drop(read);
        let identity = self.identify(object);
        let place = place(object.meta());
        let Some(dictionary) = self.dictionary.get() else {
            sample.extend_from_slice(text);
            if sample.len() >= DICTIONARY {
                let _ = self.dictionary.set(std::mem::take(sample).into());
            }
            return Packed::alone(place, Text { bytes: text, length: None, identity });
        };
        let length = u32::try_from(text.len()).ok();
        let bytes = match length {
            Some(_) => {
                let room = get_maximum_output_size(text.len());
                if compressed.len() < room {
                    compressed.resize(room, 0);
                }
                let length = compress_into_with_dict(text, compressed, dictionary).ok()?;
                compressed.get(..length)?
            }
            None => text,
        };
        Packed::alone(place, Text { bytes, length, identity })
    }

    /// A number for uid and resource version.
    fn identify(&self, object: &K) -> u64 {
        let meta = object.meta();
        self.identity.hash_one((&meta.uid, &meta.resource_version))
    }
}

impl<K> Codec<K> {
    /// Packs a batch elsewhere.
    pub(super) fn start(self: &Arc<Self>, runtime: &Handle, batch: Batch<K>) -> JoinHandle<Batch<K>> {
        (self.spawn)(runtime, self.clone(), batch)
    }

    /// Whether it has seen enough objects for others to be packed in any order.
    pub(super) fn is_settled(&self) -> bool {
        self.dictionary.get().is_some()
    }

    /// The object; `None` would be one that did not come out as it went in, and such were not packed.
    pub(super) fn unpack(&self, packed: &Packed) -> Option<Arc<K>> {
        if let Some(known) = self.cache().get(packed) {
            return Some(known);
        }
        let Text { bytes, length, .. } = packed.text();
        let object = match length {
            None => (self.decode)(bytes),
            Some(length) => {
                let text = decompress_with_dict(bytes, length as usize, self.dictionary.get()?).ok()?;
                (self.decode)(&text)
            }
        };
        let object = Arc::new(object.ok()?);
        self.cache().insert(packed, &object);
        Some(object)
    }

    /// A panic cannot happen under this lock.
    fn cache(&self) -> std::sync::MutexGuard<'_, Cache<K>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The decoded form of a few objects: each has one place, which it shares with others.
struct Cache<K> {
    slots: Vec<Option<(Mark, Arc<K>)>>,
}

impl<K> Cache<K> {
    fn new(slots: usize) -> Self {
        Self { slots: (0..slots).map(|_| None).collect() }
    }

    /// An object is known by where its text is: for as long as it is in here, nothing else can be there.
    fn slot(&mut self, packed: &Packed) -> Option<&mut Option<(Mark, Arc<K>)>> {
        let count = self.slots.len();
        let place = FixedState::default().hash_one(packed.address());
        self.slots.get_mut(usize::try_from(place).unwrap_or(usize::MAX).checked_rem(count)?)
    }

    fn get(&mut self, packed: &Packed) -> Option<Arc<K>> {
        let (known, object) = self.slot(packed)?.as_ref()?;
        known.is_of(packed).then(|| object.clone())
    }

    fn insert(&mut self, packed: &Packed, object: &Arc<K>) {
        if let Some(slot) = self.slot(packed) {
            *slot = Some((packed.mark(), object.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reflector::{ObjectRef, Store, store_with};
    use crate::watcher::Event;
    use futures::{StreamExt, stream};
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde::Deserialize;
    use std::collections::HashSet;

    fn map(n: usize, value: &str) -> ConfigMap {
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
    fn gives_back_what_was_put_in_also_after_changes_and_relists() {
        let (reader, mut writer) = store_with::<ConfigMap>(Storage::compact().cached(8));
        let key = |n: usize| ObjectRef::new(&format!("map-{n}")).within("ns");
        for n in 0..100 {
            writer.apply_watcher_event(Event::Apply(map(n, "1")));
        }
        let change = writer.apply_watcher_event(Event::Apply(map(7, "2")));
        assert_eq!(change.previous().as_deref(), Some(&map(7, "1")));
        assert_eq!(reader.len(), 100);
        for n in 0..100 {
            let expected = map(n, if n == 7 { "2" } else { "1" });
            assert_eq!(reader.get(&key(n)).as_deref(), Some(&expected));
            assert_eq!(reader.get(&key(n)).as_deref(), Some(&expected));
        }
        assert_eq!(reader.state_filter(|map| map.metadata.resource_version.as_deref() == Some("2")).len(), 1);
        writer.apply_watcher_event(Event::Init);
        for n in 1..100 {
            writer.apply_watcher_event(Event::InitApply(map(n, "3")));
        }
        let change = writer.apply_watcher_event(Event::InitDone);
        assert_eq!(change.vanished.iter().map(|gone| &**gone).collect::<Vec<_>>(), [&map(0, "1")]);
        assert_eq!(
            reader.find(|map| map.metadata.name.as_deref() == Some("map-9")).as_deref(),
            Some(&map(9, "3"))
        );
        assert_eq!(reader.get(&key(0)), None);
    }

    #[test]
    fn takes_a_fraction_of_the_text() {
        let storage = Storage::<ConfigMap>::compact();
        let codec = storage.codec.unwrap();
        let mut scratch = Scratch::default();
        for n in 0..50 {
            codec.pack(&map(n, "1"), &mut scratch);
        }
        let object = Arc::new(map(77, "1"));
        let text = serde_json::to_vec(&*object).unwrap().len();
        let packed = codec.pack(&object, &mut scratch).expect("it was kept as it is");
        let bytes = packed.text().bytes.len();
        assert!(bytes * 8 < text, "{bytes} of {text} bytes");
        assert_eq!(codec.unpack(&packed), Some(object));
    }

    #[test]
    fn objects_share_pages_and_leave_those_that_little_is_left_of() {
        let (reader, mut writer) = store_with::<ConfigMap>(Storage::compact());
        // With something in it that no other one has.
        let map = |n: usize, value: &str| {
            let own = |part: usize| FixedState::with_seed(n as u64).hash_one(part).to_string();
            let mut map = map(n, value);
            map.data = Some([("own".to_owned(), (0..50).map(own).collect())].into());
            map
        };
        let pages = |reader: &Store<ConfigMap>| {
            let held = reader.shared.read();
            let pages = held.iter().map(|held| match held {
                Held::Packed(packed) => packed.address().0,
                Held::Typed(_) => panic!("it was kept as it is"),
            });
            pages.collect::<HashSet<_>>().len()
        };
        let all_are = |reader: &Store<ConfigMap>, value: &dyn Fn(usize) -> Option<&'static str>| {
            for n in 0..2000 {
                let found = reader.get(&ObjectRef::new(&format!("map-{n}")).within("ns"));
                assert_eq!(found.as_deref(), value(n).map(|value| map(n, value)).as_ref());
            }
        };
        writer.apply_watcher_event(Event::Init);
        for n in 0..2000 {
            writer.apply_watcher_event(Event::InitApply(map(n, "1")));
        }
        writer.apply_watcher_event(Event::InitDone);
        let filled = pages(&reader);
        assert!(filled < 150, "{filled} pages");
        all_are(&reader, &|_| Some("1"));
        for n in (0..2000).filter(|n| n % 10 != 0) {
            writer.apply_watcher_event(Event::Delete(map(n, "1")));
        }
        assert!(pages(&reader) < filled / 3, "{} of {filled} pages are left", pages(&reader));
        all_are(&reader, &|n| (n % 10 == 0).then_some("1"));
        // A relist in which most objects are other ones, and those in use are spread over all pages again.
        writer.apply_watcher_event(Event::Init);
        for n in 0..2000 {
            writer.apply_watcher_event(Event::InitApply(map(n, if n % 20 == 0 { "1" } else { "2" })));
        }
        writer.apply_watcher_event(Event::InitDone);
        assert!(pages(&reader) < 2 * filled, "{} pages", pages(&reader));
        all_are(&reader, &|n| Some(if n % 20 == 0 { "1" } else { "2" }));
        for n in 0..2000 {
            writer.apply_watcher_event(Event::Apply(map(n, "3")));
        }
        assert!(pages(&reader) < 2 * filled, "{} pages", pages(&reader));
        all_are(&reader, &|_| Some("3"));
    }

    /// How many objects are held as they are.
    fn typed(reader: &Store<ConfigMap>) -> usize {
        reader.shared.read().iter().filter(|held| matches!(held, Held::Typed(_))).count()
    }

    fn listed(value: &'static str) -> impl Iterator<Item = Event<ConfigMap>> {
        let objects = (0..1000).map(move |n| Event::InitApply(map(n, value)));
        std::iter::once(Event::Init).chain(objects).chain([Event::InitDone])
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_list_becomes_text_on_other_threads_and_the_rest_of_it_once_the_stream_waits() {
        let (reader, writer) = store_with::<ConfigMap>(Storage::compact());
        let events = stream::iter(listed("1").map(Ok)).chain(stream::pending());
        let mut events = std::pin::pin!(crate::reflector::reflector(writer, events));
        while !matches!(events.next().await, Some(Ok(Event::InitDone))) {}
        let late = typed(&reader);
        assert!(late < 200, "{late} objects were still on their way");
        for n in 0..1000 {
            let key = ObjectRef::new(&format!("map-{n}")).within("ns");
            assert_eq!(reader.get(&key).as_deref(), Some(&map(n, "1")));
        }
        // Nothing else comes: it is the texts that wake the stream.
        let tidied = async {
            while typed(&reader) > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            event = events.next() => panic!("{event:?}"),
            () = tidied => {}
        }
        assert_eq!(reader.state().len(), 1000);
    }

    /// Tells which threads write it.
    #[derive(Debug, Clone, Deserialize)]
    struct Traced;

    static THREADS: Mutex<Vec<std::thread::ThreadId>> = Mutex::new(Vec::new());

    impl Serialize for Traced {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            THREADS.lock().unwrap().push(std::thread::current().id());
            serializer.serialize_unit()
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn most_of_a_list_is_written_by_other_threads() {
        type Object = kube_client::core::Object<Traced, ()>;
        let resource = kube_client::core::ApiResource::erase::<ConfigMap>(&());
        let (_reader, mut writer) = store_with::<Object>(Storage::compact());
        for n in 0..2000 {
            let object = Object::new(&format!("object-{n}"), &resource, Traced);
            writer.apply_watcher_event(Event::InitApply(object));
            tokio::task::yield_now().await;
        }
        writer.apply_watcher_event(Event::InitDone);
        std::future::poll_fn(|cx| writer.poll_packed(cx)).await;
        let here = std::thread::current().id();
        let elsewhere = THREADS.lock().unwrap().iter().filter(|thread| **thread != here).count();
        // Each is written twice, the second time to see whether it comes out as it went in.
        assert!(elsewhere > 400, "{elsewhere} of 4000");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_text_that_comes_late_does_not_take_the_place_of_what_is_newer() {
        let (reader, mut writer) = store_with::<ConfigMap>(Storage::compact());
        for event in listed("1") {
            writer.apply_watcher_event(event);
        }
        for n in 900..1000 {
            writer.apply_watcher_event(Event::Delete(map(n, "1")));
        }
        // The last of the first 900 are on their way, or were.
        for n in 850..900 {
            writer.apply_watcher_event(Event::Apply(map(n, "2")));
        }
        std::future::poll_fn(|cx| writer.poll_packed(cx)).await;
        assert_eq!((reader.len(), typed(&reader)), (900, 0));
        for n in 0..900 {
            let key = ObjectRef::new(&format!("map-{n}")).within("ns");
            assert_eq!(reader.get(&key), Some(Arc::new(map(n, if n < 850 { "1" } else { "2" }))));
        }
        // A relist finds some of them while they are on their way, as it finds those that are text.
        for event in listed("1").chain(listed("1")) {
            writer.apply_watcher_event(event);
        }
        std::future::poll_fn(|cx| writer.poll_packed(cx)).await;
        assert_eq!((reader.len(), typed(&reader)), (1000, 0));
    }

    #[test]
    fn on_a_single_thread_objects_are_text_at_once() {
        let (reader, mut writer) = store_with::<ConfigMap>(Storage::compact());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _guard = runtime.enter();
        for event in listed("1") {
            writer.apply_watcher_event(event);
        }
        assert_eq!((reader.len(), typed(&reader)), (1000, 0));
    }

    #[test]
    fn an_object_that_was_read_is_decoded_once_while_it_is_in_the_cache() {
        let (reader, mut writer) = store_with::<ConfigMap>(Storage::compact().cached(1));
        writer.apply_watcher_event(Event::Apply(map(1, "1")));
        let key = ObjectRef::new("map-1").within("ns");
        assert!(Arc::ptr_eq(&reader.get(&key).unwrap(), &reader.get(&key).unwrap()));
        let (reader, mut writer) = store_with::<ConfigMap>(Storage::compact().cached(0));
        writer.apply_watcher_event(Event::Apply(map(1, "1")));
        assert!(!Arc::ptr_eq(&reader.get(&key).unwrap(), &reader.get(&key).unwrap()));
    }

    /// Is read as something else than it is written.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Odd {
        metadata: kube_client::core::ObjectMeta,
        #[serde(rename(serialize = "a", deserialize = "b"), default)]
        value: u8,
    }

    #[test]
    fn what_does_not_come_out_as_it_went_in_is_kept_as_it_is() {
        type Object = kube_client::core::Object<Odd, ()>;
        let resource = kube_client::core::ApiResource::erase::<ConfigMap>(&());
        let odd = |value| Odd { metadata: kube_client::core::ObjectMeta::default(), value };
        let (reader, mut writer) = store_with::<Object>(Storage::compact());
        writer.apply_watcher_event(Event::Apply(Object::new("odd", &resource, odd(7))));
        assert_eq!(reader.state()[0].spec, odd(7));
    }
}
