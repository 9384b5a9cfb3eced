//! The extension traits of this crate, for a glob import.
//!
//! ```
//! use k8s_openapi::api::core::v1::Pod;
//! use kube_client::prelude::*;
//!
//! assert_eq!(Pod::default().labels().len(), 0);
//! ```

#[cfg(feature = "client")]
pub use crate::client::{ConfigExt as _, scope::NamespacedRef};
pub use crate::core::{
    CustomResourceExt as _, PartialObjectMetaExt as _, Resource as _, ResourceExt as _, SelectorExt as _,
};
