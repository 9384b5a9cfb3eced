//! `cargo xtask bench`: measures this project, kube and client-go on the same bytes in one run.
//!
//! `rows` defines the measurements and `targets` the required results. A mock API server (`bench-load`) serves prepared
//! bytes from its own process. `build` compiles the contenders, [`run()`] executes each row of each contender in a new
//! process, `figures` holds the medians, and `table` prints them. The measured code is only in `shared/` (Rust) and
//! `client-go/` (Go).

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
