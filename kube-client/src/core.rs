//! Types of the Kubernetes API: kinds, objects, parameters, requests, selectors, responses and schemas.
//!
//! This is the crate `kube-core`. Without the feature `client`, kube-client consists of `core`, `error` and `prelude`.

#[doc(inline)]
pub use kube_core::*;
