//! Compact storage: objects as compressed JSON, decoded when they are read.
//!
//! This module owns the encoding, the dictionary and the cache of decoded objects. It must not modify the store (see
//! `writer`) or manage memory (see `page`).

use super::modify::Modify;
use super::packing::Batch;
use super::page::{Encoded, Packed, WeakPacked};
use super::storable::Storable;
use foldhash::quality::{FixedState, RandomState};
use kube_client::Resource;
use lz4_flex::block::{compress_into_with_dict, decompress_with_dict, get_maximum_output_size};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt,
    hash::BuildHasher,
    num::NonZero,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// The size in bytes of the compression dictionary, which is the JSON of the first objects. Objects of a kind share
/// field names and many values. A larger dictionary slows down each write.
const DICTIONARY_SIZE: usize = 16 << 10;

/// The storage format of a store; see [`store_with`](super::store_with).
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
    pub(super) modify: Modify<K>,
}

impl<K> Storage<K> {
    /// Stores typed objects: reads do not decode, and a typical pod takes about 30 KiB of memory.
    #[must_use]
    pub fn typed() -> Self {
        Self { codec: None, modify: Modify::default() }
    }

    /// Stores objects as compressed JSON and decodes them at each read, except for objects in a cache of recent reads.
    /// A typical pod takes about 1.5 KiB of memory and 35 microseconds per read.
    ///
    /// Fields that `K` does not have are not stored. An object that does not survive a JSON round trip, because its
    /// type serializes and deserializes differently, is stored typed.
    ///
    /// On a multi-threaded tokio runtime, other threads encode the objects of a list. A few dozen objects at a time
    /// stay typed until they are encoded; the last batch stays typed until the next poll of the
    /// [`reflector`](super::reflector()) stream or the writer's next event.
    #[must_use]
    pub fn compact() -> Self
    where
        K: Resource + Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        Self {
            codec: Some(Codec {
                encode: |object, json| serde_json::to_writer(json, object),
                decode: |json| serde_json::from_slice(json),
                spawn: |runtime, codec, batch| {
                    runtime.spawn(async move { batch.pack(|object, scratch| codec.pack(object, scratch)) })
                },
                dictionary: OnceLock::new(),
                cache: Mutex::new(Cache::new(256)),
                identity: RandomState::default(),
            }),
            modify: Modify::default(),
        }
    }

    /// Changes each object before the store receives it, as client-go's `SetTransform`: consumers of the store, of its
    /// changes and of its subscriptions get the changed objects. A second call replaces the function.
    ///
    /// Use it to drop fields that the program does not read. Fields that a
    /// [`FieldSet`](kube_client::core::FieldSet) can name cost less in
    /// [`Config::skip_fields`](crate::watcher::Config::skip_fields), which does not decode them.
    ///
    /// `modify` must not change the name, the namespace, the uid or the resource version. If it panics, the panic
    /// affects only that object, as if the object did not decode: its error is reported, and the store keeps its last
    /// state. [`Writer::apply_watcher_event`](super::Writer::apply_watcher_event) passes the panic to its caller.
    ///
    /// ```
    /// use futures::StreamExt;
    /// use k8s_openapi::api::core::v1::Namespace;
    /// use kube_client::{Api, Client, ResourceExt};
    /// use kube_runtime::{SharedInformer, reflector::Storage, watcher};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// let storage = Storage::compact().modify(|namespace: &mut Namespace| namespace.status = None);
    /// let api = Api::<Namespace>::all(client);
    /// let informer = SharedInformer::with_storage(api, watcher::Config::default(), storage);
    /// let _changes = informer.subscribe();
    /// informer.store().wait_until_ready().await?;
    /// assert!(informer.store().state().iter().all(|namespace| namespace.status.is_none()));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn modify(mut self, modify: impl Fn(&mut K) + Send + Sync + 'static) -> Self {
        self.modify = Modify::new(modify);
        self
    }

    /// Sets the number of decoded objects in the cache, 256 by default. No effect on typed storage.
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

/// Reusable buffers for packing. Large temporary allocations between small long-lived ones would fragment the heap.
#[derive(Default)]
pub(super) struct Scratch {
    /// The JSON of the first objects, until it fills the dictionary.
    dictionary: Vec<u8>,
    /// The JSON of the object.
    json: Vec<u8>,
    /// The JSON of the object after a round trip.
    round_trip: Vec<u8>,
    compressed: Vec<u8>,
}

/// A function that spawns a task to pack a batch.
type SpawnPacking<K> = fn(&Handle, Arc<Codec<K>>, Batch<K>) -> JoinHandle<Batch<K>>;

/// Encodes and decodes objects.
pub(super) struct Codec<K> {
    encode: fn(&K, &mut Vec<u8>) -> serde_json::Result<()>,
    decode: fn(&[u8]) -> serde_json::Result<K>,
    spawn: SpawnPacking<K>,
    /// The compression dictionary; set once the JSON of the first objects fills it. The first objects are not
    /// compressed.
    dictionary: OnceLock<Box<[u8]>>,
    cache: Mutex<Cache<K>>,
    /// Hashes uid and resource version; see [`identity_hash`](Codec::identity_hash).
    identity: RandomState,
}

impl<K: Storable> Codec<K> {
    /// Packs an object; `None` if the object does not survive the JSON round trip.
    pub(super) fn pack(&self, object: &K, scratch: &mut Scratch) -> Option<Packed> {
        let Scratch { dictionary: new_dictionary, json, round_trip, compressed } = scratch;
        json.clear();
        (self.encode)(object, json).ok()?;
        // Verify the round trip: a read must return the same object.
        let read = (self.decode)(json).ok()?;
        round_trip.clear();
        (self.encode)(&read, round_trip).ok()?;
        if round_trip != json {
            return None;
        }
        drop(read);
        let (identity, uid, key) = (self.identity_hash(object), self.uid_hash(object), object.key());
        let Some(dictionary) = self.dictionary.get() else {
            new_dictionary.extend_from_slice(json);
            if new_dictionary.len() >= DICTIONARY_SIZE {
                let _ = self.dictionary.set(std::mem::take(new_dictionary).into());
            }
            return Packed::on_own_page(key, Encoded { bytes: json, length: None, identity, uid });
        };
        let length = u32::try_from(json.len()).ok();
        let bytes = match length {
            Some(_) => {
                let room = get_maximum_output_size(json.len());
                if compressed.len() < room {
                    compressed.resize(room, 0);
                }
                let length = compress_into_with_dict(json, compressed, dictionary).ok()?;
                compressed.get(..length)?
            }
            None => json,
        };
        Packed::on_own_page(key, Encoded { bytes, length, identity, uid })
    }

    /// A hash of uid and resource version.
    pub(super) fn identity_hash(&self, object: &K) -> u64 {
        self.identity.hash_one((object.uid(), object.version()))
    }

    pub(super) fn uid_hash(&self, object: &K) -> Option<NonZero<u32>> {
        object.uid().map(|uid| self.hash_of_uid(uid))
    }

    /// See [`uid_hash`](Self::uid_hash).
    pub(super) fn hash_of_uid(&self, uid: &str) -> NonZero<u32> {
        let [.., a, b, c, d] = self.identity.hash_one(uid).to_le_bytes();
        NonZero::new(u32::from_le_bytes([a, b, c, d])).unwrap_or(NonZero::<u32>::MIN)
    }
}

impl<K> Codec<K> {
    /// Spawns a task that packs a batch.
    pub(super) fn spawn_packing(self: &Arc<Self>, runtime: &Handle, batch: Batch<K>) -> JoinHandle<Batch<K>> {
        (self.spawn)(runtime, self.clone(), batch)
    }

    /// Whether the dictionary is set, so that objects can be packed in any order.
    pub(super) fn has_dictionary(&self) -> bool {
        self.dictionary.get().is_some()
    }

    /// Decodes an object. Never returns `None` for an object that `pack` returned.
    pub(super) fn unpack(&self, packed: &Packed) -> Option<Arc<K>> {
        if let Some(known) = self.lock_cache().get(packed) {
            return Some(known);
        }
        let Encoded { bytes, length, .. } = packed.encoded();
        let object = match length {
            None => (self.decode)(bytes),
            Some(length) => {
                let json = decompress_with_dict(bytes, length as usize, self.dictionary.get()?).ok()?;
                (self.decode)(&json)
            }
        };
        let object = Arc::new(object.ok()?);
        self.lock_cache().insert(packed, &object);
        Some(object)
    }

    /// Locks the cache. Ignores poisoning: no code under this lock can panic.
    fn lock_cache(&self) -> std::sync::MutexGuard<'_, Cache<K>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A direct-mapped cache of decoded objects.
struct Cache<K> {
    slots: Vec<Option<(WeakPacked, Arc<K>)>>,
}

impl<K> Cache<K> {
    fn new(slots: usize) -> Self {
        Self { slots: (0..slots).map(|_| None).collect() }
    }

    /// The cache slot of an object, by its address. The [`WeakPacked`] in a slot prevents the reuse of the address.
    fn slot(&mut self, packed: &Packed) -> Option<&mut Option<(WeakPacked, Arc<K>)>> {
        let count = self.slots.len();
        let key = FixedState::default().hash_one(packed.address());
        self.slots.get_mut(usize::try_from(key).unwrap_or(usize::MAX).checked_rem(count)?)
    }

    fn get(&mut self, packed: &Packed) -> Option<Arc<K>> {
        let (known, object) = self.slot(packed)?.as_ref()?;
        known.is_of(packed).then(|| object.clone())
    }

    fn insert(&mut self, packed: &Packed, object: &Arc<K>) {
        if let Some(slot) = self.slot(packed) {
            *slot = Some((packed.downgrade(), object.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
