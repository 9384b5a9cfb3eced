//! `watcher`: the changes to a collection as a stream that recovers from failures.
//!
//! `step` makes the decisions without IO or a clock; `driver` executes them. This module must not store objects;
//! `reflector` stores them.

mod backoff;
mod config;
pub(crate) mod driver;
mod error;
mod event;
mod filter;
mod object_watch;
mod open_watch;
mod silence_probe;
mod source;
mod step;
mod storable;

pub use backoff::{Backoff, DefaultBackoff, ExponentialBackoff, ResetTimerBackoff};
pub use config::{Config, InitialListStrategy, ListSemantic};
pub(crate) use error::type_name_of;
pub use error::{Error, Result};
pub use event::Event;
pub(crate) use filter::EarlyFilter;
pub use object_watch::watch_object;
pub use silence_probe::detected_restore_count;
pub(crate) use source::{ApiSource, RawSource, Source};
pub use storable::Storable;
pub(crate) use storable::are_different_objects;

use driver::Driver;
use filter::EarlyFilters;
use futures::{Stream, StreamExt};
use kube_client::api::{PartialObjectMeta, raw::Convert};
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// Watches a collection: emits a snapshot, then every change, for as long as the stream is polled.
///
/// The stream begins with [`Event::Init`], an [`Event::InitApply`] for each object and [`Event::InitDone`], followed
/// by [`Event::Apply`] and [`Event::Delete`]. After a broken connection, a refused connection or a 429, the watcher
/// resumes from the last resource version. The watcher relists if the version expired (410), after the fourth consecutive
/// broken connection, and after any other failure of the watch. Each relist emits another `Init` and `InitDone`. The
/// stream has *no* `Delete` for objects that were deleted before a relist; a [`reflector`](crate::reflector()) detects
/// and reports these deletions.
///
/// Errors are items and do not end the stream: after an error the watcher waits ([`Config::backoff`]) and continues. It
/// does not wait if the connection of a watch breaks after ten seconds or more. The backoff grows until a watch works
/// again. For an object that cannot be decoded, the stream emits an error with the object's name and does not wait. For
/// an object without a name, the stream also emits an error and does not wait. The stream never ends.
///
/// If the server's storage was restored to an earlier state, a watch from a version that is newer than that state receives
/// nothing until the server reaches that version again. If a watch receives neither an event nor a bookmark for three
/// minutes ([`Config::probe_after`]), the watcher reads the current resource version with a list of one object. If the
/// current version is older than the last received version, the watcher emits [`Error::StorageRestored`] and relists.
///
/// ```
/// use futures::{StreamExt, TryStreamExt};
/// use k8s_openapi::api::core::v1::Namespace;
/// use kube_client::{Api, Client, ResourceExt};
/// use kube_runtime::{WatchStreamExt, watcher};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let namespaces: Api<Namespace> = Api::all(client);
/// let mut changes = watcher(namespaces, watcher::Config::default()).applied_objects().boxed();
/// if let Some(namespace) = changes.try_next().await? {
///     println!("{}", namespace.name_any());
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
///
/// The stream may be polled inside `select!`: no event is lost when another branch completes first.
pub fn watcher<K>(api: Api<K>, config: Config) -> Watcher<K>
where
    K: Resource + DeserializeOwned + Send + 'static,
{
    let filters = EarlyFilters::default();
    let source = ApiSource::new(api.clone(), &config, filters.clone());
    Watcher { driver: Driver::new(Box::new(source), config.clone()), api, config, filters }
}

/// The stream that [`watcher`](watcher()) returns.
#[must_use = "streams do nothing unless polled"]
pub struct Watcher<K> {
    driver: Driver<K>,
    api: Api<K>,
    config: Config,
    filters: EarlyFilters<K>,
}

impl<K> Watcher<K> {
    /// The resource version of the last received change, bookmark or complete snapshot; `None` until the first snapshot
    /// is complete.
    ///
    /// ```
    /// use futures::StreamExt;
    /// use k8s_openapi::api::core::v1::Namespace;
    /// use kube_client::{Api, Client};
    /// use kube_runtime::watcher::{self, Event, watcher};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// let mut watcher = watcher(Api::<Namespace>::all(client), watcher::Config::default());
    /// assert_eq!(watcher.resource_version(), None);
    /// while !matches!(watcher.next().await, Some(Ok(Event::InitDone))) {}
    /// assert!(watcher.resource_version().is_some());
    /// # }
    /// ```
    pub fn resource_version(&self) -> Option<&str> {
        self.driver.resource_version()
    }

    /// The API of the watched collection.
    pub(crate) fn api(&self) -> &Api<K> {
        &self.api
    }

    /// Adds a filter that runs before objects are decoded.
    pub(crate) fn filter_before_decode(self, filter: Box<dyn EarlyFilter<K>>) -> Self {
        self.filters.add(filter);
        self
    }
}

impl<K: 'static> Watcher<K> {
    /// A driver for the same collection with the same filters. The driver emits the result of `convert` for each object.
    /// `None` if this watcher has already been polled.
    pub(crate) fn converting_driver<T: Storable + Send + 'static>(
        &self,
        convert: Arc<Convert<T>>,
    ) -> Option<Driver<T>> {
        let source = || RawSource::new(self.api.clone(), &self.config, self.filters.clone(), convert);
        self.driver.is_new().then(|| Driver::new(Box::new(source()), self.config.clone()))
    }
}

impl<K: Resource + DeserializeOwned + Send + 'static> Stream for Watcher<K> {
    type Item = Result<Event<K>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.driver.poll_next_unpin(cx)
    }
}

impl<K> fmt::Debug for Watcher<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("version", &self.driver.resource_version()).finish_non_exhaustive()
    }
}

/// Like [`watcher`](watcher()), but requests only the metadata of objects, which costs less to send, decode and store.
///
/// # Cancel safety
///
/// The stream may be polled inside `select!`: no event is lost when another branch completes first.
pub fn metadata_watcher<K>(api: Api<K>, config: Config) -> Watcher<PartialObjectMeta<K>>
where
    K: Resource + 'static,
{
    watcher(api.into_metadata(), config)
}
