//! `Rejection`: the refusal of a request by a handler.

use kube_client::core::admission::AdmissionResponse;
use kube_client::core::{Status, reason};
use std::{error::Error, fmt};

/// The refusal of an admission request. The API server shows the message of the rejection to the user.
///
/// Each error converts to a rejection, so that handlers can use `?`. The message of the rejection contains the text of
/// the error and the texts of its causes:
///
/// ```
/// use kube_runtime::webhook::Rejection;
///
/// fn port(text: &str) -> Result<u16, Rejection> {
///     Ok(text.parse()?)
/// }
/// assert_eq!(port("many").unwrap_err().message(), "invalid digit found in string");
/// ```
#[derive(Clone, PartialEq)]
pub struct Rejection(Box<Status>);

impl Rejection {
    /// A refusal with the code 403 and the reason `Forbidden`.
    pub fn new(message: impl fmt::Display) -> Self {
        Self::from_status(Status::failure(&message.to_string(), reason::FORBIDDEN).with_code(403))
    }

    /// A refusal with the code 422 and the reason `Invalid`, as for an object that violates its schema.
    pub fn invalid(message: impl fmt::Display) -> Self {
        Self::from_status(Status::failure(&message.to_string(), reason::INVALID).with_code(422))
    }

    /// A refusal with this status. The caller must pass the status of a failure: this is not checked.
    pub fn from_status(status: Status) -> Self {
        Self(Box::new(status))
    }

    /// The message for the user.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Turns `response` into this refusal.
    pub(super) fn apply_to(self, mut response: AdmissionResponse) -> AdmissionResponse {
        response.allowed = false;
        response.result = *self.0;
        response
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rejection").field(&self.0.message).finish()
    }
}

impl<E: Error> From<E> for Rejection {
    fn from(error: E) -> Self {
        Self::new(text_with_causes(&error))
    }
}

/// The texts of an error and of its causes, separated by colons.
pub(super) fn text_with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
