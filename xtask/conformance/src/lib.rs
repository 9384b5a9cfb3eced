//! `cargo xtask conformance`: sends the same requests to kube-sim and to a real API server, and compares the responses.
//!
//! There are two kinds of cases:
//!
//! - `scenario`: a sequence of requests, from `data/scenarios` or for an object of `data/objects.yaml`. The status, the
//!   relevant headers and the body of each response have to be equal after `mask` has replaced the values that differ
//!   in each run. A request of a scenario can exclude parts of the body from the comparison. The real server must accept
//!   each request, or refuse it with the status that the scenario states.
//! - `mutation`: the creation of an object of `data/objects.yaml`, unchanged or with one changed field. The HTTP status,
//!   the reason and the invalid fields that the servers report have to be equal.
//!
//! `coverage` checks that each resource that the real server stores has an object in `data/objects.yaml`.
//!
//! If the responses differ, the real server is right. `data/known.yaml` lists the scenarios whose responses may differ,
//! each with a reason, and `data/mutations.txt` lists the mutations whose responses may differ. Every other difference
//! of a scenario or a mutation fails the run.

mod case;
mod cli;
mod coverage;
mod endpoint;
mod known_differences;
mod mask;
mod mutation;
mod observation;
mod runner;
mod scenario;

pub use cli::{Args, run};
