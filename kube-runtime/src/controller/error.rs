//! `Error`: what a controller tells while it goes on.

use crate::reflector::ObjectRef;
use crate::watcher;
use kube_client::core::DynamicObject;

/// What went wrong in a controller, which goes on by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error<E: std::error::Error + 'static> {
    /// The reconciler returned an error.
    #[error("reconcile {1}")]
    ReconcilerFailed(#[source] E, Box<ObjectRef<DynamicObject>>),
    /// The reconciler, or the error policy, panicked; the object is tried again after a wait.
    #[error("reconcile {0}: the reconciler panicked: {1}")]
    ReconcilerPanicked(Box<ObjectRef<DynamicObject>>, String),
    /// A shutdown did not wait any longer for a reconcile, and cancelled it.
    #[error("reconcile {0}: cancelled, since it did not end in time for the shutdown")]
    ReconcilerCancelled(Box<ObjectRef<DynamicObject>>),
    /// The mapper of [`Controller::watches`](crate::Controller::watches) panicked for this object. The watch goes on.
    #[error("map {object} of {resource} to the objects to reconcile: the mapper panicked: {message}")]
    MapperPanicked {
        /// The path of the watched collection.
        resource: String,
        /// The watched object, as `namespace/name` or `name`.
        object: String,
        /// The message of the panic.
        message: String,
    },
    /// A watch has failed; it heals itself.
    #[error("watch for changes to reconcile")]
    QueueError(#[source] watcher::Error),
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

/// A failure of a source, before the type of the reconciler's error is known.
#[derive(Debug)]
pub(super) enum SourceError {
    Watch(watcher::Error),
    MapperPanicked { resource: String, object: String, message: String },
}

impl From<watcher::Error> for SourceError {
    fn from(error: watcher::Error) -> Self {
        Self::Watch(error)
    }
}
