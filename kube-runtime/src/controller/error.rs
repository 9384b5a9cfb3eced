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
    /// A watch has failed; it heals itself.
    #[error("watch for changes to reconcile")]
    QueueError(#[source] watcher::Error),
}
