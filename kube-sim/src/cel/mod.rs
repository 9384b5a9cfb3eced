//! CEL validation rules of custom resources (`x-kubernetes-validations`, KEP-2876).
//!
//! Owns the compilation of rules when a CustomResourceDefinition is created or updated ([`check_rules`]) and their
//! evaluation on objects ([`Validator`]). Parsing is that of the `cel` crate. The type checker, the cost estimate and
//! the evaluator are here, because the API server's behaviour depends on details of all three: it refuses rules by
//! their types and by their estimated cost, and ends an evaluation by its cost.
//!
//! This module works on raw JSON and schemas. It must not know requests, stores or resources.

mod check;
mod cost;
mod declared;
mod definition;
mod escape;
mod eval;
mod functions;
mod keywords;
mod library;
mod literals;
mod macros;
mod parse;
mod program;
mod types;
mod unify;
mod validator;
mod value;

pub(crate) use self::definition::check_rules;
pub(crate) use self::validator::{Validator, Verdict};

#[cfg(test)]
mod tests;
