//! The built-in resources of a Kubernetes 1.37 API server: their schemas, defaulting and validation.
//!
//! `cargo xtask record` writes the resources and schemas of an API server to `data/`; do not edit these files by hand.
//! Schemas are parsed at first use. `defaulting` and `validation` contain the defaults and rules that Kubernetes
//! implements in Go. This module must not know about requests or stores.

mod catalog;
mod defaulting;
mod open_api;
mod validation;

#[cfg(test)]
pub(crate) use self::catalog::find;
pub(crate) use self::catalog::{Resource, Scope, groups, resources};
pub(crate) use self::defaulting::set_defaults;
pub(crate) use self::open_api::open_api;
pub(crate) use self::validation::validate;
pub(crate) use crate::schema::component as schema;
