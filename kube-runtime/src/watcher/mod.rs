//! `watcher`: the changes of a collection as a stream that heals itself.
//!
//! `step` decides, without IO and without a clock; `driver` carries out what it asks for. What becomes of the events
//! is the business of the layers above.

mod backoff;
mod config;
pub(crate) mod driver;
mod error;
mod event;
mod events;
mod filter;
mod quiet;
mod single;
mod step;

pub use backoff::{Backoff, DefaultBackoff, ExponentialBackoff};
pub use config::{Config, InitialListStrategy, ListSemantic};
pub use error::{Error, Result};
pub use event::Event;
pub(crate) use filter::EarlyFilter;
pub use quiet::restores_noticed;
pub use single::watch_object;

use driver::Driver;
use futures::{Stream, StreamExt};
use kube_client::api::PartialObjectMeta;
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

/// Watches a collection: its present state first, then every change, for as long as the stream is polled.
///
/// The stream opens with [`Event::Init`], an [`Event::InitApply`] for each object and [`Event::InitDone`], and goes on with
/// [`Event::Apply`] and [`Event::Delete`]. When the connection breaks it resumes where it left off. Where the version has
/// expired, after any other failure of the watch, and after the fourth broken connection in a row, it lists again, between
/// another `Init` and `InitDone`. A refused connection or a 429 leads to a wait only. What vanished in between is *not* in
/// the stream: a [`reflector`](crate::reflector()) knows, and reports it.
///
/// Errors are items, not ends: after each the watcher waits, longer each time until the server is healthy again
/// ([`Config::backoff`]), and goes on. An object that does not decode is an error that names it, and nothing waits.
/// The stream never ends.
///
/// A server whose storage was restored to an earlier state says nothing to a watch from a later version. Where a watch brings
/// neither an event nor a bookmark for three minutes ([`Config::probe_after`]), the watcher reads the current version with a
/// list of one object; if that is older than what was seen, the watcher lists anew, after [`Error::StorageRestored`].
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
/// The stream may be polled inside `select!`: no event is lost when another branch wins.
pub fn watcher<K>(api: Api<K>, config: Config) -> Watcher<K>
where
    K: Resource + DeserializeOwned + Send + 'static,
{
    Watcher { driver: Driver::new(api, config) }
}

/// The stream that [`watcher`](watcher()) returns.
#[must_use = "streams do nothing unless polled"]
pub struct Watcher<K> {
    driver: Driver<K>,
}

impl<K> Watcher<K> {
    /// Shows objects to a filter before they are decoded.
    pub(crate) fn filter_before_decode(self, filter: Box<dyn EarlyFilter<K>>) -> Self {
        self.driver.add_screen(filter);
        self
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

/// As [`watcher`](watcher()), for the metadata of the objects only: far less to send, decode and keep.
///
/// # Cancel safety
///
/// The stream may be polled inside `select!`: no event is lost when another branch wins.
pub fn metadata_watcher<K>(api: Api<K>, config: Config) -> Watcher<PartialObjectMeta<K>>
where
    K: Resource + 'static,
{
    watcher(api.into_metadata(), config)
}
