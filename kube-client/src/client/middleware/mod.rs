//! Layers for every request: address, headers, retries, time limits, warnings, tracing.
//!
//! The layers are independent of each other; `builder` defines their order. The layers must not depend on credentials
//! or connections.

mod base_uri;
mod headers;
mod idle;
mod retry;
mod timeout;
mod trace;
mod warnings;

pub(super) use base_uri::BaseUriLayer;
pub(super) use headers::HeadersLayer;
pub use idle::IdleLimit;
pub(super) use retry::RetryLayer;
pub(super) use timeout::TimeoutLayer;
pub(super) use trace::TraceLayer;
pub(super) use warnings::WarningLayer;
