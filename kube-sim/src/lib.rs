#![doc = include_str!("../README.md")]
//!
//! # Cancel safety
//! Futures of [`SimService`] can be dropped at any time. The server handles a request atomically once its body is
//! complete and its webhooks have responded. If the future is dropped before that, the request changes no objects. If it
//! is dropped later, the response is lost, but the change stays.

mod admission_plugin;
mod apply;
mod builtin;
mod cel;
mod clock;
pub mod containers;
mod controllers;
mod counters;
mod discovery;
mod encoding;
pub mod fault;
mod go_json;
mod handler;
mod journal;
mod json;
mod names;
mod nesting;
mod patch;
mod protobuf;
mod rbac;
mod registry;
mod schema;
mod server;
mod service_range;
mod shared_state;
mod sim;
mod status;
mod store;
mod strategy;
mod streams;
mod table;
mod usage;
mod user;
mod warnings;
mod watch;
mod webhooks;
pub mod workload;

pub use admission_plugin::AdmissionPlugin;
pub use journal::{Entry, Handling, JOURNAL_LIMIT, Journal, RecordedBody};
pub use server::body::{SimBody, SimBodyError};
pub use server::service::{BODY_LIMIT, SimService};
pub use server::{ServeError, Server, TlsFiles};
pub use service_range::{ParseServiceRangeError, ServiceRange};
pub use shared_state::WatchList;
pub use sim::{ControlServer, Difference, Replica, Sim, SimBuilder, Snapshot};
pub use status::SimError;
pub use store::cache::Lag;
pub use store::queue::Controller;
pub use usage::Usage;

/// Compiles and runs the Rust examples in `docs/instead-of-envtest.md`.
#[cfg(doctest)]
#[doc = include_str!("../../docs/instead-of-envtest.md")]
struct InsteadOfEnvtest;
