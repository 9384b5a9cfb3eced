//! What happens to every request on its way: address, headers, repetition, time limits, traces.
//!
//! Each layer stands alone; the builder decides on their order. None of them knows credentials or connections.

mod base_uri;
mod headers;
mod idle;
mod retry;
mod timeout;
mod trace;

pub(super) use base_uri::BaseUriLayer;
pub(super) use headers::HeadersLayer;
pub use idle::IdleLimit;
pub(super) use retry::RetryLayer;
pub(super) use timeout::TimeoutLayer;
pub(super) use trace::TraceLayer;
