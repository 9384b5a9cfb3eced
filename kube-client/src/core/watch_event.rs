//! `WatchEvent`: one event of a watch.

use super::{Status, TypeMeta, null::null_as_default};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// One event of a watch (`meta/v1 WatchEvent`).
///
/// This is what the server sends, and what an informer hands to its user.
#[derive(Deserialize, Serialize, Clone, PartialEq)]
#[serde(tag = "type", content = "object", rename_all = "UPPERCASE")]
pub enum WatchEvent<K> {
    /// The object is new, or new to this watch.
    Added(K),
    /// The object has changed.
    Modified(K),
    /// The object is gone; this is its last known state.
    Deleted(K),
    /// Nothing has happened up to a resource version.
    Bookmark(Bookmark),
    /// The watch has failed on the server's side and ends.
    Error(Box<Status>),
}

impl<K> WatchEvent<K> {
    /// The object that the event is about, if it is about one.
    pub fn object(&self) -> Option<&K> {
        match self {
            Self::Added(object) | Self::Modified(object) | Self::Deleted(object) => Some(object),
            Self::Bookmark(_) | Self::Error(_) => None,
        }
    }

    /// The same event about a transformed object.
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

/// Without the object, which may hold secrets.
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

/// An object that carries nothing but a resource version.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
pub struct Bookmark {
    /// The kind that is being watched.
    #[serde(flatten)]
    pub types: TypeMeta,
    /// The resource version, and annotations.
    pub metadata: BookmarkMeta,
}

impl Bookmark {
    /// Whether this bookmark closes the initial events of a WatchList (KEP-3157).
    pub fn ends_initial_events(&self) -> bool {
        self.metadata.annotations.get("k8s.io/initial-events-end").is_some_and(|value| value == "true")
    }
}

/// The metadata of a [`Bookmark`].
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BookmarkMeta {
    /// The version up to which nothing is missing.
    pub resource_version: String,
    /// Annotations, such as the one that closes initial events.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}
