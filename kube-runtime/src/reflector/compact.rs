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
mod tests;
