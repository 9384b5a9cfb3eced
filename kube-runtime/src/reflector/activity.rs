//! `Activity`: the resource version that a store has reached.

use super::observers::lock;
use super::store::Store;

/// The last activity of the source of a store.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// The resource version of the last change or bookmark, if the source reports it.
    pub(super) version: Option<String>,
    #[cfg(feature = "manager")]
    pub(super) at: Option<tokio::time::Instant>,
}

impl Activity {
    /// Records the resource version that the source has reached.
    pub(super) fn record(&mut self, version: Option<&str>) {
        if self.version.as_deref() != version {
            self.version = version.map(ToOwned::to_owned);
            #[cfg(feature = "manager")]
            {
                self.at = Some(tokio::time::Instant::now());
            }
        }
    }
}

impl<K> Store<K> {
    /// The resource version that the store has reached, as client-go's `LastStoreSyncResourceVersion`: the store
    /// contains all changes up to this version. Bookmarks advance it, too. A program that compares it with the version
    /// of its own write ([`ResourceVersion`](kube_client::core::ResourceVersion)) knows whether the store contains the
    /// write.
    ///
    /// `None` until the first list is complete, and for stores of several collections or of a stream that does not
    /// report its version: only [`Watcher::deltas`](crate::watcher::Watcher::deltas), [`Reflector`](crate::Reflector),
    /// [`Informer`](crate::Informer), [`SharedInformer`](crate::SharedInformer) and [`Controller`](crate::Controller)
    /// report it.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::Namespace;
    /// use kube_client::{Api, Client};
    /// use kube_runtime::Reflector;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// let mut namespaces = Reflector::new(Api::<Namespace>::all(client)).timeout(Duration::from_secs(1));
    /// assert_eq!(namespaces.store().resource_version(), None);
    /// namespaces.poll().await?;
    /// assert_eq!(namespaces.store().resource_version().as_deref(), namespaces.resource_version());
    /// # Ok(())
    /// # }
    /// ```
    pub fn resource_version(&self) -> Option<String> {
        lock(&self.shared.activity).version.clone()
    }
}
