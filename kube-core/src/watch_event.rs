//! `WatchEvent`: one event of a watch, as in `meta/v1`.

use super::{Status, TypeMeta, null::null_as_default};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// One event of a watch (`meta/v1 WatchEvent`).
///
/// `Api::watch` and informers return events of this type.
#[derive(Deserialize, Serialize, Clone, PartialEq)]
#[serde(tag = "type", content = "object", rename_all = "UPPERCASE")]
pub enum WatchEvent<K> {
    /// The object was created, began to match the selectors of the watch, or existed when the watch started.
    Added(K),
    /// The object was modified.
    Modified(K),
    /// The object was deleted, or no longer matches the selectors of the watch. Contains the object's last state.
    Deleted(K),
    /// The server has sent all changes up to the resource version of the bookmark.
    Bookmark(Bookmark),
    /// The watch failed on the server. This is the last event of the watch.
    Error(Box<Status>),
}

impl<K> WatchEvent<K> {
    /// The object of an `Added`, `Modified` or `Deleted` event; `None` for other events.
    pub fn object(&self) -> Option<&K> {
        match self {
            Self::Added(object) | Self::Modified(object) | Self::Deleted(object) => Some(object),
            Self::Bookmark(_) | Self::Error(_) => None,
        }
    }

    /// The same event with a transformed object.
    pub fn map<T>(self, f: impl FnOnce(K) -> T) -> WatchEvent<T> {
        match self {
            Self::Added(object) => WatchEvent::Added(f(object)),
            Self::Modified(object) => WatchEvent::Modified(f(object)),
            Self::Deleted(object) => WatchEvent::Deleted(f(object)),
            Self::Bookmark(bookmark) => WatchEvent::Bookmark(bookmark),
            Self::Error(status) => WatchEvent::Error(status),
        }
    }
}

/// Omits the object, which may contain secrets.
impl<K> fmt::Debug for WatchEvent<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(_) => f.write_str("Added event"),
            Self::Modified(_) => f.write_str("Modified event"),
            Self::Deleted(_) => f.write_str("Deleted event"),
            Self::Bookmark(bookmark) => f.debug_tuple("Bookmark").field(bookmark).finish(),
            Self::Error(status) => f.debug_tuple("Error").field(status).finish(),
        }
    }
}

/// The object of a `BOOKMARK` event. The object contains only `apiVersion`, `kind`, a resource version and annotations.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
pub struct Bookmark {
    /// `apiVersion` and `kind` of the watched objects.
    #[serde(flatten)]
    pub types: TypeMeta,
    /// The resource version, and annotations.
    pub metadata: BookmarkMeta,
}

impl Bookmark {
    /// Whether this bookmark marks the end of the initial events of a WatchList (KEP-3157).
    pub fn ends_initial_events(&self) -> bool {
        self.metadata.annotations.get("k8s.io/initial-events-end").is_some_and(|value| value == "true")
    }
}

/// The metadata of a [`Bookmark`].
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BookmarkMeta {
    /// The resource version from which a watch can resume.
    pub resource_version: String,
    /// Annotations, such as `k8s.io/initial-events-end`.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}
