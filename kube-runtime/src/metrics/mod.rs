//! Metrics through the facade of the crate `metrics` (Cargo feature `metrics`). Where client-go or controller-runtime
//! has a metric, it has the same name and labels here. This module must not log: the callers do.
//!
//! Without the feature, the types are empty and the methods do nothing.

mod controller;
mod leader;
mod watch;
#[cfg(feature = "webhook")]
mod webhook;

pub(crate) use controller::{ControllerMetrics, Outcome};
pub(crate) use leader::set_leader;
pub(crate) use watch::{Size, WatchMetrics, count_large_mapping};
#[cfg(feature = "webhook")]
pub(crate) use webhook::WebhookRequest;
