#![doc = include_str!("../README.md")]
//!
//! # Cancel safety
//! Futures of [`SimService`] can be dropped at any time. The server handles a request atomically once its body is
//! complete. Dropping the future before that has no effect; dropping it later discards the response, but not the
//! change.

mod apply;
#[cfg_attr(not(test), expect(dead_code, reason = "used only by tests or by future endpoints"))]
#[expect(unused_imports, reason = "used only by tests or by future endpoints")]
mod builtin;
mod clock;
mod discovery;
pub mod fault;
mod handler;
mod journal;
#[expect(unused_imports, reason = "used only by tests or by future endpoints")]
mod patch;
mod protobuf;
mod registry;
#[expect(dead_code, unused_imports, reason = "used only by tests or by future endpoints")]
mod schema;
mod server;
mod shared;
mod sim;
mod status;
mod store;
mod table;
mod watch;
pub mod workload;

pub use journal::{Entry, JOURNAL_LIMIT, Journal};
pub use server::body::{SimBody, SimBodyError};
pub use server::service::{BODY_LIMIT, SimService};
pub use server::{ServeError, Server};
pub use shared::WatchList;
pub use sim::{Sim, SimBuilder, Snapshot};
pub use status::SimError;
