//! The built-in resources of a Kubernetes 1.37 API server: their schemas, defaulting and validation.
//!
//! `cargo xtask record` writes the resources and schemas of an API server to `data/`; do not edit them by hand. Schemas
//! are parsed at first use. `complete` and `check` contain the defaulting and validation that Kubernetes implements in
//! Go. This module must not know about requests or stores.

mod catalog;
mod check;
mod complete;
mod open_api;

#[cfg(test)]
pub(crate) use self::catalog::find;
pub(crate) use self::catalog::{Resource, Scope, groups, resources};
pub(crate) use self::check::check;
pub(crate) use self::complete::complete;
pub(crate) use self::open_api::open_api;
pub(crate) use crate::schema::component as schema;
