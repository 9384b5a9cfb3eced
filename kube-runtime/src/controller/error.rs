//! `Error`: the failures that a controller reports.

use crate::reflector::ObjectRef;
use crate::watcher;
use kube_client::BoxError;
use kube_client::core::DynamicObject;
use std::{fmt, time::Duration};

/// A failure in a controller. The controller shuts down after [`GateDropped`](Error::GateDropped) and
/// [`SourcesEnded`](Error::SourcesEnded); no other failure ends the controller.
///
/// The `Display` text contains the failure and its cause, so `warn!("{error}")` is a complete message. `source()`
/// therefore skips the cause and returns the source of the cause, so that a printed chain of errors repeats no message.
/// If the cause is an error, a field of the variant contains it.
///
/// `E` is the error of the reconciler. `Q` is the error of the sources: [`watcher::Error`] for a
/// [`Controller`](crate::Controller).
#[derive(Debug)]
#[non_exhaustive]
pub enum Error<E: std::error::Error + 'static, Q = watcher::Error> {
    /// The reconciler returned an error that is not a conflict.
    ReconcilerFailed(E, Box<ObjectRef<DynamicObject>>),
    /// Code of the user panicked with this message: the reconciler, the error policy, the deletion handler, or a method
    /// of an error that the reconciler or the deletion handler returned. The object is requeued after the backoff.
    ReconcilerPanicked(Box<ObjectRef<DynamicObject>>, String),
    /// The reconcile, or the deletion handler, took longer than
    /// [`Config::reconcile_timeout`](super::Config::reconcile_timeout), and its future was dropped. The object is
    /// requeued after the backoff.
    ReconcilerTimedOut(Box<ObjectRef<DynamicObject>>, Duration),
    /// The handler of [`Controller::on_deletion`](crate::Controller::on_deletion) returned an error. Unless the error
    /// is a terminal error, the handler is called again after the backoff.
    DeletionFailed(BoxError, Box<ObjectRef<DynamicObject>>),
    /// A shutdown cancelled an in-flight reconcile or deletion handler, after
    /// [`Config::drain_timeout`](super::Config::drain_timeout) or at a second signal.
    ReconcilerCancelled(Box<ObjectRef<DynamicObject>>),
    /// The mapper of [`Controller::watches`](crate::Controller::watches), or a handler or filter of a source, panicked
    /// for a changed object. The source continues.
    MapperPanicked {
        /// The path of the watched collection, or the name of the source.
        resource: String,
        /// The changed object, as `namespace/name` or `name`. The text is `an object` after a panic in a handler other
        /// than a mapper, or in a filter of [`Changes::of_stream`](super::Changes::of_stream).
        object: String,
        /// The message of the panic.
        message: String,
    },
    /// The handle of a [`Gate`](super::Gate), or the writer of a store that is not complete, was dropped: no
    /// reconcile can start again, and the controller shuts down.
    GateDropped {
        /// The name of the gate.
        gate: String,
    },
    /// The first snapshot of a kind is not complete after [`Config::sync_timeout`](super::Config::sync_timeout), and no
    /// reconcile has started. Perhaps the kind does not exist, or its list is forbidden. Earlier items of the stream contain
    /// the failures of the watch. The controller continues, and reconciles start when the snapshot is complete.
    SyncTimeout {
        /// The name of the store. The name of the controller's own store is the controller's kind. The name of another
        /// source's store is, for instance, the path of the collection.
        resource: String,
        /// The value of [`Config::sync_timeout`](super::Config::sync_timeout).
        limit: Duration,
    },
    /// All sources of the controller have ended, so no further change can arrive. For example, a source that
    /// reads a finite stream ends with the stream. The controller has reconciled the queued objects, drops
    /// scheduled requeues, and shuts down.
    SourcesEnded,
    /// A watch failed. The watcher recovers automatically.
    QueueError(Q),
}

impl<E: std::error::Error + 'static, Q: fmt::Display> fmt::Display for Error<E, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReconcilerFailed(error, object) => write!(f, "cannot reconcile {object}: {error}"),
            Self::ReconcilerPanicked(object, message) => {
                write!(f, "cannot reconcile {object}: the reconciler panicked: {message}")
            }
            Self::ReconcilerTimedOut(object, limit) => {
                write!(f, "cannot reconcile {object}: the reconcile did not end within {limit:?}")
            }
            Self::DeletionFailed(error, object) => {
                write!(f, "cannot handle the deletion of {object}: {error}")
            }
            Self::ReconcilerCancelled(object) => {
                write!(f, "the reconcile of {object} was cancelled: it did not end in time for the shutdown")
            }
            Self::MapperPanicked { resource, object, message } => write_panic(f, resource, object, message),
            Self::GateDropped { gate } => {
                write!(f, "cannot start reconciles: the handle of the gate {gate} was dropped")
            }
            Self::SyncTimeout { resource, limit } => {
                write!(f, "no reconcile has started: the list of {resource} is not complete after {limit:?}")
            }
            Self::SourcesEnded => {
                f.write_str("all sources of the controller have ended: no object can change, shutting down")
            }
            Self::QueueError(error) => write!(f, "{error}"),
        }
    }
}

impl<E, Q> std::error::Error for Error<E, Q>
where
    E: std::error::Error + 'static,
    Q: std::error::Error + 'static,
{
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::ReconcilerFailed(error, _) => error.source(),
            Self::QueueError(error) => error.source(),
            Self::DeletionFailed(error, _) => error.source(),
            Self::ReconcilerPanicked(..)
            | Self::ReconcilerTimedOut(..)
            | Self::ReconcilerCancelled(_)
            | Self::MapperPanicked { .. }
            | Self::SyncTimeout { .. }
            | Self::SourcesEnded
            | Self::GateDropped { .. } => None,
        }
    }
}

impl<E: std::error::Error + 'static> From<SourceError> for Error<E> {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Watch(error) => Self::QueueError(error),
            SourceError::MapperPanicked { resource, object, message } => {
                Self::MapperPanicked { resource, object, message }
            }
        }
    }
}

/// A failure of a [`Source`](super::Source). Unlike [`Error`], this type has no parameter for the error of the
/// reconciler. The controller reports a `SourceError` as the variant of [`Error`] with the same meaning.
#[derive(Debug)]
#[non_exhaustive]
pub enum SourceError {
    /// A watch failed; see [`Error::QueueError`].
    Watch(watcher::Error),
    /// A mapper, a handler or a filter panicked; see [`Error::MapperPanicked`].
    MapperPanicked {
        /// The path of the watched collection, or the name of the source.
        resource: String,
        /// The changed object, as `namespace/name` or `name`. The text is `an object` after a panic in a handler other
        /// than a mapper, or in a filter of [`Changes::of_stream`](super::Changes::of_stream).
        object: String,
        /// The message of the panic.
        message: String,
    },
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Watch(error) => write!(f, "{error}"),
            Self::MapperPanicked { resource, object, message } => write_panic(f, resource, object, message),
        }
    }
}

impl std::error::Error for SourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Watch(error) => error.source(),
            Self::MapperPanicked { .. } => None,
        }
    }
}

/// Writes the text of a panic in a mapper, a handler or a filter.
fn write_panic(f: &mut fmt::Formatter<'_>, resource: &str, object: &str, message: &str) -> fmt::Result {
    write!(f, "cannot map {object} of {resource} to the objects to reconcile: the mapper panicked: {message}")
}

impl From<watcher::Error> for SourceError {
    fn from(error: watcher::Error) -> Self {
        Self::Watch(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube_client::core::{ApiResource, GroupVersionKind};
    use std::error::Error as _;

    #[test]
    fn the_text_contains_the_failure_and_its_cause_but_not_the_text_of_the_source() {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod"));
        let object = || Box::new(ObjectRef::<DynamicObject>::new_with("a", kind.clone()));
        let mapper = ("/api/v1/pods".to_owned(), "n/b".to_owned(), "boom".to_owned());
        let watch = watcher::Error::WatchTooShort { resource: "/api/v1/pods".into() };
        let errors = [
            (Error::ReconcilerFailed(fmt::Error, object()), "cannot reconcile", "an error occurred"),
            (Error::ReconcilerPanicked(object(), "boom".into()), "cannot reconcile", "boom"),
            (Error::ReconcilerTimedOut(object(), Duration::from_secs(9)), "cannot reconcile", "within 9s"),
            (Error::ReconcilerCancelled(object()), "cancelled", "shutdown"),
            (
                Error::MapperPanicked { resource: mapper.0, object: mapper.1, message: mapper.2 },
                "cannot map n/b",
                "boom",
            ),
            (Error::GateDropped { gate: "leadership".into() }, "cannot start", "gate leadership"),
            (
                Error::SyncTimeout { resource: "/api/v1/pods".into(), limit: Duration::from_secs(120) },
                "/api/v1/pods",
                "120s",
            ),
            (Error::SourcesEnded, "sources", "shutting down"),
            (Error::QueueError(watch), "the watch of /api/v1/pods failed", ""),
        ];
        for (error, failure, cause) in errors {
            let text = error.to_string();
            assert!(text.contains(failure) && text.contains(cause), "{text}");
            assert!(error.source().is_none_or(|cause| !text.contains(&cause.to_string())), "{text}");
        }
    }
}
