//! A Kubernetes client: HTTP, configuration, authentication, typed and dynamic API access.

pub mod core;
#[cfg(feature = "client")]
mod wire;

pub use crate::core::{Resource, ResourceExt};
