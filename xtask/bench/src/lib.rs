//! `cargo xtask bench`: measures this project, kube and client-go on the same bytes in one run.
//!
//! `rows` defines the measurements and `targets` the required results. A mock API server (`bench-load`) serves prepared
//! bytes from its own process. `build` compiles the contenders, `run` starts a new process for each row of each
//! contender, `figures` holds the medians, and `table` prints them. The measured code is in `shared/` (Rust), with the
//! calls that differ between the libraries in `ours/` and `kube/`, and in `client-go/` (Go).

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

pub use cli::{Args, run};
