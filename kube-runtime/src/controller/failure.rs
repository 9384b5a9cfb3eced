//! The classes of failures of a reconcile. This module must not decide when an object is requeued; the `dispatcher`
//! does.

use kube_client::BoxError;
use kube_client::core::Status;
use std::{error::Error as StdError, fmt};

/// The maximum number of errors to read in the chain of an error and its sources.
const MAX_CHAIN_LENGTH: usize = 64;

/// A failure that no retry can fix, such as an invalid spec. It corresponds to controller-runtime's `TerminalError`.
///
/// A reconciler wraps its error in this type. The reconciler returns the `TerminalError`, or an error that
/// has the `TerminalError` as one of its [sources](StdError::source). After such an error, the action
/// [`Action::requeue_with_backoff`](super::Action::requeue_with_backoff) of the error policy does not requeue
/// the object: the controller reconciles the object at its next change. The policy
/// [`backoff_on_error`](super::backoff_on_error) returns this action. With the Cargo feature `metrics`,
/// `controller_runtime_terminal_reconcile_errors_total` counts these failures, in addition to the metrics of
/// all failures.
///
/// A variant with thiserror's `#[error(transparent)]` hides its inner error from the chain of sources, so the
/// controller does not recognise the inner error as a terminal error or a conflict: give the variant its own message.
///
/// ```
/// use kube_runtime::controller::{Action, TerminalError};
///
/// fn parse_replicas(text: &str) -> Result<Action, TerminalError> {
///     let _replicas: u32 = text.parse().map_err(TerminalError::new)?;
///     Ok(Action::await_change())
/// }
///
/// assert!(parse_replicas("three").unwrap_err().to_string().contains("invalid digit"));
/// ```
#[derive(Debug)]
pub struct TerminalError(BoxError);

impl TerminalError {
    /// Marks `error` as an error that no retry can fix. `error` may be a string.
    pub fn new(error: impl Into<BoxError>) -> Self {
        Self(error.into())
    }

    /// The marked error.
    pub fn into_inner(self) -> BoxError {
        self.0
    }
}

/// The text of the marked error.
impl fmt::Display for TerminalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Returns the source of the marked error, because `Display` already contains the text of the marked error.
impl StdError for TerminalError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

/// The class of a failed reconcile, which determines when the next attempt is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureClass {
    /// The reconciled object was outdated. The next attempt is due at once if the attempt before the conflict was neither
    /// a failure nor a conflict.
    Conflict,
    /// No retry can fix the failure; see [`TerminalError`].
    Terminal,
    Other,
}

impl FailureClass {
    /// The class of the first conflict or terminal error in the chain of `error` and its sources; `Other` if there is
    /// none. Reads a limited number of sources: the chain of a user's error may be endless.
    pub(super) fn of(error: &(dyn StdError + 'static)) -> Self {
        let causes = std::iter::successors(Some(error), |cause| (**cause).source());
        causes.take(MAX_CHAIN_LENGTH).find_map(Self::of_cause).unwrap_or(Self::Other)
    }

    /// The class of one error, without its sources; `None` if the error is neither a conflict nor terminal.
    fn of_cause(cause: &(dyn StdError + 'static)) -> Option<Self> {
        if cause.is::<TerminalError>() {
            return Some(Self::Terminal);
        }
        let is_conflict =
            cause.downcast_ref::<kube_client::Error>().is_some_and(kube_client::Error::is_conflict)
                || cause.downcast_ref::<Status>().is_some_and(Status::is_conflict)
                || cause.is::<ConcurrentChange>();
        is_conflict.then_some(Self::Conflict)
    }
}

/// The `source()` of this crate's errors about a concurrent change of an object. It marks these errors as conflicts.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("another client changed the object at the same time")]
pub(crate) struct ConcurrentChange;

#[cfg(test)]
mod tests {
    use super::*;

    /// A user-defined error with its own message.
    #[derive(Debug, thiserror::Error)]
    #[error("cannot write the config map")]
    struct UserError(#[source] BoxError);

    fn api_error(code: u16, reason: &str) -> kube_client::Error {
        kube_client::Error::Api(Status::failure("because", reason).with_code(code).boxed())
    }

    #[test]
    fn the_first_conflict_or_terminal_error_in_the_chain_determines_the_class() {
        let conflict = || api_error(409, "Conflict");
        let cases: [(BoxError, FailureClass); 7] = [
            (Box::new(conflict()), FailureClass::Conflict),
            (Box::new(UserError(Box::new(conflict()))), FailureClass::Conflict),
            (Box::new(UserError(Box::new(ConcurrentChange))), FailureClass::Conflict),
            (Box::new(UserError(Box::new(api_error(409, "AlreadyExists")))), FailureClass::Other),
            (Box::new(UserError(Box::new(api_error(404, "NotFound")))), FailureClass::Other),
            (Box::new(UserError(Box::new(TerminalError::new("no such zone")))), FailureClass::Terminal),
            (Box::new(TerminalError::new(UserError(Box::new(conflict())))), FailureClass::Terminal),
        ];
        for (error, class) in cases {
            assert_eq!(FailureClass::of(&*error), class, "{error:?}");
        }
    }

    #[test]
    fn an_error_that_is_its_own_source_has_a_class() {
        #[derive(Debug)]
        struct EndlessError;
        impl fmt::Display for EndlessError {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("it is its own source")
            }
        }
        impl StdError for EndlessError {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                Some(self)
            }
        }
        assert_eq!(FailureClass::of(&EndlessError), FailureClass::Other);
    }

    #[test]
    fn the_chain_of_a_terminal_error_has_each_text_once() {
        let error = TerminalError::new(UserError(Box::new(fmt::Error)));
        let texts = std::iter::successors(Some(&error as &dyn StdError), |cause| (**cause).source());
        let texts: Vec<_> = texts.map(ToString::to_string).collect();
        assert_eq!(texts[0], "cannot write the config map");
        assert_eq!(texts.len(), 2);
    }
}
