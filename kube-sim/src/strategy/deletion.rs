//! `DeletionStrategy`: the part of a kind's strategy that applies to deletions.

use serde_json::Value;

/// The behaviour of a kind when one of its objects is deleted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeletionStrategy {
    /// Whether the response to a deletion is the object instead of a `Status`.
    pub(crate) returns_object: bool,
    /// Whether the default propagation policy is `Orphan`.
    pub(crate) orphans_by_default: bool,
    /// Returns the grace period of an object in seconds (`CheckGracefulDelete`). The second argument is the requested
    /// grace period. The field is `None` if the kind has no grace period.
    pub(crate) grace_period: Option<fn(&Value, Option<i64>) -> i64>,
    /// Whether objects of the kind can have finalizers in `spec.finalizers`, in addition to `metadata.finalizers`.
    pub(crate) has_spec_finalizers: bool,
    /// Marks an object for deletion; a controller of the API server removes the object later. The first
    /// deletion of an object calls this function instead of handling finalizers and grace periods. A repeated
    /// deletion does not call it. The second argument is the current time as `metav1.Time`. Only
    /// CustomResourceDefinitions have this function; the field is `None` for other kinds.
    pub(crate) defer: Option<fn(&mut Value, &str)>,
    /// Changes further fields of an object after its `deletionTimestamp` is set. For example, the phase of a
    /// `Namespace` becomes `Terminating`. One write stores all these changes.
    pub(crate) mark: fn(&mut Value),
}

impl DeletionStrategy {
    /// An object without finalizers is deleted immediately, and the response is a `Status`.
    pub(crate) const DEFAULT: Self = Self {
        returns_object: false,
        orphans_by_default: false,
        grace_period: None,
        has_spec_finalizers: false,
        defer: None,
        mark: |_| {},
    };

    /// The response to a deletion is the object.
    pub(crate) const RETURNS_OBJECT: Self = Self { returns_object: true, ..Self::DEFAULT };

    /// The default propagation policy is `Orphan`.
    pub(crate) const ORPHANS_BY_DEFAULT: Self = Self { orphans_by_default: true, ..Self::DEFAULT };

    /// The grace period of an object in seconds; 0 if the kind has no grace period.
    pub(crate) fn grace_seconds(&self, object: &Value, requested: Option<i64>) -> i64 {
        self.grace_period.map_or(0, |grace| grace(object, requested))
    }

    /// Whether the spec of an object has a finalizer, which defers the removal of the object.
    pub(crate) fn is_deferred_by_spec(&self, object: &Value) -> bool {
        self.has_spec_finalizers
            && object["spec"]["finalizers"].as_array().is_some_and(|list| !list.is_empty())
    }
}
