//! `Codec`: packs and decodes the objects of a compact store. A codec must not modify the store (see `writer`).

use super::cache::Cache;
use super::compression::Compression;
use super::missing_fields::MissingFieldsDetector;
use super::packing::Batch;
use super::page::{EncodedObject, Packed};
use super::wire_object::WireObject;
use crate::watcher::{Storable, type_name_of};
use foldhash::quality::RandomState;
use kube_client::Api;
use kube_client::api::FilterDepth;
use kube_client::api::raw::{Convert, RawObject, TextDecoder, read_metadata};
use kube_client::core::ObjectMeta;
use serde::de::Error as _;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    hash::BuildHasher,
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// How a compact store checks an object before it keeps the text of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Check {
    /// The text is valid JSON, or Protobuf that converts to JSON. The object may fail to decode when it is read.
    Syntax,
    /// The text decodes as the type of the store. In the value of a field that the type does not declare, only the
    /// brackets are checked.
    Decode,
}

/// A function that spawns a task to pack a batch.
type SpawnPacking<K> = fn(&Handle, Arc<Codec<K>>, Batch<K>) -> JoinHandle<Batch<K>>;

/// Encodes and decodes objects.
pub(super) struct Codec<K> {
    encode: fn(&K, &mut Vec<u8>) -> serde_json::Result<()>,
    decode: fn(&TextDecoder<K>, &[u8]) -> serde_json::Result<K>,
    spawn: SpawnPacking<K>,
    convert: fn(Arc<Self>) -> Arc<Convert<WireObject>>,
    /// The decoder of the texts of the store; set when a watcher feeds the store with texts.
    decoder: OnceLock<TextDecoder<K>>,
    pub(super) check: Check,
    missing_fields: MissingFieldsDetector,
    pub(super) compression: Compression,
    cache: Mutex<Cache<K>>,
    /// Hashes uids and resource versions; see [`hash_of_identity`](Codec::hash_of_identity) and
    /// [`hash_of_uid`](Codec::hash_of_uid).
    identity: RandomState,
}

impl<K> Codec<K> {
    pub(super) fn new() -> Self
    where
        K: Storable + Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        Self {
            encode: |object, json| serde_json::to_writer(json, object),
            decode: TextDecoder::decode,
            spawn: |runtime, codec, batch| {
                runtime.spawn(async move { batch.pack(|object| codec.pack(object)) })
            },
            convert: |codec| {
                let is_decoded = codec.check == Check::Decode;
                let pack = move |raw: &RawObject<'_>| codec.pack_raw(raw);
                Arc::new(if is_decoded { Convert::decoding(pack) } else { Convert::new(pack) })
            },
            decoder: OnceLock::new(),
            check: default_check::<K>(),
            missing_fields: MissingFieldsDetector::default(),
            compression: Compression::default(),
            cache: Mutex::new(Cache::new(256)),
            identity: RandomState::default(),
        }
    }

    /// Sets the maximum number of decoded objects in the cache.
    pub(super) fn set_cache_size(&mut self, objects: usize) {
        self.cache = Mutex::new(Cache::new(objects));
    }

    /// The function that packs each object of `api` from its text in a response. Returns `None` if the store
    /// already has texts of another `apiVersion` or `kind`.
    pub(super) fn text_packer_for(self: &Arc<Self>, api: &Api<K>) -> Option<Arc<Convert<WireObject>>>
    where
        K: 'static,
    {
        let decoder = api.text_decoder();
        let is_same = self.decoder.get().is_none_or(|known| known.is_same(&decoder));
        let _ = self.decoder.set(decoder);
        is_same.then(|| (self.convert)(self.clone()))
    }

    /// Spawns a task that packs a batch.
    pub(super) fn spawn_packing(self: &Arc<Self>, runtime: &Handle, batch: Batch<K>) -> JoinHandle<Batch<K>> {
        (self.spawn)(runtime, self.clone(), batch)
    }

    /// A hash of uid and resource version. Its lowest bit is set if the object has a resource version.
    pub(super) fn hash_of_identity(&self, uid: Option<&str>, version: Option<&str>) -> u64 {
        self.identity.hash_one((uid, version)) & !1 | u64::from(version.is_some())
    }

    /// A hash of the uid.
    pub(super) fn hash_of_uid(&self, uid: &str) -> NonZero<u32> {
        let [.., a, b, c, d] = self.identity.hash_one(uid).to_le_bytes();
        NonZero::new(u32::from_le_bytes([a, b, c, d])).unwrap_or(NonZero::<u32>::MIN)
    }

    /// Decodes an object, or returns it from the cache. Logs an error and returns `None` if the object does not decode,
    /// which is possible only with [`Check::Syntax`], or if its compressed text is corrupt.
    pub(super) fn unpack(&self, packed: &Packed) -> Option<Arc<K>> {
        if let Some(known) = self.lock_cache().get(packed) {
            return Some(known);
        }
        let encoded = packed.encoded();
        // Objects are large: move them into the `Arc` before any other move.
        let decoded = self.compression.decompress(&encoded, |json| self.decode_text(json).map(Arc::new));
        match decoded {
            Some(Ok(object)) => {
                self.lock_cache().insert(packed, &object);
                Some(object)
            }
            failed => {
                let (namespace, name) = packed.key();
                let error = failed.and_then(Result::err).map(|error| error.to_string());
                let error = error.as_deref().unwrap_or("its compressed text is corrupt");
                tracing::error!(
                    kind = type_name_of::<K>(),
                    namespace,
                    name,
                    error,
                    "a stored object does not decode"
                );
                None
            }
        }
    }

    /// The part of an object's metadata that `depth` selects. Decodes nothing else.
    pub(super) fn metadata(&self, packed: &Packed, depth: FilterDepth) -> Option<ObjectMeta> {
        self.compression.decompress(&packed.encoded(), |json| read_metadata(json, depth))?
    }

    /// Packs an object again with the method that compresses best; `None` if that fails.
    pub(super) fn repack(&self, packed: &Packed) -> Option<Packed> {
        let encoded = packed.encoded();
        self.compression.decompress(&encoded, |json| {
            self.compression.compress(json, |bytes, method| {
                Packed::on_own_page(packed.key(), EncodedObject { bytes, method, ..encoded })
            })
        })?
    }

    /// Whether [`repack`](Self::repack) would use another method.
    pub(super) fn is_outdated(&self, packed: &Packed) -> bool {
        packed.encoded().method != self.compression.best_method()
    }

    fn decode_text(&self, json: &[u8]) -> serde_json::Result<K> {
        match self.decoder.get() {
            Some(decoder) => (self.decode)(decoder, json),
            None => (self.decode)(&TextDecoder::default(), json),
        }
    }

    /// Locks the cache. Ignores poisoning: after a panic in the `Drop` of an object, the cache is still valid.
    fn lock_cache(&self) -> std::sync::MutexGuard<'_, Cache<K>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compresses a text, and packs it; `None` if the text or the namespace is too long.
    fn pack_text(
        &self,
        key: (&str, &str),
        uid: Option<&str>,
        version: Option<&str>,
        json: &[u8],
    ) -> Option<Packed> {
        let length = u32::try_from(json.len()).ok()?;
        let identity = self.hash_of_identity(uid, version);
        let uid = uid.map(|uid| self.hash_of_uid(uid));
        self.compression.compress(json, |bytes, method| {
            Packed::on_own_page(key, EncodedObject { bytes, length, method, identity, uid })
        })
    }
}

impl<K: Storable> Codec<K> {
    /// Packs an object; `None` if the object does not survive the JSON round trip, is too large, or panics when it is
    /// serialized.
    pub(super) fn pack(&self, object: &K) -> Option<Packed> {
        self.compression.with_buffer(|json| {
            // `Serialize` is user code: a panic must not end the task that feeds the store.
            let survives_round_trip = catch_unwind(AssertUnwindSafe(|| {
                (self.encode)(object, json).is_ok() && self.check_round_trip(json).is_some()
            }));
            if !survives_round_trip.unwrap_or(false) {
                return None;
            }
            self.pack_text(object.key(), object.uid(), object.version(), json)
        })
    }

    /// Decodes an object from `json`, and serializes it again. Returns `Some` if the result is equal to `json`, otherwise
    /// `None`.
    fn check_round_trip(&self, json: &[u8]) -> Option<()> {
        let read = self.decode_text(json).ok()?;
        self.compression.with_buffer(|again| {
            (self.encode)(&read, again).ok()?;
            (again == json).then_some(())
        })
    }

    /// Returns [`hash_of_identity`](Self::hash_of_identity) for the uid and the resource version of an object.
    pub(super) fn identity_hash_of_object(&self, object: &K) -> u64 {
        self.hash_of_identity(object.uid(), object.version())
    }

    pub(super) fn uid_hash_of_object(&self, object: &K) -> Option<NonZero<u32>> {
        object.uid().map(|uid| self.hash_of_uid(uid))
    }
}

impl<K: Storable> Codec<K> {
    /// Checks an object, and packs the text that the server sent. With [`Check::Decode`], if `K` lacks many fields of the
    /// objects, packs the JSON that `K` serializes from the decoded object instead; see [`MissingFieldsDetector`].
    fn pack_raw(&self, raw: &RawObject<'_>) -> serde_json::Result<WireObject> {
        if self.check == Check::Syntax {
            return self.pack_text_of_raw_object(raw, raw.json);
        }
        let object = self.decode_text(raw.json)?;
        if !self.missing_fields.may_lack_fields() {
            return self.pack_text_of_raw_object(raw, raw.json);
        }
        self.compression.with_buffer(|json| {
            // `Serialize` is user code: a panic must not end the list or the watch.
            let encoded = catch_unwind(AssertUnwindSafe(|| (self.encode)(&object, json).is_ok()));
            let is_encoded = encoded.unwrap_or_default();
            if is_encoded {
                self.missing_fields.record_sizes(raw.json.len(), json.len());
            }
            let stores_serialized = is_encoded
                && self.missing_fields.lacks_fields()
                && catch_unwind(AssertUnwindSafe(|| self.check_round_trip(json)))
                    .is_ok_and(|survives| survives.is_some());
            self.pack_text_of_raw_object(raw, if stores_serialized { json } else { raw.json })
        })
    }

    fn pack_text_of_raw_object(&self, raw: &RawObject<'_>, json: &[u8]) -> serde_json::Result<WireObject> {
        let packed = self.pack_text(
            (&raw.namespace, &raw.name),
            raw.uid.as_deref(),
            raw.resource_version.as_deref(),
            json,
        );
        match packed {
            Some(packed) => Ok(WireObject::new(packed, raw)),
            None => Err(serde_json::Error::custom("the object is too large for a compact store")),
        }
    }
}

/// The default check of objects of type `K`: [`Check::Syntax`] for the types of `k8s-openapi`, for `DynamicObject` and for
/// `PartialObjectMeta`, because each object of a server decodes as these types; [`Check::Decode`] for all other types, such
/// as custom resources.
fn default_check<K>() -> Check {
    let name = std::any::type_name::<K>().split('<').next().unwrap_or_default();
    let any_kind = [
        std::any::type_name::<kube_client::core::DynamicObject>(),
        std::any::type_name::<kube_client::core::PartialObjectMeta<()>>(),
    ];
    let is_any_kind = any_kind.iter().any(|known| known.split('<').next() == Some(name));
    if name.starts_with("k8s_openapi::") || is_any_kind { Check::Syntax } else { Check::Decode }
}

#[cfg(test)]
impl<K: Storable> Codec<K> {
    /// Packs the JSON `object` in the same way as a watcher packs an object from the server.
    pub(super) fn pack_json(&self, object: &serde_json::Value) -> super::stored_object::StoredObject<K> {
        let text = |name: &str| object["metadata"][name].as_str().map(std::borrow::Cow::Borrowed);
        let json = object.to_string();
        let raw = RawObject {
            namespace: text("namespace").unwrap_or_default(),
            name: text("name").unwrap_or_default(),
            uid: text("uid"),
            resource_version: text("resourceVersion"),
            json: json.as_bytes(),
        };
        self.pack_raw(&raw).expect("the object can be packed").into_stored_object()
    }
}
