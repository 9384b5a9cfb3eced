//! `Seconds`: parameters that are a duration or a number of seconds.

use std::time::Duration;

/// A duration, or a number of seconds. Only `std::time::Duration` and `u32` implement this trait.
///
/// ```
/// use kube_core::DeleteParams;
/// use std::time::Duration;
///
/// let dp = DeleteParams::default().grace_period(5);
/// assert_eq!(dp, DeleteParams::default().grace_period(Duration::from_secs(5)));
/// ```
pub trait Seconds: sealed::Sealed {
    /// Converts the value into a duration.
    fn into_duration(self) -> Duration;
}

impl Seconds for Duration {
    fn into_duration(self) -> Duration {
        self
    }
}

impl Seconds for u32 {
    fn into_duration(self) -> Duration {
        Duration::from_secs(self.into())
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for std::time::Duration {}
    impl Sealed for u32 {}
}
