//! `Config`: the options of a watcher. A snapshot is the complete set of the selected objects. A watcher requests a
//! snapshot when it starts and in each relist.

use super::backoff::ExponentialBackoff;
use kube_client::api::{ListParams, WatchParams};
use kube_client::core::{FieldSet, Seconds, Selector, VersionMatch};
use std::time::Duration;

/// The required recency of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListSemantic {
    /// The state of the server's storage at the time of the request.
    #[default]
    MostRecent,
    /// Any state of the server's watch cache. This option is cheaper for old servers. The state of a relist is never older
    /// than the last received resource version. If the server does not have that version, the relist behaves as with
    /// `MostRecent`.
    Any,
}

/// The method of fetching a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitialListStrategy {
    /// One streaming list (KEP-3157, WatchList) if the server supports it, otherwise paged lists. The watcher
    /// also falls back to paged lists if the server accepts the request but does not complete the initial events.
    #[default]
    StreamingList,
    /// Paged lists, which servers without WatchList also support.
    ListWatch,
}

/// The options of a watcher.
///
/// ```
/// use kube_runtime::watcher::Config;
///
/// let config = Config::default().labels("app=web").page_size(100);
/// assert_eq!(config.page_size, Some(100));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Selects only objects whose labels match this selector; `None` selects all objects.
    pub label_selector: Option<String>,
    /// Selects only objects whose fields match this selector; `None` selects all objects.
    pub field_selector: Option<String>,
    /// The time for which the server keeps each watch open; `None` for a random duration of 145 to 290 seconds per
    /// watch. No event is lost: the watcher resumes with the next watch.
    pub timeout: Option<Duration>,
    /// The required recency of a snapshot.
    pub list_semantic: ListSemantic,
    /// The method of fetching a snapshot.
    pub initial_list_strategy: InitialListStrategy,
    /// The number of objects per page of a list; `None` for a list without pages.
    pub page_size: Option<u32>,
    /// Whether the watches request bookmarks. Without bookmarks, the resource version of an idle watch expires, and the
    /// watcher relists.
    pub bookmarks: bool,
    /// If neither an event nor a bookmark arrives for this time, the watcher reads the server's current resource version
    /// with a list of one object. This probe detects that the server's storage was restored to an earlier state. Servers
    /// send a bookmark about every minute. The interval between probes doubles after each probe that detects no restored
    /// storage, up to ten minutes or this value, whichever is longer.
    pub probe_after: Duration,
    /// The waits after failures.
    pub backoff: ExponentialBackoff,
    /// Fields that are skipped while objects are decoded; `metadata.managedFields` by default.
    pub skip_fields: FieldSet,
    /// If the watched objects have more than this number of bytes, the watcher logs a warning; `None` for no warning. See
    /// [`budget`](Config::budget).
    pub budget: Option<u64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            label_selector: None,
            field_selector: None,
            timeout: None,
            list_semantic: ListSemantic::default(),
            initial_list_strategy: InitialListStrategy::default(),
            page_size: Some(500),
            bookmarks: true,
            probe_after: Duration::from_secs(180),
            backoff: ExponentialBackoff::default(),
            skip_fields: FieldSet::managed_fields(),
            budget: None,
        }
    }
}

impl Config {
    /// Sets the time for which the server keeps each watch open; rounded up to whole seconds, at least one. A streaming
    /// list stays open for at least a minute, so that its initial events can arrive.
    #[must_use]
    pub fn timeout(mut self, timeout: impl Seconds) -> Self {
        self.timeout = Some(timeout.into_duration());
        self
    }

    /// Selects only objects whose fields match `field_selector`.
    #[must_use]
    pub fn fields(mut self, field_selector: &str) -> Self {
        self.field_selector = Some(field_selector.to_owned());
        self
    }

    /// Selects only objects whose labels match `label_selector`.
    #[must_use]
    pub fn labels(mut self, label_selector: &str) -> Self {
        self.label_selector = Some(label_selector.to_owned());
        self
    }

    /// Selects only objects whose labels match `selector`.
    #[must_use]
    pub fn labels_from(mut self, selector: &Selector) -> Self {
        self.label_selector = Some(selector.to_string());
        self
    }

    /// Sets the required recency of a snapshot.
    #[must_use]
    pub fn list_semantic(mut self, semantic: ListSemantic) -> Self {
        self.list_semantic = semantic;
        self
    }

    /// Accepts any state of the server's watch cache; see [`ListSemantic::Any`].
    #[must_use]
    pub fn any_semantic(self) -> Self {
        self.list_semantic(ListSemantic::Any)
    }

    /// Disables bookmarks, and also streaming lists, which require them.
    #[must_use]
    pub fn disable_bookmarks(mut self) -> Self {
        self.bookmarks = false;
        self
    }

    /// Sets the number of objects per page of a list; 0 requests a list without pages.
    #[must_use]
    pub fn page_size(mut self, page_size: u32) -> Self {
        self.page_size = Some(page_size);
        self
    }

    /// Fetches snapshots as streaming lists if the server supports them. This is the default.
    #[must_use]
    pub fn streaming_lists(self) -> Self {
        self.initial_list_strategy(InitialListStrategy::StreamingList)
    }

    /// Sets the method of fetching a snapshot.
    #[must_use]
    pub fn initial_list_strategy(mut self, strategy: InitialListStrategy) -> Self {
        self.initial_list_strategy = strategy;
        self
    }

    /// Sets the time after which the watcher reads the server's current resource version if neither an event nor a bookmark
    /// arrives; see [the field](Config::probe_after). `Duration::MAX` disables the probe.
    #[must_use]
    pub fn probe_after(mut self, silence: Duration) -> Self {
        self.probe_after = silence;
        self
    }

    /// Sets the waits after failures.
    #[must_use]
    pub fn backoff(mut self, backoff: ExponentialBackoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets the fields that are skipped while objects are decoded; `metadata.managedFields` by default.
    ///
    /// Skipped fields are not allocated or decoded.
    ///
    /// ```
    /// use kube_client::core::FieldSet;
    /// use kube_runtime::watcher::Config;
    ///
    /// let whole = Config::default().skip_fields(FieldSet::none());
    /// let lean = Config::default().skip_fields(FieldSet::managed_fields().and("status".parse()?));
    /// # Ok::<(), kube_client::core::ParseFieldPathError>(())
    /// ```
    #[must_use]
    pub fn skip_fields(mut self, fields: FieldSet) -> Self {
        self.skip_fields = fields;
        self
    }

    /// Sets the maximum size of the watched collection, in bytes. Above this size, the watcher logs a warning that names the
    /// collection, and drops no object. The watcher warns again only after the size has fallen below nine tenths of the
    /// maximum.
    ///
    /// The size is the number of bytes of the objects as the server sends them. A store of typed objects
    /// needs two to eight times as much memory, and compact storage about a tenth. The size is exact directly
    /// after a list. After modifications and deletions, the size is an estimate until the next list. With the
    /// Cargo feature `metrics`, the gauge `kube_runtime_collection_bytes` reports the size, with or without a
    /// budget.
    ///
    /// ```
    /// use kube_runtime::watcher::Config;
    ///
    /// let config = Config::default().budget(64 << 20);
    /// assert_eq!(config.budget, Some(67_108_864));
    /// ```
    #[must_use]
    pub fn budget(mut self, bytes: u64) -> Self {
        self.budget = Some(bytes);
        self
    }

    /// The parameters of the list request for `page`.
    pub(super) fn list_params(&self, page: &super::step::PageRequest) -> ListParams {
        // A list with a version other than 0 gets no limit: with a limit, the server would read its storage instead of its
        // watch cache.
        let unlimited = page.unpaged || page.not_older_than.as_ref().is_some_and(|version| version != "0");
        ListParams {
            label_selector: self.label_selector.clone(),
            field_selector: self.field_selector.clone(),
            continue_token: page.token.clone(),
            limit: if unlimited { None } else { self.page_size },
            version_match: page.not_older_than.is_some().then_some(VersionMatch::NotOlderThan),
            resource_version: page.not_older_than.clone(),
        }
    }

    /// The parameters of a list with a limit of one object, to read the storage's current resource version. The label
    /// selector is omitted: with it, the server would read the storage page by page until an object matches. The field
    /// selector is kept, because RBAC rules with resource names may require it.
    pub(super) fn version_params(&self) -> ListParams {
        ListParams { field_selector: self.field_selector.clone(), limit: Some(1), ..ListParams::default() }
    }

    /// The parameters of a watch.
    pub(super) fn watch_params(&self) -> WatchParams {
        WatchParams {
            label_selector: self.label_selector.clone(),
            field_selector: self.field_selector.clone(),
            timeout: self.timeout.map(|timeout| timeout.max(Duration::from_secs(1))),
            bookmarks: self.bookmarks,
            send_initial_events: false,
        }
    }
}
