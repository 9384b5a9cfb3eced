//! Types of the Kubernetes API: kinds, objects, parameters, requests, selectors, responses and schemas.
//!
//! This is the crate `kube-core`. The examples on these pages name it as `kube_core`; in a program that depends only on
//! kube-client, write `kube_client::core` instead. Without the feature `client`, kube-client consists of `core`, `error` and
//! `prelude`.

#[doc(inline)]
pub use kube_core::*;
