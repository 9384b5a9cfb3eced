//! Parameters of a deletion: the body of the request (`meta/v1 DeleteOptions`).

use super::Seconds;
use serde::{Serialize, Serializer};

/// Parameters of a deletion.
///
/// ```
/// use kube_core::DeleteParams;
/// use std::time::Duration;
///
/// let dp = DeleteParams::foreground().grace_period(Duration::from_secs(5));
/// assert!(!dp.dry_run);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteParams {
    /// Whether the server only checks the request and deletes nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not", serialize_with = "serialize_dry_run")]
    pub dry_run: bool,
    /// The grace period of the deletion in seconds; `None` for the kind's default, 0 for immediate deletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_period_seconds: Option<u32>,
    /// The propagation policy: how the garbage collector handles the owned objects; `None` for the kind's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagation_policy: Option<PropagationPolicy>,
    /// Conditions that the object must meet; `None` for an unconditional deletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preconditions: Option<Preconditions>,
}

impl DeleteParams {
    /// Creates the parameters of a background deletion: the object is deleted first, then its owned objects.
    pub fn background() -> Self {
        Self { propagation_policy: Some(PropagationPolicy::Background), ..Self::default() }
    }

    /// Creates the parameters of a foreground deletion: the owned objects are deleted first, then the object.
    pub fn foreground() -> Self {
        Self { propagation_policy: Some(PropagationPolicy::Foreground), ..Self::default() }
    }

    /// Creates the parameters of a deletion that keeps the owned objects of the deleted object.
    pub fn orphan() -> Self {
        Self { propagation_policy: Some(PropagationPolicy::Orphan), ..Self::default() }
    }

    /// Sets `dry_run`: the server checks the request but deletes nothing.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// Sets the grace period: a `Duration`, rounded up to whole seconds, or a number of seconds (`u32`).
    #[must_use]
    pub fn grace_period(mut self, period: impl Seconds) -> Self {
        let seconds = super::whole_seconds(period.into_duration());
        self.grace_period_seconds = Some(u32::try_from(seconds).unwrap_or(u32::MAX));
        self
    }

    /// Sets the preconditions of the deletion.
    #[must_use]
    pub fn preconditions(mut self, preconditions: Preconditions) -> Self {
        self.preconditions = Some(preconditions);
        self
    }

    /// Whether all parameters have their default values. If so, the request needs no body.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Conditions of a deletion (`meta/v1 Preconditions`). If the object does not meet a condition, the server returns 409
/// Conflict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preconditions {
    /// The resource version that the object must have; `None` for any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
    /// The uid that the object must have; `None` for any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// How the garbage collector handles the objects that a deleted object owns.
///
/// See [cascading deletion](https://kubernetes.io/docs/concepts/architecture/garbage-collection/#cascading-deletion).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum PropagationPolicy {
    /// Keeps the owned objects.
    Orphan,
    /// Deletes the owned objects after their owner.
    Background,
    /// Deletes the owned objects before their owner.
    Foreground,
}

/// Serializes `dry_run: true` as the list `["All"]`, the format of `DeleteOptions`. serde skips the field, and does not
/// call this function, if `dry_run` is false.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands serialize_with a reference")]
fn serialize_dry_run<S: Serializer>(_: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(["All"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn delete_params_serialize_as_delete_options() {
        let dp = DeleteParams::foreground()
            .dry_run()
            .grace_period(Duration::from_millis(1500))
            .preconditions(Preconditions { uid: Some("u".into()), ..Preconditions::default() });
        let expected = json!({"dryRun": ["All"], "gracePeriodSeconds": 2, "propagationPolicy": "Foreground",
            "preconditions": {"uid": "u"}});
        assert_eq!(serde_json::to_value(dp).unwrap(), expected);
        assert_eq!(serde_json::to_value(DeleteParams::default()).unwrap(), json!({}));
        let longest = serde_json::to_value(DeleteParams::default().grace_period(Duration::MAX)).unwrap();
        assert_eq!(longest, json!({"gracePeriodSeconds": u32::MAX}));
    }
}
