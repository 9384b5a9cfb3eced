//! The extension traits of this crate, for a glob import.
//!
//! ```
//! use futures::stream;
//! use k8s_openapi::api::core::v1::Pod;
//! use kube_runtime::{prelude::*, watcher};
//!
//! let events = stream::iter([Ok::<_, watcher::Error>(watcher::Event::Apply(Pod::default()))]);
//! let pods = events.applied_objects();
//! ```

pub use crate::reflector::Lookup as _;
pub use crate::watch_ext::WatchStreamExt as _;
