//! `cargo xtask cluster`: a real Kubernetes control plane without a container engine.
//!
//! The components are etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok and a stand-in for the
//! kubelets. The first run builds them from Go modules with pinned dependencies ([`build`]). Each run starts the
//! components on free ports in a temporary folder ([`start`](Cluster::start)). The components stop when the run ends, even
//! if this process is killed ([`xtask_process`]). The end-to-end suites use [`Cluster`]; [`cli`] is the command.
//!
//! kwok makes pods Ready without containers. The stand-in serves the logs, processes and ports of the pods: a command that
//! a client runs in a pod is a process on this machine.

mod api_server;
pub mod build;
pub mod cli;
mod component;
mod control_plane;
mod etcd;
mod flags;
mod health;
mod http;
mod kubeconfig;
mod nodes;
mod options;
mod pki;
mod ports;
mod start;
mod tcp_proxy;
mod tokens;
mod version;

pub use api_server::ApiServer;
pub use cli::{Args, run};
pub use control_plane::Cluster;
pub use etcd::{Etcd, Snapshot};
pub use health::Death;
pub use kubeconfig::Credentials;
pub use options::{FeatureGate, MAX_API_SERVERS, Options, Source, User};
pub use pki::Authority;
pub use pki::Identity;
pub use tcp_proxy::TcpProxy;
pub use version::KubernetesVersion;
