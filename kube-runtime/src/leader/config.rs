//! `Config`: the timings of a leader election.

use std::time::Duration;

/// The maximum random wait that a candidate adds to the retry period, as a multiple of that period. The value is that of
/// client-go.
pub(super) const JITTER_FACTOR: f64 = 1.2;

/// The timings of a leader election. The defaults are those of client-go and controller-runtime.
///
/// ```
/// use kube_runtime::leader::Config;
/// use std::time::Duration;
///
/// let config = Config::default().lease_duration(Duration::from_secs(30));
/// assert!(config.validate().is_ok());
/// assert!(config.renew_deadline(Duration::from_secs(30)).validate().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Config {
    pub(super) lease_duration: Duration,
    pub(super) renew_deadline: Duration,
    pub(super) retry_period: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

impl Config {
    /// Sets the duration that the holder writes to the lease, rounded up to whole seconds; 15 s by default. A candidate
    /// takes the lease after it has observed no change of the lease for this time.
    pub fn lease_duration(mut self, duration: Duration) -> Self {
        self.lease_duration = duration;
        self
    }

    /// Sets the time for which the leader tries to renew the lease, counted from the start of the last successful renewal;
    /// 10 s by default. If no renewal succeeds within this time, the process is no longer the leader.
    pub fn renew_deadline(mut self, deadline: Duration) -> Self {
        self.renew_deadline = deadline;
        self
    }

    /// Sets the interval of the leader's renewals, and of a candidate's attempts to take the lease; 2 s by default. A
    /// candidate adds a random wait of up to 120 % of the period.
    pub fn retry_period(mut self, period: Duration) -> Self {
        self.retry_period = period;
        self
    }

    /// Checks the timings: the lease duration must be greater than the renew deadline and less than 2^31 seconds, the
    /// renew deadline must be greater than 1.2 times the retry period, and the retry period must not be zero.
    ///
    /// # Errors
    ///
    /// The error names the invalid timing.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        let (lease, renew, retry) = (self.lease_duration, self.renew_deadline, self.retry_period);
        if retry.is_zero() {
            Err(InvalidConfig("the retry period must be greater than zero".into()))
        } else if lease <= renew {
            Err(InvalidConfig(format!(
                "the lease duration, {lease:?}, must be greater than the renew deadline, {renew:?}"
            )))
        } else if renew <= retry.mul_f64(JITTER_FACTOR) {
            Err(InvalidConfig(format!(
                "the renew deadline, {renew:?}, must be greater than 1.2 times the retry period, {retry:?}"
            )))
        } else if i32::try_from(self.lease_seconds()).is_err() {
            Err(InvalidConfig(format!("the lease duration, {lease:?}, must be less than 2^31 seconds")))
        } else {
            Ok(())
        }
    }

    /// The lease duration in whole seconds, rounded up.
    pub(super) fn lease_seconds(&self) -> u64 {
        self.lease_duration.as_secs() + u64::from(self.lease_duration.subsec_nanos() > 0)
    }
}

/// The timings of a leader election contradict each other, or one of them is out of range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid timings of a leader election: {0}")]
pub struct InvalidConfig(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_timings_are_refused() {
        let seconds = |lease, renew, retry| {
            let [lease, renew, retry] = [lease, renew, retry].map(Duration::from_secs_f64);
            Config::default().lease_duration(lease).renew_deadline(renew).retry_period(retry)
        };
        for (config, is_valid) in [
            (Config::default(), true),
            (seconds(10.0, 10.0, 2.0), false),
            (seconds(15.0, 2.4, 2.0), false),
            (seconds(15.0, 2.5, 2.0), true),
            (seconds(15.0, 10.0, 0.0), false),
            (seconds(3e9, 10.0, 2.0), false),
        ] {
            assert_eq!(config.validate().is_ok(), is_valid, "{config:?}");
        }
        assert_eq!(seconds(14.2, 10.0, 2.0).lease_seconds(), 15);
    }
}
