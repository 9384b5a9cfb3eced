//! `Error`: the failures of a watcher. The watcher recovers from each failure.

use kube_client::core::{Status, UndecodableObject};
use std::{error::Error as StdError, fmt, sync::Arc};

/// A result whose error defaults to [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of a watcher. The watcher continues after every failure.
///
/// The `Display` text contains the failure and its cause, so `warn!("{error}")` is a complete message. `source()`
/// therefore skips the cause and returns the source of the cause, so that a printed chain of errors repeats no message.
/// The variant's field contains the cause.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A list failed: the initial list or a relist.
    InitialListFailed {
        /// The path of the collection.
        resource: String,
        /// The error of the list.
        source: kube_client::Error,
    },
    /// The watch could not be opened.
    WatchStartFailed {
        /// The path of the collection.
        resource: String,
        /// The error of the watch request.
        source: kube_client::Error,
    },
    /// The server ended the watch with an error.
    WatchError {
        /// The path of the collection.
        resource: String,
        /// The status that the server sent.
        status: Box<Status>,
    },
    /// The connection of an open watch broke, or the response body is not a valid watch.
    WatchFailed {
        /// The path of the collection.
        resource: String,
        /// The error of the response body.
        source: kube_client::Error,
    },
    /// The server ended the watch immediately, without an event.
    WatchTooShort {
        /// The path of the collection.
        resource: String,
    },
    /// The list has no resource version from which a watch can start.
    NoResourceVersion {
        /// The path of the collection.
        resource: String,
    },
    /// The server's storage was restored to an earlier state, which does not contain all changes that the watcher has
    /// received. The watcher relists.
    StorageRestored {
        /// The path of the collection.
        resource: String,
        /// The resource version up to which the watcher had received every change.
        seen: String,
        /// The server's current resource version.
        current: String,
    },
    /// An object could not be decoded, or has no name. The watcher continues without a wait.
    Object(Box<UndecodableObject>),
    /// A failure of a watcher that has several subscribers, for instance the watcher of a
    /// [`SharedInformer`](crate::informer::SharedInformer). Each subscriber receives the failure.
    Shared(Arc<Error>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InitialListFailed { resource, source } => write!(f, "cannot list {resource}: {source}"),
            Self::WatchStartFailed { resource, source } => {
                write!(f, "cannot open a watch of {resource}: {source}")
            }
            Self::WatchError { resource, status } => {
                write!(f, "the watch of {resource} failed: {status}")
            }
            Self::WatchFailed { resource, source } => write!(f, "the watch of {resource} failed: {source}"),
            Self::WatchTooShort { resource } => {
                write!(f, "the watch of {resource} failed: the server ended it at once and without an event")
            }
            Self::NoResourceVersion { resource } => {
                write!(f, "cannot watch {resource}: the list has no resource version")
            }
            Self::StorageRestored { resource, seen, current } => write!(
                f,
                "the watch of {resource} failed: the server's version {current} is older than {seen}, the last version received: \
                 its storage was restored"
            ),
            Self::Object(object) => write!(f, "{object}"),
            Self::Shared(error) => write!(f, "{error}"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::InitialListFailed { source, .. }
            | Self::WatchStartFailed { source, .. }
            | Self::WatchFailed { source, .. } => source.source(),
            Self::WatchError { status, .. } => status.source(),
            Self::Object(object) => object.source(),
            Self::Shared(error) => error.source(),
            Self::WatchTooShort { .. } | Self::NoResourceVersion { .. } | Self::StorageRestored { .. } => {
                None
            }
        }
    }
}

impl From<Box<UndecodableObject>> for Error {
    fn from(object: Box<UndecodableObject>) -> Self {
        Self::Object(object)
    }
}

impl Error {
    /// The undecodable object, if this is [`Error::Object`] or an [`Error::Shared`] that contains one.
    pub fn undecodable(&self) -> Option<&UndecodableObject> {
        match self {
            Self::Object(object) => Some(object),
            Self::Shared(error) => error.undecodable(),
            _ => None,
        }
    }

    /// The server's status, if the server reported the failure.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::InitialListFailed { source, .. }
            | Self::WatchStartFailed { source, .. }
            | Self::WatchFailed { source, .. } => source.status(),
            Self::WatchError { status, .. } => Some(status),
            Self::Shared(error) => error.status(),
            Self::WatchTooShort { .. }
            | Self::NoResourceVersion { .. }
            | Self::StorageRestored { .. }
            | Self::Object(_) => None,
        }
    }
}

/// The name of the type `K`, without its path and its generic parameters. Errors about objects contain this name.
pub(crate) fn type_name_of<K>() -> &'static str {
    let path = std::any::type_name::<K>().split('<').next().unwrap_or_default();
    path.rsplit("::").next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube_client::{Error as ClientError, TransportKind};

    #[test]
    fn display_contains_the_cause_but_no_text_of_the_source_chain() {
        let resource = || "/api/v1/pods".to_owned();
        let source = || ClientError::Transport {
            kind: TransportKind::Broken,
            what: "GET /api/v1/pods: the connection broke".into(),
            source: Some("reset by peer".into()),
        };
        let status = Status::failure("because", "InternalError").with_code(500).boxed();
        let json = serde_json::from_str::<u8>("{}").unwrap_err();
        let object = UndecodableObject::new("Pod", kube_client::core::ObjectOrigin::List, json);
        let errors = [
            (
                Error::InitialListFailed { resource: resource(), source: source() },
                "cannot",
                "the connection broke",
            ),
            (
                Error::WatchStartFailed { resource: resource(), source: source() },
                "cannot",
                "the connection broke",
            ),
            (Error::WatchFailed { resource: resource(), source: source() }, "failed", "the connection broke"),
            (Error::WatchError { resource: resource(), status }, "failed", "because"),
            (Error::WatchTooShort { resource: resource() }, "at once", ""),
            (Error::NoResourceVersion { resource: resource() }, "cannot", "no resource version"),
            (
                Error::StorageRestored { resource: resource(), seen: "7".into(), current: "3".into() },
                "failed",
                "version 3 is older than 7",
            ),
            (Error::Object(object.into()), "decode Pod", ""),
        ];
        for (error, failure, cause) in errors {
            let text = error.to_string();
            assert!(text.contains(failure) && text.contains(cause), "{text}");
            let mut cause = error.source();
            while let Some(error) = cause {
                assert!(!text.contains(&error.to_string()), "{text} repeats {error}");
                cause = error.source();
            }
        }
    }
}
