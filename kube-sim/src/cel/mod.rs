//! CEL validation rules of custom resources (`x-kubernetes-validations`, KEP-2876), and the CEL expressions that control
//! admission or select devices.
//!
//! This module owns the check of rules when a request creates or updates a CustomResourceDefinition
//! ([`check_rules`]), and the evaluation of rules on objects ([`Validator`]). The `cel` crate parses the rules. The
//! type checker, the cost estimate and the evaluator are here, because they must agree with the API server in detail:
//! the API server rejects rules with a type error or a high estimated cost, and ends an evaluation whose cost exceeds
//! a limit.
//!
//! In this module, a rule is an item of `x-kubernetes-validations`. The module works on JSON values and schemas, and
//! must not use the modules for requests, stores or resources.

mod admission;
mod authorization;
mod check;
mod cost;
mod declared_types;
mod definition;
mod device;
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

pub(crate) use self::admission::{
    AdmissionExpression, AdmissionInputs, AdmissionValue, Evaluation, OUT_OF_BUDGET, PatchError, PatchType,
    admission_expression_problem,
};
pub(crate) use self::authorization::{Authorizer, CheckedAccess, ResourceCheck, Subject};
pub(crate) use self::definition::check_rules;
pub(crate) use self::device::{DeviceSelectorProblem, device_selector_problem};
pub(crate) use self::library::semver::is_semantic_version;
pub(crate) use self::validator::{Validator, Verdict};

#[cfg(test)]
mod tests;
