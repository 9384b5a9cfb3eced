//! Tests of discovery on kube-sim, and on mock servers that respond with the documents of a test.

mod documents;
mod faults;
mod mapper;
mod names;
