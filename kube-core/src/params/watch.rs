//! Parameters of the verb `watch`.

use super::{Error, Query, Seconds, validation_error};
use crate::Selector;
use std::time::Duration;

/// Parameters of a watch.
///
/// ```
/// use kube_core::WatchParams;
/// use std::time::Duration;
///
/// let wp = WatchParams::default().labels("app=web").timeout(Duration::from_secs(60));
/// assert!(wp.bookmarks);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchParams {
    /// The label selector that objects must match.
    pub label_selector: Option<String>,
    /// The field selector that objects must match.
    pub field_selector: Option<String>,
    /// The time for which the server keeps the watch open; `None` for 290 seconds.
    pub timeout: Option<Duration>,
    /// Whether to request bookmarks: events that contain only the resource version from which the watch can resume.
    pub bookmarks: bool,
    /// Whether to request the initial list as events of the watch (KEP-3157, WatchList).
    pub send_initial_events: bool,
}

/// The default timeout of a watch: less than the 5 minutes after which many load balancers close an idle connection.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(290);

impl Default for WatchParams {
    fn default() -> Self {
        Self {
            label_selector: None,
            field_selector: None,
            timeout: None,
            bookmarks: true,
            send_initial_events: false,
        }
    }
}

impl WatchParams {
    /// Creates the parameters of a streaming list (KEP-3157, WatchList): the watch begins with the initial list as
    /// events. A bookmark marks the end of these events.
    ///
    /// ```
    /// use kube_core::WatchParams;
    ///
    /// assert_eq!(WatchParams::streaming_lists(), WatchParams::default().initial_events());
    /// ```
    pub fn streaming_lists() -> Self {
        Self { send_initial_events: true, ..Self::default() }
    }

    /// Sets the time for which the server keeps the watch open: a `Duration`, rounded up to whole seconds, or a number
    /// of seconds (`u32`).
    #[must_use]
    pub fn timeout(mut self, timeout: impl Seconds) -> Self {
        self.timeout = Some(timeout.into_duration());
        self
    }

    /// Requests only objects that match the field selector.
    #[must_use]
    pub fn fields(mut self, field_selector: &str) -> Self {
        self.field_selector = Some(field_selector.to_owned());
        self
    }

    /// Requests only objects that match the label selector.
    #[must_use]
    pub fn labels(mut self, label_selector: &str) -> Self {
        self.label_selector = Some(label_selector.to_owned());
        self
    }

    /// Requests only objects whose labels match a [`Selector`].
    #[must_use]
    pub fn labels_from(mut self, selector: &Selector) -> Self {
        self.label_selector = Some(selector.to_string());
        self
    }

    /// Requests no bookmarks, for servers that implement bookmarks incorrectly.
    #[must_use]
    pub fn disable_bookmarks(mut self) -> Self {
        self.bookmarks = false;
        self
    }

    /// Requests the initial list as events of the watch. A bookmark with the annotation `k8s.io/initial-events-end`
    /// marks the end of the list.
    #[must_use]
    pub fn initial_events(mut self) -> Self {
        self.send_initial_events = true;
        self
    }

    /// The requested duration of the watch: the configured timeout or the default.
    pub fn effective_timeout(&self) -> Duration {
        self.timeout.unwrap_or(DEFAULT_TIMEOUT)
    }

    /// Appends these parameters to a query.
    pub(crate) fn populate_query(&self, query: &mut Query) -> Result<(), Error> {
        if self.send_initial_events && !self.bookmarks {
            return validation_error(
                "a watch that asks for initial events needs bookmarks: one marks their end",
            );
        }
        if self.effective_timeout().is_zero() {
            return validation_error("a watch needs a timeout above zero");
        }
        query
            .append_seconds("timeoutSeconds", Some(self.effective_timeout()))
            .append_optional("labelSelector", self.label_selector.as_deref())
            .append_optional("fieldSelector", self.field_selector.as_deref())
            .append_flag("allowWatchBookmarks", self.bookmarks);
        if self.send_initial_events {
            query
                .append_pair("sendInitialEvents", "true")
                .append_pair("resourceVersionMatch", "NotOlderThan");
        }
        Ok(())
    }
}
