//! `Reflector`: a cache that each poll updates.

use super::cycle::StoreCycle;
use super::{ObjectRef, Storage, Store, Writer, store_with};
use crate::watcher::{Config, Error, Result};
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;
use std::{fmt, sync::Arc, time::Duration};

/// A cache that mirrors a collection of the server.
///
/// [`poll`](Reflector::poll) updates the cache: the first call lists, and every call watches for ten seconds, or for
/// [`timeout`](Reflector::timeout). [`read`](Reflector::read) returns the cached objects at any time.
///
/// `K` may be a type of `k8s-openapi`, a custom resource with `derive(CustomResource)`, or an
/// [`Object`](kube_client::core::Object) whose spec and status have only the needed fields.
///
/// ```
/// use k8s_openapi::api::core::v1::Namespace;
/// use kube_client::{Api, Client, ResourceExt};
/// use kube_runtime::Reflector;
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let namespaces: Api<Namespace> = Api::all(client);
/// let mut reflector = Reflector::new(namespaces).timeout(Duration::from_secs(1));
/// reflector.poll().await?;
/// for namespace in reflector.read() {
///     println!("{}", namespace.name_any());
/// }
/// # Ok(())
/// # }
/// ```
pub struct Reflector<K> {
    cycle: StoreCycle<K>,
    writer: Writer<K>,
    store: Store<K>,
}

impl<K: Resource + DeserializeOwned + Send + 'static> Reflector<K> {
    /// A cache of the collection of `api`. Sends no request before the first poll.
    pub fn new(api: Api<K>) -> Self {
        Self::with_config(api, Config::default())
    }

    /// Like [`new`](Reflector::new), with a watcher's options.
    ///
    /// The watch of a poll lasts for the configured timeout, ten seconds by default.
    pub fn with_config(api: Api<K>, config: Config) -> Self {
        Self::with_storage(api, config, Storage::typed())
    }

    /// Like [`with_config`](Reflector::with_config), with a storage format.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::Namespace;
    /// use kube_client::{Api, Client};
    /// use kube_runtime::{Reflector, reflector::Storage, watcher::Config};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// let storage = Storage::compact().modify(|namespace: &mut Namespace| namespace.status = None);
    /// let mut reflector = Reflector::with_storage(Api::all(client), Config::default(), storage);
    /// reflector.poll().await?;
    /// assert!(reflector.read().iter().all(|namespace| namespace.status.is_none()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_storage(api: Api<K>, config: Config, storage: Storage<K>) -> Self {
        let (store, writer) = store_with(storage);
        let writer = writer.record_only_deletions();
        Self { cycle: StoreCycle::new(api, config, &writer), writer, store }
    }

    /// Sets the duration of the watch of each poll.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.cycle.set_timeout(timeout);
        self
    }

    /// Updates the cache: the first call lists, and each call watches for the full timeout.
    ///
    /// # Errors
    ///
    /// The first failure ends the call. The cache keeps its last state, and the next call resumes after the backoff. If
    /// an object cannot be decoded, the error contains the name of the object ([`Error::undecodable`]), and the next
    /// call resumes without backoff; other objects are not affected.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the cache keeps the received changes, and the next call resumes.
    pub async fn poll(&mut self) -> Result<()> {
        std::future::poll_fn(|cx| self.writer.poll_packing(cx)).await;
        self.cycle.begin();
        while let Some(event) = self.cycle.next(&self.writer).await {
            match event {
                Ok(event) => drop(self.writer.apply_stored(event, None)),
                Err(Error::Object(object)) => {
                    self.writer.apply_undecodable_for_deltas(&object);
                    return Err(Error::Object(object));
                }
                Err(error) => return Err(error),
            }
        }
        self.writer.record_version(self.cycle.resource_version());
        Ok(())
    }

    /// The cached objects, in no particular order; empty before the first list.
    pub fn read(&self) -> Vec<Arc<K>> {
        self.store.state()
    }

    /// The cached object with this key.
    pub fn get(&self, key: &ObjectRef<K>) -> Option<Arc<K>> {
        self.store.get(key)
    }

    /// A reader of the cache. The cache changes only while the reflector is polled.
    pub fn store(&self) -> Store<K> {
        self.store.clone()
    }

    /// The resource version of the cache; `None` until the first list is complete. During a relist the cache keeps its
    /// previous state and version.
    pub fn resource_version(&self) -> Option<&str> {
        self.cycle.resource_version()
    }
}

impl<K> fmt::Debug for Reflector<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reflector").field("store", &self.store).finish_non_exhaustive()
    }
}
