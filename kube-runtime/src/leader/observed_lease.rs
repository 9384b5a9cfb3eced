//! The content of a lease, and the decisions of an election. This module performs no IO and reads no clock.

use super::Config;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// A lease, and the time at which this process first observed its content. The times in the lease are those of other
/// machines' clocks, and are not compared with this machine's clock.
#[derive(Debug, Clone)]
pub(super) struct ObservedLease {
    pub(super) lease: Lease,
    at: Instant,
}

impl ObservedLease {
    /// The observation of `lease` at `now`. Keeps the time of `before` if the content is the same.
    pub(super) fn new(lease: Lease, before: Option<&Self>, now: Instant) -> Self {
        let known = before.filter(|known| known.lease.spec == lease.spec);
        Self { at: known.map_or(now, |known| known.at), lease }
    }

    /// The holder; `None` if no process holds the lease.
    pub(super) fn holder(&self) -> Option<&str> {
        let holder = self.lease.spec.as_ref()?.holder_identity.as_deref()?;
        (!holder.is_empty()).then_some(holder)
    }

    /// Whether another process holds the lease, and this process has observed a change of the lease within the lease
    /// duration.
    pub(super) fn is_held_by_another_process(&self, identity: &str, config: &Config, now: Instant) -> bool {
        let Some(holder) = self.holder() else { return false };
        let seconds = self.lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
        let duration = seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
        let duration = duration.unwrap_or(config.lease_duration);
        holder != identity && now.saturating_duration_since(self.at) < duration
    }
}

/// The spec that the process `identity` writes to take or renew a lease. `before` is the current lease, if it exists.
pub(super) fn held_spec(
    before: Option<&Lease>,
    identity: &str,
    config: &Config,
    time: Timestamp,
) -> LeaseSpec {
    let spec = before.and_then(|lease| lease.spec.clone()).unwrap_or_default();
    let renews = spec.holder_identity.as_deref() == Some(identity);
    let transitions = spec.lease_transitions.unwrap_or_default();
    let acquired = if renews { spec.acquire_time.clone() } else { None };
    LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: Some(i32::try_from(config.lease_seconds()).unwrap_or(i32::MAX)),
        acquire_time: Some(acquired.unwrap_or(MicroTime(time))),
        renew_time: Some(MicroTime(time)),
        lease_transitions: Some(match before {
            Some(_) if !renews => transitions.saturating_add(1),
            _ => transitions,
        }),
        ..spec
    }
}

/// The spec that the holder writes to release the lease: without a holder, and with a duration of one second, as in
/// client-go.
pub(super) fn released_spec(before: &LeaseSpec, time: Timestamp) -> LeaseSpec {
    LeaseSpec {
        holder_identity: None,
        lease_duration_seconds: Some(1),
        acquire_time: Some(MicroTime(time)),
        renew_time: Some(MicroTime(time)),
        ..before.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: Option<&str>, seconds: Option<i32>, transitions: i32) -> Lease {
        let spec = LeaseSpec {
            holder_identity: holder.map(Into::into),
            lease_duration_seconds: seconds,
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        };
        Lease { spec: Some(spec), ..Lease::default() }
    }

    #[test]
    fn a_lease_is_free_without_a_holder_and_after_the_duration_that_its_holder_wrote() {
        let (now, config) = (Instant::now(), Config::default());
        let held = |lease: Lease, after| {
            let observed = ObservedLease::new(lease, None, now);
            observed.is_held_by_another_process("me", &config, now + Duration::from_secs(after))
        };
        assert!(
            !held(Lease::default(), 0)
                && !held(lease(None, Some(15), 0), 0)
                && !held(lease(Some(""), None, 0), 0)
        );
        assert!(!held(lease(Some("me"), Some(15), 0), 0));
        assert!(held(lease(Some("other"), Some(30), 0), 29) && !held(lease(Some("other"), Some(30), 0), 30));
        assert!(held(lease(Some("other"), None, 0), 14) && !held(lease(Some("other"), Some(-1), 0), 15));
    }

    #[test]
    fn only_a_change_of_the_content_extends_a_lease() {
        let (now, config) = (Instant::now(), Config::default());
        let later = now + Duration::from_secs(10);
        let first = ObservedLease::new(lease(Some("other"), Some(15), 0), None, now);
        let mut touched = lease(Some("other"), Some(15), 0);
        touched.metadata.resource_version = Some("2".into());
        let end = now + Duration::from_secs(15);
        assert!(
            !ObservedLease::new(touched, Some(&first), later).is_held_by_another_process("me", &config, end)
        );
        let renewed = ObservedLease::new(lease(Some("other"), Some(15), 1), Some(&first), later);
        assert!(renewed.is_held_by_another_process("me", &config, end));
    }

    #[test]
    fn a_new_holder_counts_as_a_transition_and_a_renewal_keeps_the_time_of_the_acquisition() {
        let (config, time) = (Config::default(), Timestamp::UNIX_EPOCH);
        let created = held_spec(None, "me", &config, time);
        assert_eq!((created.lease_transitions, created.lease_duration_seconds), (Some(0), Some(15)));
        let before = Lease { spec: Some(created), ..Lease::default() };
        let later = Timestamp::from_second(9).unwrap();
        let renewed = held_spec(Some(&before), "me", &config, later);
        assert_eq!((renewed.lease_transitions, renewed.acquire_time), (Some(0), Some(MicroTime(time))));
        let taken = held_spec(Some(&before), "other", &config, later);
        assert_eq!((taken.lease_transitions, taken.acquire_time.clone()), (Some(1), Some(MicroTime(later))));
        let released = released_spec(&taken, later);
        assert_eq!((released.holder_identity, released.lease_duration_seconds), (None, Some(1)));
        assert_eq!(released.lease_transitions, Some(1));
    }
}
