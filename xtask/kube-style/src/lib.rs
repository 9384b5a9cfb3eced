//! Re-exports `kube_client`, `kube_derive` and `kube_runtime` under the paths of the crate kube 5.0. The
//! tests of this package are programs that import these paths, as programs for kube do. The tests show that
//! programs for kube compile and work with the crates of this workspace.
//!
//! Each file below `tests` covers one group of APIs: clients, verbs, processes and ports, discovery, types of `core`,
//! subresources and statuses, runtime, controllers and derives. `docs/migrating-from-kube.md` lists the differences
//! from kube.

pub use kube_client::{
    Api, Client, Config, CustomResourceExt, Discovery, Error, Resource, ResourceExt, Result,
};
pub use kube_client::{api, client, config, core, discovery, error};
pub use kube_derive::{CustomResource, KubeSchema, Resource};
pub use kube_runtime as runtime;

/// The extension traits of the crates.
pub mod prelude {
    pub use kube_client::prelude::*;
    pub use kube_runtime::prelude::*;
}
