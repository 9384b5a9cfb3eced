//! Parameters of deletions, which travel in the body (`meta/v1 DeleteOptions`).

use serde::{Serialize, Serializer};
use std::time::Duration;

/// Parameters of a deletion.
///
/// ```
/// use kube_client::core::DeleteParams;
/// use std::time::Duration;
///
/// let dp = DeleteParams::foreground().grace_period(Duration::from_secs(5));
/// assert!(!dp.dry_run);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeleteParams {
    /// The server checks the request but deletes nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not", serialize_with = "all")]
    pub dry_run: bool,
    /// How long the object may take to end; `None` for the kind's default, zero for at once.
    #[serde(
        rename = "gracePeriodSeconds",
        skip_serializing_if = "Option::is_none",
        serialize_with = "in_whole_seconds"
    )]
    pub grace_period: Option<Duration>,
    /// What becomes of the objects that this one owns; `None` for the kind's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagation_policy: Option<PropagationPolicy>,
    /// What has to hold for the deletion to happen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preconditions: Option<Preconditions>,
}

impl DeleteParams {
    /// Deletes the object at once, and what it owns afterwards.
    pub fn background() -> Self {
        Self { propagation_policy: Some(PropagationPolicy::Background), ..Self::default() }
    }

    /// Deletes what the object owns first.
    pub fn foreground() -> Self {
        Self { propagation_policy: Some(PropagationPolicy::Foreground), ..Self::default() }
    }

    /// Leaves what the object owns where it is.
    pub fn orphan() -> Self {
        Self { propagation_policy: Some(PropagationPolicy::Orphan), ..Self::default() }
    }

    /// The server checks the request but deletes nothing.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// How long the object may take to end; rounded up to whole seconds.
    #[must_use]
    pub fn grace_period(mut self, period: Duration) -> Self {
        self.grace_period = Some(period);
        self
    }

    /// What has to hold for the deletion to happen.
    #[must_use]
    pub fn preconditions(mut self, preconditions: Preconditions) -> Self {
        self.preconditions = Some(preconditions);
        self
    }

    /// Whether the server's defaults are asked for throughout, so that no body is needed.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What has to hold for a deletion to happen, else it is a conflict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preconditions {
    /// The object is still at this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
    /// The object is still the one with this uid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// What becomes of the objects that a deleted one owns.
///
/// See [cascading deletion](https://kubernetes.io/docs/concepts/architecture/garbage-collection/#cascading-deletion).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum PropagationPolicy {
    /// They stay.
    Orphan,
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands serialize_with a reference")]
fn all<S: Serializer>(_: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(["All"])
}

#[expect(clippy::ref_option, reason = "serde hands serialize_with a reference")]
fn in_whole_seconds<S: Serializer>(period: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    period.map(super::whole_seconds).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn writes_delete_options() {
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
