//! `Error`: the failure of one step of a reconcile with a finalizer.

use crate::controller::ConcurrentChange;
use kube_client::BoxError;
use std::{error::Error as StdError, fmt, marker::PhantomData};

/// The failure of a reconcile with a finalizer. `E` is the error type of the reconciler.
///
/// The type implements [`std::error::Error`] for each `E`, so that reconcilers may return `anyhow::Error` or a boxed
/// error. The `Display` text names the step and the object, and `source()` returns the cause. An
/// [`UnnamedObject`](Error::UnnamedObject) error has no cause, and its text names the collection.
#[non_exhaustive]
pub enum Error<E = BoxError> {
    /// The reconciler returned an error for [`Event::Apply`](super::Event::Apply).
    ApplyFailed {
        /// The path of the object.
        object: String,
        /// The error of the reconciler.
        source: ReconcileError<E>,
    },
    /// The reconciler returned an error for [`Event::Cleanup`](super::Event::Cleanup). The object keeps the finalizer.
    CleanupFailed {
        /// The path of the object.
        object: String,
        /// The error of the reconciler.
        source: ReconcileError<E>,
    },
    /// The finalizer could not be added. The reconciler was not called.
    AddFinalizer {
        /// The path of the object.
        object: String,
        /// The failure of the request.
        source: kube_client::Error,
    },
    /// The finalizer could not be removed after a successful cleanup. The next reconcile repeats the cleanup.
    RemoveFinalizer {
        /// The path of the object.
        object: String,
        /// The failure of the request.
        source: kube_client::Error,
    },
    /// Other clients changed the finalizers of the object during each attempt. Reconcile the object again.
    Conflict {
        /// The path of the object.
        object: String,
        /// The finalizer to add or remove.
        finalizer: String,
    },
    /// The object has no name. Objects from a server always have a name.
    UnnamedObject {
        /// The path of the collection.
        resource: String,
    },
}

impl<E> Error<E> {
    /// Whether concurrent changes of the object caused the failure. If `true`, reconcile the object again.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }

    /// Whether the same reconcile may succeed later without a change of the object. Returns `true` for a conflict, and
    /// for a failed request of this module that [may be retried](kube_client::Error::is_retryable). Returns `false` for
    /// errors of the reconciler.
    pub fn is_retryable(&self) -> bool {
        self.is_conflict() || self.request_error().is_some_and(kube_client::Error::is_retryable)
    }

    /// The failed request of [`AddFinalizer`](Error::AddFinalizer) or [`RemoveFinalizer`](Error::RemoveFinalizer); `None`
    /// for another failure.
    pub fn request_error(&self) -> Option<&kube_client::Error> {
        match self {
            Self::AddFinalizer { source, .. } | Self::RemoveFinalizer { source, .. } => Some(source),
            _ => None,
        }
    }

    /// The error of the reconciler; `None` for another failure.
    pub fn reconcile_error(&self) -> Option<&ReconcileError<E>> {
        match self {
            Self::ApplyFailed { source, .. } | Self::CleanupFailed { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl<E> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApplyFailed { object, .. } => write!(f, "cannot apply {object}"),
            Self::CleanupFailed { object, .. } => write!(f, "cannot clean up {object}"),
            Self::AddFinalizer { object, .. } => write!(f, "cannot add the finalizer to {object}"),
            Self::RemoveFinalizer { object, .. } => write!(f, "cannot remove the finalizer from {object}"),
            Self::Conflict { object, finalizer } => write!(
                f,
                "cannot change the finalizer {finalizer} of {object}: its finalizers changed during each attempt; reconcile it \
                 again"
            ),
            Self::UnnamedObject { resource } => {
                write!(f, "cannot reconcile an object of {resource}: it has no name")
            }
        }
    }
}

impl<E> fmt::Debug for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variant = match self {
            Self::ApplyFailed { .. } => "ApplyFailed",
            Self::CleanupFailed { .. } => "CleanupFailed",
            Self::AddFinalizer { .. } => "AddFinalizer",
            Self::RemoveFinalizer { .. } => "RemoveFinalizer",
            Self::Conflict { .. } => "Conflict",
            Self::UnnamedObject { .. } => "UnnamedObject",
        };
        let mut debug = f.debug_struct(variant);
        debug.field("message", &self.to_string());
        if let Some(source) = self.source() {
            debug.field("source", &source);
        }
        debug.finish()
    }
}

impl<E> StdError for Error<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::ApplyFailed { source, .. } | Self::CleanupFailed { source, .. } => Some(&*source.error),
            Self::AddFinalizer { source, .. } | Self::RemoveFinalizer { source, .. } => Some(source),
            // A controller recognises a conflict by this source.
            Self::Conflict { .. } => Some(&ConcurrentChange),
            Self::UnnamedObject { .. } => None,
        }
    }
}

/// The error of a reconciler, boxed so that `E` may be a type that does not implement [`std::error::Error`].
pub struct ReconcileError<E> {
    error: BoxError,
    reconciler: PhantomData<fn() -> E>,
}

impl<E> ReconcileError<E> {
    /// The error as a trait object.
    pub fn as_dyn(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.error
    }

    /// The error as a box.
    pub fn into_inner(self) -> BoxError {
        self.error
    }
}

impl<E: StdError + 'static> ReconcileError<E> {
    /// The error of the reconciler, as its type `E`. Returns `None` if `Into<BoxError>` has converted the
    /// error into another type.
    pub fn downcast(&self) -> Option<&E> {
        self.error.downcast_ref()
    }
}

impl<E> From<BoxError> for ReconcileError<E> {
    fn from(error: BoxError) -> Self {
        Self { error, reconciler: PhantomData }
    }
}

impl<E> fmt::Display for ReconcileError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl<E> fmt::Debug for ReconcileError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}
