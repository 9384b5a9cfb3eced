//! `cargo xtask conformance`: sends the same requests to kube-sim and to a real API server, and compares the responses.
//!
//! Two kinds of cases are compared:
//!
//! - `scenario`: sequences of requests from `data/scenarios`. Status, relevant headers and body have to be equal
//!   after `mask` has replaced the values that differ in each run. The real server must accept each request, or refuse
//!   it with the status that the scenario states.
//! - `mutation`: each object of `data/objects.yaml`, with one field changed. The HTTP status, the reason and the fields
//!   that the server reports have to be equal.
//!
//! `coverage` checks that each resource that the real server stores has an object in `data/objects.yaml`.
//!
//! The real server is right. `data/known.yaml` contains the differences of scenarios that are kept, each with a reason,
//! and `data/mutations.txt` lists the mutations that are judged differently. Every other difference fails the run.

mod case;
mod cli;
mod coverage;
mod endpoint;
mod known;
mod mask;
mod mutation;
mod observation;
mod runner;
mod scenario;

pub use cli::{Args, run};
