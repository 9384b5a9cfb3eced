//! Catches panics in user code. Such a panic affects only one object or change, and never ends the controller.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls user code; the error is the panic message.
///
/// The state that a user's closure shares may be inconsistent after a panic, as after a panic in a task. Of the
/// controller's own state, a closure accesses at most the `Requests`, to which it only appends.
pub(super) fn catch<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| message(&*panic))
}

pub(super) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}
