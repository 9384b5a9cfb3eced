//! A Kubernetes client: HTTP, configuration, authentication, typed and dynamic API access.

pub mod core;

pub use crate::core::{Resource, ResourceExt};
