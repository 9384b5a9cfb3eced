//! `Source`: the requests of a watcher. It hides from the driver whether the objects are decoded or converted.

use super::config::Config;
use super::filter::EarlyFilters;
use futures::StreamExt;
use futures::future::BoxFuture;
use kube_client::api::{EventStream, ListParams, ListStream, WatchParams, raw::Convert};
use kube_client::core::UndecodableObject;
use kube_client::{Api, Error, Result};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// Sends the requests of a watcher, and returns the lists and watches as streams of `T`.
pub(crate) trait Source<T>: Send + Sync {
    /// The path of the collection.
    fn resource_url(&self) -> &str;

    /// Requests a list, or one page of a list.
    fn list(&self, lp: ListParams) -> BoxFuture<'static, Result<ListStream<T>>>;

    /// Requests a watch.
    fn watch(&self, wp: WatchParams, version: String) -> BoxFuture<'static, Result<EventStream<T>>>;

    /// Reads the storage's current resource version with a list; `None` on failure. The filters do not receive the
    /// items of that list.
    fn read_version(&self, lp: ListParams) -> BoxFuture<'static, Option<String>>;

    /// See [`EarlyFilter::forget`](super::EarlyFilter::forget).
    fn forget(&self, object: &UndecodableObject);

    /// See [`EarlyFilter::reset`](super::EarlyFilter::reset).
    fn reset(&self);
}

/// A source that decodes each object of a collection.
pub(crate) struct ApiSource<K> {
    api: Api<K>,
    filters: EarlyFilters<K>,
}

impl<K> ApiSource<K> {
    pub(crate) fn new(api: Api<K>, config: &Config, filters: EarlyFilters<K>) -> Self {
        Self { api: api.skip_fields(config.skip_fields.clone()), filters }
    }

    /// A source without filters.
    pub(crate) fn without_filters(api: Api<K>, config: &Config) -> Self {
        Self::new(api, config, EarlyFilters::default())
    }
}

impl<K: DeserializeOwned + Send + 'static> Source<K> for ApiSource<K> {
    fn resource_url(&self) -> &str {
        self.api.resource_url()
    }

    fn list(&self, lp: ListParams) -> BoxFuture<'static, Result<ListStream<K>>> {
        let (api, filters) = (self.api.clone(), self.filters.clone());
        Box::pin(async move { Ok(filters.filter_list(api.list_stream(&lp).await?)) })
    }

    fn watch(&self, wp: WatchParams, version: String) -> BoxFuture<'static, Result<EventStream<K>>> {
        let (api, filters) = (self.api.clone(), self.filters.clone());
        Box::pin(async move { Ok(filters.filter_events(api.watch(&wp, &version).await?)) })
    }

    fn read_version(&self, lp: ListParams) -> BoxFuture<'static, Option<String>> {
        let api = self.api.clone();
        Box::pin(async move { version_of_list(api.list_stream(&lp).await.ok()?).await })
    }

    fn forget(&self, object: &UndecodableObject) {
        self.filters.forget(object);
    }

    fn reset(&self) {
        self.filters.reset();
    }
}

/// A source that passes the text of each object of a collection to a function, and emits the function's result.
pub(crate) struct RawSource<K, T> {
    api: Api<K>,
    filters: EarlyFilters<K>,
    convert: Arc<Convert<T>>,
}

impl<K, T> RawSource<K, T> {
    pub(crate) fn new(
        api: Api<K>,
        config: &Config,
        filters: EarlyFilters<K>,
        convert: Arc<Convert<T>>,
    ) -> Self {
        Self { api: api.skip_fields(config.skip_fields.clone()), filters, convert }
    }

    /// A source without filters.
    pub(crate) fn without_filters(api: Api<K>, config: &Config, convert: Arc<Convert<T>>) -> Self {
        Self::new(api, config, EarlyFilters::default(), convert)
    }
}

impl<K: 'static, T: Send + 'static> Source<T> for RawSource<K, T> {
    fn resource_url(&self) -> &str {
        self.api.resource_url()
    }

    fn list(&self, lp: ListParams) -> BoxFuture<'static, Result<ListStream<T>>> {
        let (api, filters, convert) = (self.api.clone(), self.filters.clone(), self.convert.clone());
        Box::pin(async move { api.list_raw(&lp, convert, filters.into_raw_filter()).await })
    }

    fn watch(&self, wp: WatchParams, version: String) -> BoxFuture<'static, Result<EventStream<T>>> {
        let (api, filters, convert) = (self.api.clone(), self.filters.clone(), self.convert.clone());
        Box::pin(async move { api.watch_raw(&wp, &version, convert, filters.into_raw_filter()).await })
    }

    fn read_version(&self, lp: ListParams) -> BoxFuture<'static, Option<String>> {
        let api = self.api.clone();
        let ignore = Arc::new(Convert::new(|_| Ok(())));
        Box::pin(async move { version_of_list(api.list_raw(&lp, ignore, None).await.ok()?).await })
    }

    fn forget(&self, object: &UndecodableObject) {
        self.filters.forget(object);
    }

    fn reset(&self) {
        self.filters.reset();
    }
}

/// Reads a list to its end and returns the list's resource version; `None` on failure.
async fn version_of_list<T: Send + 'static>(mut page: ListStream<T>) -> Option<String> {
    while let Some(item) = page.next().await {
        if item.is_err_and(|error| !matches!(error, Error::Object(_))) {
            return None;
        }
    }
    page.metadata()?.resource_version.clone()
}
