//! The status of objects: conditions, and a write that sends nothing if the status has not changed.
//!
//! A reconciler that writes a new timestamp into the status at each reconcile triggers itself.

mod write;

pub use write::write_status;

use crate::time;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The status of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the API has these three values")]
pub enum ConditionStatus {
    /// The condition holds.
    True,
    /// The condition does not hold.
    False,
    /// The controller cannot determine the status.
    Unknown,
}

impl ConditionStatus {
    /// The value in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// A condition with the current time as its last transition; [`set_condition`] keeps the previous time if the status is
/// the same.
///
/// `reason` is a word in CamelCase for programs; `message` is a text for humans.
pub fn condition(
    type_: &str,
    status: impl Into<ConditionStatus>,
    reason: &str,
    message: impl Into<String>,
) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status: status.into().as_str().to_owned(),
        reason: reason.to_owned(),
        message: message.into(),
        observed_generation: None,
        last_transition_time: Time(time::now()),
    }
}

/// Adds a condition, or replaces the condition with the same type. Does the same as `meta.SetStatusCondition` of
/// apimachinery. Returns whether the list has changed: if not, the status of the object does not have to
/// be written.
///
/// `last_transition_time` changes only with the status of the condition. If only the reason or the message changes, the
/// previous time stays.
///
/// ```
/// use kube_runtime::status::{condition, find_condition, set_condition};
///
/// let mut conditions = Vec::new();
/// assert!(set_condition(&mut conditions, condition("Ready", false, "Creating", "0 of 1 replicas")));
/// let since = find_condition(&conditions, "Ready").expect("it was added").last_transition_time.clone();
/// // The same condition again: no write is necessary.
/// assert!(!set_condition(&mut conditions, condition("Ready", false, "Creating", "0 of 1 replicas")));
/// assert!(set_condition(&mut conditions, condition("Ready", false, "Creating", "still 0 of 1 replicas")));
/// assert_eq!(conditions[0].last_transition_time, since);
/// ```
pub fn set_condition(conditions: &mut Vec<Condition>, new: Condition) -> bool {
    let Some(known) = conditions.iter_mut().find(|known| known.type_ == new.type_) else {
        conditions.push(new);
        return true;
    };
    let same_status = known.status == new.status;
    let last_transition_time =
        if same_status { known.last_transition_time.clone() } else { new.last_transition_time.clone() };
    let new = Condition { last_transition_time, ..new };
    let changed = *known != new;
    *known = new;
    changed
}

/// Removes the condition with this type. Returns whether the list contained such a condition.
pub fn remove_condition(conditions: &mut Vec<Condition>, type_: &str) -> bool {
    let before = conditions.len();
    conditions.retain(|known| known.type_ != type_);
    conditions.len() < before
}

/// The condition with this type; `None` if the list contains no such condition.
pub fn find_condition<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|known| known.type_ == type_)
}

/// Whether the list contains a condition with this type, and the status of that condition is `True`.
pub fn is_condition_true(conditions: &[Condition], type_: &str) -> bool {
    find_condition(conditions, type_).is_some_and(|known| known.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::jiff::Timestamp;

    /// A condition with the last transition at this second.
    fn condition_at(second: i64, type_: &str, holds: bool, message: &str) -> Condition {
        let time = Time(Timestamp::from_second(second).unwrap());
        Condition { last_transition_time: time, ..condition(type_, holds, "Reason", message) }
    }

    #[test]
    fn the_time_of_the_transition_changes_only_with_the_status() {
        let mut conditions = vec![condition_at(1, "Other", true, "")];
        for (new, changed, second) in [
            (condition_at(2, "Ready", false, "a"), true, 2),
            (condition_at(3, "Ready", false, "a"), false, 2),
            (condition_at(4, "Ready", false, "b"), true, 2),
            (Condition { observed_generation: Some(7), ..condition_at(5, "Ready", false, "b") }, true, 2),
            (condition_at(6, "Ready", true, "b"), true, 6),
            (condition_at(7, "Ready", true, "b"), false, 6),
        ] {
            assert_eq!(set_condition(&mut conditions, new.clone()), changed, "{new:?}");
            let known = find_condition(&conditions, "Ready").unwrap();
            assert_eq!(known.last_transition_time.0.as_second(), second);
            assert_eq!((&known.message, known.observed_generation), (&new.message, new.observed_generation));
        }
        assert!(is_condition_true(&conditions, "Ready") && conditions.len() == 2);
        assert!(remove_condition(&mut conditions, "Ready") && !remove_condition(&mut conditions, "Ready"));
        assert!(!is_condition_true(&conditions, "Ready") && is_condition_true(&conditions, "Other"));
    }
}
