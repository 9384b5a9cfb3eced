//! The crates of this workspace under the paths of kube 5.0. The tests of this package are programs that use these
//! paths as a program for kube does: they show that such a program compiles and works after its imports are renamed.
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
