//! `Reflector`: a cache that is brought up to date whenever it is polled.

use super::{ObjectRef, Store, Writer, store};
use crate::cycle::Cycle;
use crate::watcher::{Config, Error, Result};
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;
use std::{fmt, sync::Arc, time::Duration};

/// A cache of a collection that mirrors the server.
///
/// [`poll`](Reflector::poll) brings it up to date: the first call lists, and every call watches for ten seconds, or as long
/// as [`timeout`](Reflector::timeout) says. [`read`](Reflector::read) gives the present state at any time.
///
/// `K` may be a full type, a derived custom resource, or an [`Object`](kube_client::core::Object) with a spec and a status
/// that name only what is needed.
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
    cycle: Cycle<K>,
    writer: Writer<K>,
    store: Store<K>,
}

impl<K: Resource + DeserializeOwned + Send + 'static> Reflector<K> {
    /// A cache of the collection that `api` gives access to. Nothing is requested before the first poll.
    pub fn new(api: Api<K>) -> Self {
        Self::with_config(api, Config::default())
    }

    /// As [`new`](Reflector::new), with selectors and all else that a watcher can be told.
    ///
    /// The watch of a poll lasts as long as the configuration's timeout says, ten seconds where it is not set.
    pub fn with_config(api: Api<K>, config: Config) -> Self {
        let (store, writer) = store();
        Self { cycle: Cycle::new(api, config), writer, store }
    }

    /// How long the watch of one poll lasts.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.cycle.set_timeout(timeout);
        self
    }

    /// Brings the cache up to date: lists if that has not been done yet, then watches for as long as the timeout says,
    /// whatever happens meanwhile.
    ///
    /// # Errors
    ///
    /// The first failure ends the call. The cache keeps its last state, and the next call goes on where this one ended,
    /// after a wait that grows with each failure. An object that does not decode is an error that names it
    /// ([`Error::undecodable`]); nothing waits after such a one, and nothing else is affected.
    ///
    /// # Cancel safety
    ///
    /// May be cancelled: the cache holds whatever has arrived, and the next call goes on from there.
    pub async fn poll(&mut self) -> Result<()> {
        self.cycle.begin();
        while let Some(event) = self.cycle.next().await {
            match event {
                Ok(event) => drop(self.writer.apply_watcher_event(event)),
                Err(Error::Object(object)) => {
                    self.writer.apply_undecodable(&object);
                    return Err(Error::Object(object));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The present state as far as it is known, in no particular order; empty before the first list.
    pub fn read(&self) -> Vec<Arc<K>> {
        self.store.state()
    }

    /// The object of that name.
    pub fn get(&self, key: &ObjectRef<K>) -> Option<Arc<K>> {
        self.store.get(key)
    }

    /// The cache, for readers elsewhere: it changes while the reflector is polled.
    pub fn store(&self) -> Store<K> {
        self.store.clone()
    }

    /// The version up to which every change is in the cache; `None` until the first list is complete. During a relist it is
    /// that of the state before, which is what the cache holds.
    pub fn resource_version(&self) -> Option<&str> {
        self.cycle.resource_version()
    }
}

impl<K> fmt::Debug for Reflector<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reflector").field("store", &self.store).finish_non_exhaustive()
    }
}
