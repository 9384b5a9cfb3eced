//! `Error`: what keeps a watcher from going on for a while.

use kube_client::core::{Status, UndecodableObject};

/// The result of whatever watches.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong while watching. The watcher goes on after each of these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The present state could not be listed.
    #[error("list {resource}")]
    InitialListFailed {
        /// The path of the collection.
        resource: String,
        /// Why.
        #[source]
        source: kube_client::Error,
    },
    /// The watch could not be opened.
    #[error("open a watch of {resource}")]
    WatchStartFailed {
        /// The path of the collection.
        resource: String,
        /// Why.
        #[source]
        source: kube_client::Error,
    },
    /// The server ended the watch with an error.
    #[error("watch {resource}")]
    WatchError {
        /// The path of the collection.
        resource: String,
        /// What the server said.
        #[source]
        status: Box<Status>,
    },
    /// The connection of an open watch broke, or what came over it is no watch.
    #[error("watch {resource}")]
    WatchFailed {
        /// The path of the collection.
        resource: String,
        /// Why.
        #[source]
        source: kube_client::Error,
    },
    /// The server ends watches as soon as they are open, without an event.
    #[error("watch {resource}: the server ended the watch at once and without an event")]
    WatchTooShort {
        /// The path of the collection.
        resource: String,
    },
    /// The list has no resource version from which it could be watched.
    #[error("list {resource}: the answer has no resource version")]
    NoResourceVersion {
        /// The path of the collection.
        resource: String,
    },
    /// The server's storage was restored to an earlier state: what was seen since then has not happened. The watcher lists anew.
    #[error("watch {resource}: the server is at version {current}, older than {seen}, which was seen before")]
    StorageRestored {
        /// The path of the collection.
        resource: String,
        /// The version up to which the watcher had seen every change.
        seen: String,
        /// The server's current version.
        current: String,
    },
    /// One object does not decode. It concerns this object alone: nothing waits, and the watch goes on.
    #[error(transparent)]
    Object(#[from] Box<UndecodableObject>),
}

impl Error {
    /// The object that does not decode, if that is what went wrong.
    pub fn undecodable(&self) -> Option<&UndecodableObject> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// What the server said, if it was the server that failed.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::InitialListFailed { source, .. }
            | Self::WatchStartFailed { source, .. }
            | Self::WatchFailed { source, .. } => source.status(),
            Self::WatchError { status, .. } => Some(status),
            Self::WatchTooShort { .. }
            | Self::NoResourceVersion { .. }
            | Self::StorageRestored { .. }
            | Self::Object(_) => None,
        }
    }
}
