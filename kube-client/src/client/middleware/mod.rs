//! Layers for every request: address, headers, compression, retries, time limits, warnings, metrics, tracing.
//!
//! The client's builder defines the order of the layers. Only the retry layer depends on other layers: it marks retries
//! for the metrics layer, and records their number in the span of the trace layer. The public layers are for stacks that
//! are composed by hand: see [`ConfigExt`](crate::client::ConfigExt).

mod base_uri;
mod gzip;
mod headers;
mod idle_limit;
#[cfg(feature = "metrics")]
mod metrics;
mod retry;
mod timeout;
mod trace;
mod warnings;

// Re-exported so that this module contains all public layers. No other item of this module may depend on `auth`.
pub use super::auth::{Auth, AuthLayer};
pub use base_uri::{BaseUri, BaseUriLayer};
pub(super) use gzip::GzipLayer;
pub use headers::{ExtraHeaders, ExtraHeadersLayer};
pub use idle_limit::IdleLimit;
#[cfg(feature = "metrics")]
pub(super) use metrics::{MeasuredValues, MetricsLayer};
pub(super) use retry::{RetryLayer, retry_reason, retry_wait};
pub(super) use timeout::TimeoutLayer;
pub(super) use trace::TraceLayer;
pub(super) use warnings::WarningLayer;
