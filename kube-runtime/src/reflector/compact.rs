//! Compact storage: objects as compressed text, decoded when they are read.
//!
//! Owns the encoding, the dictionary and the cache of decoded objects. What is stored when is the writer's business.

use super::objects::{Placed, place};
use ahash::RandomState;
use kube_client::Resource;
use lz4_flex::block::{compress_into_with_dict, decompress_with_dict, get_maximum_output_size};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

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
    /// memory, and reading one some 30 microseconds.
    ///
    /// What `K` does not know of an object is not stored. An object that does not come out of its own JSON as it went in,
    /// because its type is written otherwise than it is read, is kept as it is.
    #[must_use]
    pub fn compact() -> Self
    where
        K: Serialize + DeserializeOwned,
    {
        Self {
            codec: Some(Codec {
                encode: |object, text| serde_json::to_writer(text, object),
                decode: |text| serde_json::from_slice(text),
                dictionary: OnceLock::new(),
                cache: Mutex::new(Cache::new(256)),
                identity: RandomState::new(),
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
    Packed(Arc<Packed>),
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
            Self::Packed(known) => codec.is_some_and(|codec| codec.identify(object) == known.identity),
        }
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

/// An object as text.
#[derive(Debug)]
pub(super) struct Packed {
    /// Namespace and name, one behind the other.
    names: Box<str>,
    /// Where the name begins.
    name: u32,
    /// Stands for uid and resource version.
    identity: u64,
    /// The length of the text where it is compressed; `None` where it is stored as it is.
    length: Option<u32>,
    bytes: Box<[u8]>,
}

impl Packed {
    fn place(&self) -> (&str, &str) {
        self.names.split_at_checked(self.name as usize).unwrap_or_default()
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

/// Turns objects into text and back.
pub(super) struct Codec<K> {
    encode: fn(&K, &mut Vec<u8>) -> serde_json::Result<()>,
    decode: fn(&[u8]) -> serde_json::Result<K>,
    /// Set once enough objects were seen; those before are not compressed.
    dictionary: OnceLock<Box<[u8]>>,
    cache: Mutex<Cache<K>>,
    identity: RandomState,
}

impl<K: Resource> Codec<K> {
    /// The object as text.
    pub(super) fn pack(&self, object: &Arc<K>, scratch: &mut Scratch) -> Held<K> {
        match self.try_pack(object, scratch) {
            Some(packed) => Held::Packed(Arc::new(packed)),
            None => Held::Typed(object.clone()),
        }
    }

    fn try_pack(&self, object: &K, scratch: &mut Scratch) -> Option<Packed> {
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
        let (namespace, name) = place(object.meta());
        let (names, name) = ([namespace, name].concat().into(), u32::try_from(namespace.len()).ok()?);
        let Some(dictionary) = self.dictionary.get() else {
            sample.extend_from_slice(text);
            if sample.len() >= DICTIONARY {
                let _ = self.dictionary.set(std::mem::take(sample).into());
            }
            return Some(Packed { names, name, identity, length: None, bytes: text.as_slice().into() });
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
        Some(Packed { names, name, identity, length, bytes: bytes.into() })
    }

    /// A number for uid and resource version.
    fn identify(&self, object: &K) -> u64 {
        let meta = object.meta();
        self.identity.hash_one((&meta.uid, &meta.resource_version))
    }
}

impl<K> Codec<K> {
    /// The object; `None` would be one that did not come out as it went in, and such were not packed.
    pub(super) fn unpack(&self, packed: &Arc<Packed>) -> Option<Arc<K>> {
        if let Some(known) = self.cache().get(packed) {
            return Some(known);
        }
        let object = match packed.length {
            None => (self.decode)(&packed.bytes),
            Some(length) => {
                let text =
                    decompress_with_dict(&packed.bytes, length as usize, self.dictionary.get()?).ok()?;
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
    slots: Vec<Option<(Arc<Packed>, Arc<K>)>>,
}

impl<K> Cache<K> {
    fn new(slots: usize) -> Self {
        Self { slots: (0..slots).map(|_| None).collect() }
    }

    /// An object is known by where its text is: for as long as it is in here, nothing else can be there.
    fn slot(&mut self, packed: &Arc<Packed>) -> Option<&mut Option<(Arc<Packed>, Arc<K>)>> {
        let count = self.slots.len();
        let place = RandomState::with_seeds(1, 2, 3, 4).hash_one(Arc::as_ptr(packed).addr());
        self.slots.get_mut(usize::try_from(place).unwrap_or(usize::MAX).checked_rem(count)?)
    }

    fn get(&mut self, packed: &Arc<Packed>) -> Option<Arc<K>> {
        let (known, object) = self.slot(packed)?.as_ref()?;
        Arc::ptr_eq(known, packed).then(|| object.clone())
    }

    fn insert(&mut self, packed: &Arc<Packed>, object: &Arc<K>) {
        if let Some(slot) = self.slot(packed) {
            *slot = Some((packed.clone(), object.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reflector::{ObjectRef, store_with};
    use crate::watcher::Event;
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde::Deserialize;

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
            codec.pack(&Arc::new(map(n, "1")), &mut scratch);
        }
        let object = Arc::new(map(77, "1"));
        let text = serde_json::to_vec(&*object).unwrap().len();
        let Held::Packed(packed) = codec.pack(&object, &mut scratch) else { panic!("it was kept as it is") };
        assert!(packed.bytes.len() * 8 < text, "{} of {text} bytes", packed.bytes.len());
        assert_eq!(codec.unpack(&packed), Some(object));
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
