//! What a stock Kubernetes 1.37 API server serves: its resources, their schemas, and the rules it keeps in Go code.
//!
//! The resources and schemas are data recorded from a real API server by `cargo xtask record` (`data/`), never typed by
//! hand. Schemas are parsed one by one when they are first asked for. The defaults and checks that no schema expresses
//! are the small functions of `complete` and `check`. This module must not know about requests or stores.

mod catalog;
mod check;
mod complete;
pub(crate) mod names;
mod open_api;

pub(crate) use self::catalog::{Group, Resource, Scope, Subresource, find, groups, resources};
pub(crate) use self::check::check;
pub(crate) use self::complete::complete;
pub(crate) use self::open_api::open_api;
pub(crate) use crate::schema::component as schema;
