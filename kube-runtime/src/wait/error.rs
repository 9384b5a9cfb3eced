//! `Error`: the error of a wait that ended before its condition was true.

use crate::watcher;
use std::{error::Error as StdError, fmt, time::Duration};

/// The error of a wait that ended before its condition was true.
///
/// Its `Display` text includes the text of the [`watcher::Error`]. `source()` therefore skips the [`watcher::Error`]
/// and returns its source, so that a printed chain of errors repeats no message.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The object cannot be watched, and waiting does not repair the failure.
    ProbeFailed(watcher::Error),
    /// The condition was not true within the time limit.
    TimedOut {
        /// The path of the object.
        object: String,
        /// The time limit of the wait.
        after: Duration,
        /// The last failure of the watch; `None` if there was no failure, or if a state of the object arrived
        /// after the failure. If the value is `Some`, the watch may still be interrupted at the time limit,
        /// or may already have resumed. A resumed watch sends a state only when the object changes. Until
        /// then, the value remains `Some`.
        last: Option<Box<watcher::Error>>,
    },
}

impl Error {
    /// Whether the time limit of the wait elapsed.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut { .. })
    }

    /// The failure of the watch, if there is one: the cause of `ProbeFailed`, or `last` of `TimedOut`.
    pub fn watch_error(&self) -> Option<&watcher::Error> {
        match self {
            Self::ProbeFailed(error) => Some(error),
            Self::TimedOut { last, .. } => last.as_deref(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProbeFailed(error) => write!(f, "cannot wait for a condition: {error}"),
            Self::TimedOut { object, after, last } => {
                write!(f, "timed out after {after:?} waiting for a condition of {object}")?;
                last.as_ref().map_or(Ok(()), |last| write!(f, "; the last failure of its watch: {last}"))
            }
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.watch_error().and_then(StdError::source)
    }
}
