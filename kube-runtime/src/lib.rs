//! Watchers, reflectors, informers and controllers for Kubernetes.

mod cycle;
pub mod informer;
mod random;
pub mod reflector;
pub mod watcher;

pub use informer::Informer;
pub use random::seed;
pub use reflector::{Reflector, reflector};
pub use watcher::watcher;
