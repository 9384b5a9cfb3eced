//! The Kubernetes API's model without any IO: kinds, objects, parameters, requests, selectors, answers.
//!
//! Nothing in here performs IO, reads a clock or depends on an async runtime; it is all that is left of the crate
//! without its `client` feature.

mod response;

pub use response::{Status, StatusCause, StatusDetails, StatusSummary, reason};
