//! Catches panics in user code. Such a panic affects only one object or change, and never ends the controller.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls user code; the error is the panic message.
///
/// After a panic, the state that a user's closure shares with other code may be inconsistent. A panic in a task has the
/// same effect. The closure can change the controller's own state only by appending to a `Requests`.
pub(super) fn catch<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| message(&*panic))
}

pub(super) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}
