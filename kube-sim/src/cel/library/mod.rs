//! The functions that expressions can call: the standard library of CEL and the libraries that Kubernetes adds.
//!
//! This module owns the function [`call`], which calls a CEL function. Each module except `format_text` is a library
//! with its own function `call`, whose type is [`Library`]. The first argument of a member function is its target.

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

/// The type of the functions `call` of the libraries. The parameters are the name and the arguments of a CEL function.
/// `call` returns `None` if the library has no function with this name for arguments of these types.
type Library = for<'a> fn(&str, &[Val<'a>]) -> Option<Outcome<'a>>;

/// Calls the CEL function `name` in the first library that has this function.
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
