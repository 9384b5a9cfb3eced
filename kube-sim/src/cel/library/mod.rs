//! The functions that rules can call: the standard library of CEL and the libraries that Kubernetes adds.
//!
//! Each module has a function `call`, a [`Library`]. Owns the search for the library that has a function. The target of
//! a member function is its first argument.

mod arithmetic;
pub(super) mod cidr;
pub(super) mod convert;
mod format_text;
mod lists;
mod named_format;
mod optionals;
mod quantity;
pub(super) mod semver;
mod strings;
pub(super) mod time;
pub(super) mod url;

use super::authorization;
use super::value::{Failure, Outcome, Val};

/// A function that calls a function of one library by its name. Returns `None` if the library has no function with this
/// name for values of these types.
type Library = for<'a> fn(&str, &[Val<'a>]) -> Option<Outcome<'a>>;

/// Calls the function `name` of the first library that has it.
///
/// # Errors
/// The function fails, or no library has the function: `no such overload`.
pub(super) fn call<'a>(name: &str, arguments: &[Val<'a>]) -> Outcome<'a> {
    const LIBRARIES: [Library; 12] = [
        arithmetic::call,
        convert::call,
        strings::call,
        lists::call,
        optionals::call,
        time::call,
        quantity::call,
        semver::call,
        cidr::call,
        url::call,
        named_format::call,
        authorization::call,
    ];
    let found = LIBRARIES.iter().find_map(|library| library(name, arguments));
    found.unwrap_or_else(|| Err(Failure::no_such_overload()))
}
