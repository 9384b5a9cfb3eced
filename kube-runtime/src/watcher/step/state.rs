//! The state of a watcher, and the data that it keeps during a relist.

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::watcher) enum State {
    /// The watcher has to fetch a snapshot.
    Start { previous: PreviousData },
    /// A page of a list is requested or arriving.
    Listing { page: PageRequest, previous: PreviousData },
    /// A streaming list (KEP-3157) is requested or its initial events are arriving.
    Streaming { previous: PreviousData },
    /// A watch from `version` is requested or open. `proven` is true in two cases: the attempt of the snapshot was
    /// [`Attempt::Fresh`], or a watch has worked since the snapshot ([`Ending::Worked`](super::Ending::Worked)).
    /// `connection_failures` is the number of consecutive watches that ended with a failed connection.
    Watching { version: String, proven: bool, connection_failures: u8 },
}

impl State {
    /// The resource version of the last received change, bookmark or complete snapshot. During a relist, this is the
    /// version from before the relist.
    pub(in crate::watcher) fn version(&self) -> Option<&str> {
        match self {
            Self::Watching { version, .. } => Some(version),
            Self::Start { previous } | Self::Listing { previous, .. } | Self::Streaming { previous } => {
                previous.version.as_deref()
            }
        }
    }
}

/// The data that the watcher keeps during a relist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::watcher) struct PreviousData {
    pub(in crate::watcher) attempt: Attempt,
    /// The resource version of the last received change, bookmark or complete snapshot; `None` before the first
    /// complete snapshot.
    pub(in crate::watcher) version: Option<String>,
    /// Whether the server cannot list at `version`. Such a version has expired or is ahead of the server.
    pub(in crate::watcher) unavailable: bool,
}

impl PreviousData {
    /// The value for a new watcher, which has received nothing.
    pub(in crate::watcher) const NONE: Self =
        Self { attempt: Attempt::Fresh, version: None, unavailable: false };

    /// Replaces the attempt.
    pub(super) fn with_attempt(self, attempt: Attempt) -> Self {
        Self { attempt, ..self }
    }

    /// The resource version of a list with `resourceVersionMatch=NotOlderThan`, as in client-go's reflector: "0" for
    /// the first list, the last received version for a relist. `None` if the server cannot list at the last received
    /// version; the list is then a consistent read from storage.
    pub(super) fn oldest_acceptable_version(&self) -> Option<String> {
        match &self.version {
            _ if self.unavailable => None,
            Some(version) => Some(version.clone()),
            None => Some("0".to_owned()),
        }
    }
}

/// Whether a snapshot follows a failed watch or a broken streaming list.
///
/// In a `Repeated` attempt, the watcher replaces a broken streaming list by a paged list. After a `Repeated`
/// attempt, the watch may fail with 410, because its resource version has expired. If the watch had not
/// worked until then ([`Ending::Worked`](super::Ending::Worked)), the watcher emits an error and waits before
/// it relists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::watcher) enum Attempt {
    /// The snapshot is the first one, or it follows a streaming list that was rejected or stalled, or it
    /// follows a list that had no resource version. If a list fails, the next snapshot has the same
    /// `Attempt`.
    Fresh,
    /// The snapshot follows a failed watch or a broken streaming list.
    Repeated,
}

/// The parameters of a request for a page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::watcher) struct PageRequest {
    /// The continue token; `None` for the first page.
    pub(in crate::watcher) token: Option<String>,
    /// Whether the request is for the whole list in one response, because a continue token expired.
    pub(in crate::watcher) unpaged: bool,
    /// The oldest acceptable resource version; `None` for a consistent read from storage.
    pub(in crate::watcher) not_older_than: Option<String>,
}
