//! `cargo xtask bench`: measures this project, kube and client-go on the same bytes in one run.
//!
//! `rows` defines the measurements and `targets` the required results. A mock API server (`bench-load`) serves prepared
//! bytes from its own process. `build` compiles the contenders: one program for each measured library. `run` starts a
//! new process for each run of a row, `figures` computes the medians, and `table` formats them. The folder `shared/` has
//! the measured Rust code, `ours/` and `kube/` have the calls that differ between the two Rust libraries, and
//! `client-go/` has the measured Go code.

mod build;
mod build_times;
mod cli;
mod cold_build;
mod contender;
mod figures;
mod growth;
mod kinds_build;
mod mock_server;
mod process;
mod report;
mod rows;
mod run;
mod sim;
mod table;
mod targets;
mod touch;
mod user_package;

pub use cli::{Args, run};
