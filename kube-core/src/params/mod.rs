//! Parameters of requests: the query of every verb, and the bodies of deletions, evictions and patches.

mod attach;
mod delete;
mod evict;
mod list;
mod log;
mod patch;
mod post;
mod seconds;
mod watch;

pub use attach::AttachParams;
pub use delete::{DeleteParams, Preconditions, PropagationPolicy};
pub use evict::EvictParams;
pub(crate) use evict::Eviction;
pub use list::{GetParams, ListParams, VersionMatch};
pub use log::{LogParams, LogStream};
pub use patch::{Patch, PatchParams};
pub use post::{PostParams, ValidationDirective};
pub use seconds::Seconds;
pub use watch::WatchParams;

use super::request::Error;
use form_urlencoded::Serializer;
use std::time::Duration;

/// Builds the query of a URL. Parameters that are not set are omitted.
pub(crate) struct Query(Serializer<'static, String>);

impl Query {
    /// Creates an empty query.
    pub(crate) fn new() -> Self {
        Self(Serializer::new(String::new()))
    }

    /// Appends a parameter.
    pub(crate) fn append_pair(&mut self, key: &str, value: &str) -> &mut Self {
        self.0.append_pair(key, value);
        self
    }

    /// Appends a parameter if its value is set.
    pub(crate) fn append_optional(&mut self, key: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.append_pair(key, value);
        }
        self
    }

    /// Appends `key=true` if `set` is true.
    pub(crate) fn append_flag(&mut self, key: &str, set: bool) -> &mut Self {
        self.append_optional(key, set.then_some("true"))
    }

    /// Appends a duration in whole seconds, if it is set. Rounds up, because a server interprets 0 as an unset timeout.
    pub(crate) fn append_seconds(&mut self, key: &str, value: Option<Duration>) -> &mut Self {
        let seconds = value.map(|d| whole_seconds(d).to_string());
        self.append_optional(key, seconds.as_deref())
    }

    /// Returns `path` with the query; `path` alone if there are no parameters.
    pub(crate) fn into_path_and_query(mut self, path: &str) -> String {
        let query = self.0.finish();
        if query.is_empty() { path.to_owned() } else { [path, "?", &query].concat() }
    }
}

/// Converts a duration to whole seconds, rounded up and capped at `u32::MAX`. A server converts the seconds to
/// nanoseconds in an `i64`, which a larger number of seconds could overflow.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0)).min(u64::from(u32::MAX))
}

/// Returns the error for invalid parameters, with the text `message`. The result is always `Err`.
fn validation_error<T>(message: &str) -> Result<T, Error> {
    Err(Error::Validation(message.to_owned()))
}
