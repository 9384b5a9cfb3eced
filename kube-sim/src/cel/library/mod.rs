//! The functions of rules: the standard library of CEL and the libraries that Kubernetes adds.
//!
//! Owns the dispatch by name and by the types of the values. The target of a member function is its first argument.

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

use super::value::{Failure, Outcome, Val};

/// The functions of one library: `None` if the library does not have the function for these values.
type Library = for<'a> fn(&str, &[Val<'a>]) -> Option<Outcome<'a>>;

/// Calls a function.
///
/// # Errors
/// The error of the function, or `no such overload`.
pub(super) fn call<'a>(name: &str, arguments: &[Val<'a>]) -> Outcome<'a> {
    const LIBRARIES: [Library; 11] = [
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
    ];
    let found = LIBRARIES.iter().find_map(|library| library(name, arguments));
    found.unwrap_or_else(|| Err(Failure::no_such_overload()))
}
