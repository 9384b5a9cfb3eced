//! Panics in user code, caught where the controller calls it. Such a panic fails one object and never ends the controller.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls user code. The error is the message of its panic.
///
/// State that the user's closure shares may be inconsistent after a panic, as after a panic in a task. The controller keeps
/// no state of its own inside of the call.
pub(super) fn catch<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| message(&*panic))
}

/// The text that the code panicked with.
pub(super) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}
