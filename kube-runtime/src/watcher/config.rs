//! `Config`: what to watch, and how.

use super::backoff::ExponentialBackoff;
use kube_client::api::{ListParams, WatchParams};
use kube_client::core::{FieldSet, Selector, VersionMatch};
use std::time::Duration;

/// How fresh the present state has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListSemantic {
    /// As fresh as what the server's storage holds at the time of the request.
    #[default]
    MostRecent,
    /// Whatever the server has in its cache, which is cheaper on old servers. Lists after the first are never older than what
    /// was seen before; where the server does not have that version, they are as for `MostRecent`.
    Any,
}

/// How the present state is fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitialListStrategy {
    /// As a stream of events where the server offers that (KEP-3157, WatchList), else by paged lists. A server that takes
    /// the request but never completes the state is recognised, too.
    #[default]
    StreamingList,
    /// By paged lists.
    ListWatch,
}

/// What a watcher watches, and how.
///
/// ```
/// use kube_runtime::watcher::Config;
///
/// let config = Config::default().labels("app=web").page_size(100);
/// assert_eq!(config.page_size, Some(100));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Only objects whose labels match.
    pub label_selector: Option<String>,
    /// Only objects whose fields match.
    pub field_selector: Option<String>,
    /// How long the server keeps one watch open; `None` for 145 to 290 seconds, chosen at random for each watch. Events
    /// are not affected: the watcher opens the next one where the last ended.
    pub timeout: Option<Duration>,
    /// How fresh the present state has to be.
    pub list_semantic: ListSemantic,
    /// How the present state is fetched.
    pub initial_list_strategy: InitialListStrategy,
    /// The number of objects in a page of a list; `None` for all at once.
    pub page_size: Option<u32>,
    /// Whether the server is to send bookmarks. Without them, an idle watch has to start over once it is too old.
    pub bookmarks: bool,
    /// For how long a watch may bring neither an event nor a bookmark before the server's current version is read, with a list
    /// of one object, to see whether its storage was restored to an earlier state. Servers send a bookmark about every
    /// minute. Probes that show nothing become rarer, down to one in ten minutes or in this time.
    pub probe_after: Duration,
    /// The waits after failures.
    pub backoff: ExponentialBackoff,
    /// Fields that are skipped while objects are decoded; `metadata.managedFields` unless something else is said.
    pub skip_fields: FieldSet,
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
        }
    }
}

impl Config {
    /// How long the server keeps one watch open; rounded up to whole seconds, of which it is at least one. One that begins with
    /// the present state is kept open for at least a minute, so that this may arrive.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Only objects whose fields match.
    #[must_use]
    pub fn fields(mut self, field_selector: &str) -> Self {
        self.field_selector = Some(field_selector.to_owned());
        self
    }

    /// Only objects whose labels match.
    #[must_use]
    pub fn labels(mut self, label_selector: &str) -> Self {
        self.label_selector = Some(label_selector.to_owned());
        self
    }

    /// Only objects whose labels a [`Selector`] selects.
    #[must_use]
    pub fn labels_from(mut self, selector: &Selector) -> Self {
        self.label_selector = Some(selector.to_string());
        self
    }

    /// How fresh the present state has to be.
    #[must_use]
    pub fn list_semantic(mut self, semantic: ListSemantic) -> Self {
        self.list_semantic = semantic;
        self
    }

    /// Takes whatever the server has in its cache; see [`ListSemantic::Any`].
    #[must_use]
    pub fn any_semantic(self) -> Self {
        self.list_semantic(ListSemantic::Any)
    }

    /// No bookmarks, hence no streaming lists either, which need one.
    #[must_use]
    pub fn disable_bookmarks(mut self) -> Self {
        self.bookmarks = false;
        self
    }

    /// The number of objects in a page of a list; 0 asks for all of them at once.
    #[must_use]
    pub fn page_size(mut self, page_size: u32) -> Self {
        self.page_size = Some(page_size);
        self
    }

    /// Fetches the present state as a stream of events where the server offers that. This is the default.
    #[must_use]
    pub fn streaming_lists(self) -> Self {
        self.initial_list_strategy(InitialListStrategy::StreamingList)
    }

    /// How the present state is fetched.
    #[must_use]
    pub fn initial_list_strategy(mut self, strategy: InitialListStrategy) -> Self {
        self.initial_list_strategy = strategy;
        self
    }

    /// After which silence of a watch the server's current version is read; see
    /// [the field](Config::probe_after). `Duration::MAX` for never.
    #[must_use]
    pub fn probe_after(mut self, silence: Duration) -> Self {
        self.probe_after = silence;
        self
    }

    /// The waits after failures.
    #[must_use]
    pub fn backoff(mut self, backoff: ExponentialBackoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Which fields are skipped while objects are decoded, in place of `metadata.managedFields`.
    ///
    /// What is skipped costs neither memory nor the time to build it.
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

    pub(super) fn list_params(&self, page: &super::step::Page) -> ListParams {
        // With a limit, a server reads its storage instead of its cache unless the version is 0.
        let unlimited = page.whole || page.not_older_than.as_ref().is_some_and(|version| version != "0");
        ListParams {
            label_selector: self.label_selector.clone(),
            field_selector: self.field_selector.clone(),
            continue_token: page.token.clone(),
            limit: if unlimited { None } else { self.page_size },
            version_match: page.not_older_than.is_some().then_some(VersionMatch::NotOlderThan),
            resource_version: page.not_older_than.clone(),
        }
    }

    /// For a list that shows the current version of the storage. Without the label selector: with one that selects few objects,
    /// the server would read page after page of the storage to find one. Access by name may depend on the field selector.
    pub(super) fn version_params(&self) -> ListParams {
        ListParams { field_selector: self.field_selector.clone(), limit: Some(1), ..ListParams::default() }
    }

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
