//! `LogLimit`: limits how often a message is logged, so that a failure that repeats does not fill the log. This module
//! must not log: its callers log the messages.

use std::time::Duration;
use tokio::time::Instant;

/// The limit of one kind of message.
#[derive(Debug, Clone)]
pub(crate) struct LogLimit {
    burst: u32,
    period: Duration,
    /// The start of the period, and the number of messages that were logged in it.
    current: Option<(Instant, u32)>,
    suppressed: u64,
}

impl LogLimit {
    /// A limit that permits at most `burst` messages in each period.
    pub(crate) const fn new(burst: u32, period: Duration) -> Self {
        Self { burst, period, current: None, suppressed: 0 }
    }

    /// Returns `Some` if a message may be logged now. The value is the number of messages that were suppressed since the
    /// last permitted message.
    pub(crate) fn permit_message(&mut self) -> Option<u64> {
        let now = Instant::now();
        let (start, logged) = match self.current {
            Some((start, logged)) if now.saturating_duration_since(start) < self.period => (start, logged),
            _ => (now, 0),
        };
        if logged >= self.burst {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.current = Some((start, logged + 1));
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_per_period_is_permitted_and_the_rest_is_counted() {
        let mut limit = LogLimit::new(2, Duration::from_secs(60));
        let permits = |limit: &mut LogLimit| (0..4).map(|_| limit.permit_message()).collect::<Vec<_>>();
        assert_eq!(permits(&mut limit), [Some(0), Some(0), None, None]);
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(limit.permit_message(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(permits(&mut limit), [Some(3), Some(0), None, None]);
    }
}
