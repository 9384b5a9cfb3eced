//! The crate root re-exports the common types. Each module documents its purpose.
#![cfg_attr(feature = "client", doc = include_str!("../README.md"))]

#[cfg(feature = "client")]
pub mod api;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "client")]
pub mod config;
pub mod core;
#[cfg(feature = "client")]
pub mod discovery;
pub mod error;
#[cfg(all(feature = "client", any(test, fuzzing)))]
#[doc(hidden)]
pub mod fuzz_targets;
pub mod prelude;
#[cfg(feature = "ws")]
mod streams;
#[cfg(feature = "client")]
mod wire;
#[cfg(feature = "client")]
#[doc(hidden)]
pub mod workers;

#[cfg(feature = "client")]
pub use crate::api::Api;
#[cfg(feature = "client")]
pub use crate::client::Client;
#[cfg(feature = "client")]
pub use crate::config::Config;
pub use crate::core::{CustomResourceExt, Resource, ResourceExt};
#[cfg(feature = "client")]
pub use crate::discovery::Discovery;
pub use crate::error::{BoxError, Error, Result, TransportKind, Wait};

// Runs the examples in the README of kube-derive: the examples need this crate.
#[cfg(all(doctest, feature = "schema"))]
#[doc = include_str!("../../kube-derive/README.md")]
mod derive_readme {}
