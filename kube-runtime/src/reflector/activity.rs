//! `Activity`: the resource version that a store has reached, and the time at which the store reached it.

use super::observers::lock;
use super::store::Store;

/// What the source of a store has reported last.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// The resource version of the last change, bookmark or complete snapshot; `None` before the first snapshot is complete,
    /// or if the source does not report its version.
    pub(super) version: Option<String>,
    #[cfg(feature = "manager")]
    pub(super) at: Option<tokio::time::Instant>,
}

impl Activity {
    /// Records the resource version that the source has reached, and the time if this version is new.
    pub(super) fn record_version(&mut self, version: Option<&str>) {
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
    /// The resource version that the store has reached, like client-go's `LastStoreSyncResourceVersion`: the store
    /// contains all changes up to this version. Bookmarks also advance this version. To find out whether the store
    /// contains a write, compare this version with the version that the write returned; see
    /// [`ResourceVersion`](kube_client::core::ResourceVersion).
    ///
    /// `None` until the first list is complete. Also `None` for a store of several collections, and for a
    /// store whose source does not report its version. Only
    /// [`Watcher::deltas`](crate::watcher::Watcher::deltas), [`Reflector`](crate::Reflector),
    /// [`Informer`](crate::Informer), [`SharedInformer`](crate::SharedInformer) and
    /// [`Controller`](crate::Controller) report the version.
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
