//! What the tasks of `cargo xtask` are made of. `main.rs` only lists them.
//!
//! This is a library so that the end-to-end suites can start a [`cluster::Cluster`] of their own.

pub mod bench;
pub mod cargo;
pub mod cluster;
pub mod demo;
pub mod e2e;
pub mod logging;
pub mod process;
pub mod progress;
pub mod record;
pub mod sim;
pub mod test;
pub mod tidy;
