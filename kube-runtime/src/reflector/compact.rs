//! `Storage`: the storage format of a store.

use super::codec::{Check, Codec};
use super::modifier::Modifier;
use kube_client::Resource;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;

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
    pub(super) modify: Modifier<K>,
}

impl<K> Storage<K> {
    /// Stores typed objects. A read does not decode an object. A typical pod takes about 30 KiB of memory.
    #[must_use]
    pub fn typed() -> Self {
        Self { codec: None, modify: Modifier::default() }
    }

    /// Stores objects as compressed JSON and decodes them at each read, except for objects in a cache of recent reads.
    /// A typical pod takes about 1.2 KiB of memory and 20 microseconds per read.
    ///
    /// # Objects from a watcher
    ///
    /// A watcher that feeds the store directly [checks](Self::check) the text that the server sent. The store keeps this
    /// text without the fields in [`Config::skip_fields`](crate::watcher::Config::skip_fields).
    /// [`SharedInformer`](crate::SharedInformer), [`Reflector`](crate::Reflector), [`Informer`](crate::Informer),
    /// [`Controller`](crate::Controller), [`merged`](super::merged()) and
    /// [`Watcher::deltas`](crate::watcher::Watcher::deltas) feed the store directly if the storage does not
    /// [modify](Self::modify) the objects. The text has all other fields that the server sent, including fields that `K`
    /// does not have. Objects in Protobuf are stored as JSON.
    ///
    /// With [`Check::Syntax`], the watcher does not decode the objects. With [`Check::Decode`], the watcher decodes each
    /// object to check it, and then drops the decoded object. If `K` lacks many fields, the store with [`Check::Decode`]
    /// keeps the JSON of `K` instead of the server's text. `K` lacks many fields if, for the first objects, the JSON of
    /// `K` is shorter than three quarters of the text.
    ///
    /// # Objects from other streams
    ///
    /// If the objects come from a typed stream, such as the stream of [`reflector`](super::reflector()), or if the
    /// storage modifies the objects, the store keeps the JSON of `K`. This JSON does not contain fields that `K` does not
    /// have. If an object does not survive a JSON round trip, because its type serializes and deserializes differently,
    /// the object is stored typed.
    ///
    /// With [`reflector`](super::reflector()) on a multi-threaded tokio runtime, other threads encode the objects of a
    /// list. Up to 32 objects per worker thread, and at most 512, stay typed until they are encoded. The last batch stays
    /// typed until the next poll of the stream or the writer's next event.
    ///
    /// # Compression
    ///
    /// LZ4 compresses the objects with a dictionary. The dictionary contains text of the first objects, even after these
    /// objects are deleted. With the Cargo feature `zstd`, `Storage::zstd` makes the objects smaller.
    #[must_use]
    pub fn compact() -> Self
    where
        K: Resource + Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        Self { codec: Some(Codec::new()), modify: Modifier::default() }
    }

    /// Sets how a compact store checks an object before it keeps the text of the object. No effect on typed storage.
    ///
    /// The default is [`Check::Syntax`] for the types of `k8s-openapi`, for
    /// [`DynamicObject`](kube_client::core::DynamicObject) and for
    /// [`PartialObjectMeta`](kube_client::core::PartialObjectMeta), because each object of a server decodes as these
    /// types. The default is [`Check::Decode`] for all other types, such as custom resources.
    ///
    /// If an object fails the check, the watch emits an error that names the object, and the store keeps the last state
    /// of the object. With [`Check::Syntax`], an object that does not decode is in the store, but no read returns this
    /// object, and each read logs an error.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::Pod;
    /// use kube_runtime::reflector::{Check, Storage};
    ///
    /// let storage = Storage::<Pod>::compact().check(Check::Decode);
    /// # drop(storage);
    /// ```
    #[must_use]
    pub fn check(mut self, check: Check) -> Self {
        if let Some(codec) = &mut self.codec {
            codec.check = check;
        }
        self
    }

    /// Compresses the objects of a compact store with zstd instead of LZ4. The compressed objects need about
    /// 70 % of the memory that they need with LZ4. Each write and each read takes more time. No effect on
    /// typed storage.
    ///
    /// The dictionary is the text of the first objects, as for LZ4.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::Pod;
    /// use kube_runtime::reflector::{self, Storage};
    ///
    /// let (reader, writer) = reflector::store_with::<Pod>(Storage::compact().zstd());
    /// # drop((reader, writer));
    /// ```
    #[cfg(feature = "zstd")]
    #[must_use]
    pub fn zstd(mut self) -> Self {
        if let Some(codec) = &mut self.codec {
            codec.compression.use_zstd();
        }
        self
    }

    /// Sets a function that modifies each object before the store receives the object, like client-go's `SetTransform`.
    /// Consumers of the store, of its deltas and of its subscriptions get the modified objects. A second call replaces
    /// the function.
    ///
    /// Use this function to drop fields that the program does not read. If a
    /// [`FieldSet`](kube_client::core::FieldSet) can name the fields,
    /// [`Config::skip_fields`](crate::watcher::Config::skip_fields) costs less, because it does not decode the fields.
    ///
    /// `modify` must not change the name, the namespace, the uid or the resource version. If `modify` panics, the panic
    /// affects only that object, as if the object did not decode: the error is reported, and the store keeps the
    /// object's last state. [`Writer::apply_watcher_event`](super::Writer::apply_watcher_event) passes the panic to its
    /// caller.
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
        self.modify = Modifier::new(modify);
        self
    }

    /// Sets the maximum number of decoded objects in the cache, 256 by default. No effect on typed storage.
    #[must_use]
    pub fn cached(mut self, objects: usize) -> Self {
        if let Some(codec) = &mut self.codec {
            codec.set_cache_size(objects);
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

#[cfg(test)]
mod tests;
