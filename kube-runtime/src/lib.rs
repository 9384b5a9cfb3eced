//! The crate root re-exports the common entry points.
#![doc = include_str!("../README.md")]

pub mod controller;
pub mod events;
pub mod finalizer;
pub mod informer;
pub mod leader;
mod log_limit;
#[cfg(feature = "manager")]
pub mod manager;
mod metrics;
mod poll_cycle;
pub mod prelude;
mod queue;
mod random;
pub mod reflector;
#[cfg(any(feature = "manager", feature = "webhook"))]
mod serving;
pub mod status;
mod time;
pub mod utils;
pub mod wait;
pub mod watch_ext;
pub mod watcher;
#[cfg(feature = "webhook")]
pub mod webhook;

pub use controller::{Config, Controller};
pub use finalizer::finalizer;
pub use informer::{Informer, SharedInformer};
#[cfg(feature = "manager")]
pub use manager::Manager;
pub use random::seed;
pub use reflector::{Reflector, reflector};
pub use time::start_time;
pub use wait::conditions;
pub use watch_ext::{Predicate, PredicateConfig, WatchStreamExt, predicates};
pub use watcher::{metadata_watcher, watcher};
