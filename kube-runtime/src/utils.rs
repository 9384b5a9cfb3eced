//! Re-exports the stream combinators and backoffs at the paths that they have in the crate kube.

pub use crate::reflector::Reflect;
pub use crate::watch_ext::{
    EventDecode, EventModify, Predicate, PredicateConfig, PredicateFilter, StreamBackoff, WatchStreamExt,
    predicates,
};
pub use crate::watcher::{Backoff, ResetTimerBackoff};
