//! Metrics through the facade of the crate `metrics` (Cargo feature `metrics`). If client-go or controller-runtime has the
//! same metric, the name and the labels are also the same. This module must not log: its callers log.
//!
//! Without the feature, the types are empty and the methods do nothing.

mod controller;
mod leader;
mod watch;
#[cfg(feature = "webhook")]
mod webhook;

pub(crate) use controller::{ControllerMetrics, Outcome};
pub(crate) use leader::set_leader_metric;
pub(crate) use watch::{ObjectsAndBytes, WatchMetrics, count_large_mapping};
#[cfg(feature = "webhook")]
pub(crate) use webhook::WebhookRequestMetrics;
