//! `cargo xtask bench`: this project beside its peers, on the same bytes, in one run.
//!
//! `rows` says what is measured and `targets` what is to be reached. A load source serves prepared bytes from a process
//! of its own; `build` makes the contenders, [`run`] has each do each row in a process of its own, `figures` are what
//! comes back, and `table` shows them. What a contender does for a row is in `xtask/bench/`, never here.

mod build;
mod cli;
mod cold;
mod contender;
mod figures;
mod growth;
mod process;
mod report;
mod rows;
mod run;
mod source;
mod table;
mod targets;
mod touch;

pub use cli::{Args, run};
