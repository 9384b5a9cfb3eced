//! `Trigger`: the request to reconcile an object, and its cause.

use super::key::Key;
use crate::queue::Priority;
use crate::reflector::Cause;
use std::{fmt, sync::Arc};

/// The request to reconcile an object: its key, the cause and the priority.
///
/// ```
/// use kube_runtime::controller::{Key, Priority, ReconcileReason, Trigger};
///
/// let trigger = Trigger::new(Key::new(Some("prod"), "web")).priority(Priority::LOW);
/// assert!(matches!(trigger.reason, ReconcileReason::Unknown));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Trigger {
    /// The key of the object to reconcile.
    pub key: Key,
    /// The cause of the reconcile.
    pub reason: ReconcileReason,
    /// The priority in the work queue.
    pub priority: Priority,
    /// Whether the object was deleted. If so, the work queue forgets the key.
    pub(super) forgets: bool,
}

impl Trigger {
    /// A request with an unknown cause and the default priority.
    pub fn new(key: Key) -> Self {
        Self { key, reason: ReconcileReason::Unknown, priority: Priority::DEFAULT, forgets: false }
    }

    /// A trigger that reports the deletion of the object, and requests no reconcile. The work queue drops the earlier
    /// requests and scheduled requeues of the key, and resets its count of failures. A later request for the key concerns
    /// a new object with the same name.
    pub fn forget(key: Key) -> Self {
        Self { forgets: true, ..Self::new(key) }
    }

    /// Sets the cause.
    #[must_use]
    pub fn because(mut self, reason: ReconcileReason) -> Self {
        self.reason = reason;
        self
    }

    /// Sets the priority.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }
}

/// The priority of a change with this cause: the objects of the first snapshot have a low priority. A change that a
/// relist finds has the default priority, as in controller-runtime.
pub(super) fn priority_of(cause: Cause) -> Priority {
    match cause {
        Cause::Initial => Priority::LOW,
        Cause::Relist | Cause::Watch | Cause::Vanished => Priority::DEFAULT,
    }
}

/// The cause of a reconcile. The span of the reconcile contains it as `object.reason`.
///
/// If several changes cause one reconcile, the work queue keeps only the first cause with the highest priority: a
/// reconciler must not depend on the cause.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ReconcileReason {
    /// A trigger without a cause, such as that of [`Controller::reconcile_on`](crate::Controller::reconcile_on).
    Unknown,
    /// The object was added or modified.
    ObjectUpdated,
    /// The object was deleted; see [`Controller::on_deletion`](crate::Controller::on_deletion).
    ObjectDeleted,
    /// An owned or watched object was added, modified or deleted.
    RelatedObjectUpdated {
        /// The owned or watched object.
        obj_ref: RelatedObject,
    },
    /// The reconciler returned an action that requeues the object.
    ReconcilerRequestedRetry,
    /// The error policy returned an action that requeues the object, the reconcile panicked or timed out, or the
    /// deletion handler failed.
    ErrorPolicyRequestedRetry,
    /// All objects are reconciled; see [`Controller::reconcile_all_on`](crate::Controller::reconcile_all_on).
    BulkReconcile,
    /// Another cause, for the triggers of a source that the program implements; see [`Trigger::because`].
    Custom {
        /// The description of the cause.
        reason: String,
    },
}

impl fmt::Display for ReconcileReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::ObjectUpdated => f.write_str("the object changed"),
            Self::ObjectDeleted => f.write_str("the object was deleted"),
            Self::RelatedObjectUpdated { obj_ref } => write!(f, "{obj_ref} changed"),
            Self::ReconcilerRequestedRetry => f.write_str("requeued by the reconciler"),
            Self::ErrorPolicyRequestedRetry => f.write_str("requeued after a failure"),
            Self::BulkReconcile => f.write_str("all objects are reconciled"),
            Self::Custom { reason } => f.write_str(reason),
        }
    }
}

/// An owned or watched object that caused a reconcile. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelatedObject {
    /// The name of the source, such as the path of the object's collection or the kind of the object.
    pub resource: Arc<str>,
    /// The key of the object.
    pub key: Key,
}

impl RelatedObject {
    /// The object with this key in a collection.
    pub fn new(resource: Arc<str>, key: Key) -> Self {
        Self { resource, key }
    }
}

impl fmt::Display for RelatedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.key, self.resource)
    }
}
