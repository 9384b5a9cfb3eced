//! `Event`: the items of a watcher.

use kube_client::{Resource, ResourceExt};
use std::fmt;

/// A change to a collection, or a part of a snapshot.
///
/// `Init` begins a snapshot and `InitDone` completes it. A store adds the object of each `InitApply` to a new map,
/// and swaps the map at `InitDone`. A `Delete` during the snapshot means that an object was deleted before the
/// snapshot was complete: the store removes the object from the new map. An `Apply` never occurs during a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<K> {
    /// The object was added or modified.
    Apply(K),
    /// The object was deleted, or the watcher no longer selects the object. The value is the last known state of the
    /// object.
    Delete(K),
    /// A snapshot begins.
    Init,
    /// An object of the snapshot.
    InitApply(K),
    /// The snapshot is complete.
    InitDone,
}

impl<K> Event<K> {
    /// Transforms the object.
    pub fn map<T>(self, f: impl FnOnce(K) -> T) -> Event<T> {
        match self {
            Self::Apply(object) => Event::Apply(f(object)),
            Self::Delete(object) => Event::Delete(f(object)),
            Self::Init => Event::Init,
            Self::InitApply(object) => Event::InitApply(f(object)),
            Self::InitDone => Event::InitDone,
        }
    }

    /// Modifies the object, if the event has one; for instance, clears unused fields.
    #[must_use]
    pub fn modify(mut self, f: impl FnOnce(&mut K)) -> Self {
        if let Self::Apply(object) | Self::Delete(object) | Self::InitApply(object) = &mut self {
            f(object);
        }
        self
    }
}

impl<K: Clone> From<&Event<K>> for Event<K> {
    fn from(event: &Event<K>) -> Self {
        event.clone()
    }
}

/// The name of the variant, and of the object if the event has one.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_runtime::watcher::Event;
///
/// let mut pod = Pod::default();
/// pod.metadata.name = Some("web".into());
/// assert_eq!(Event::Apply(pod).to_string(), "Apply(web)");
/// ```
impl<K: Resource> fmt::Display for Event<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, object) = match self {
            Self::Apply(object) => ("Apply", object),
            Self::Delete(object) => ("Delete", object),
            Self::InitApply(object) => ("InitApply", object),
            Self::Init => return f.write_str("Init"),
            Self::InitDone => return f.write_str("InitDone"),
        };
        write!(f, "{name}({})", object.name_any())
    }
}
