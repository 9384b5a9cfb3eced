//! The stream combinators and backoffs under the paths that kube has for them.

pub use crate::reflector::Reflect;
pub use crate::watch_ext::{
    EventDecode, EventModify, Predicate, PredicateConfig, PredicateFilter, StreamBackoff, WatchStreamExt,
    predicates,
};
pub use crate::watcher::{Backoff, ResetTimerBackoff};
