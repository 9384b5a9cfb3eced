//! `watch_object`: watches one object by name.

use super::{Config, Error, Event, Result, watcher};
use futures::{Stream, StreamExt, stream};
use kube_client::core::{ObjectOrigin, UndecodableObject};
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;

/// Watches one object: emits `Some` when the object is added or modified, and `None` when the object does not exist.
///
/// The first item is the current state, or an error. Errors are items and do not end the stream, as in
/// [`watcher`](super::watcher()).
///
/// # Cancel safety
///
/// The stream may be polled inside `select!`: no event is lost when another branch completes first.
pub fn watch_object<K>(api: Api<K>, name: &str) -> impl Stream<Item = Result<Option<K>>> + Send
where
    K: Resource + DeserializeOwned + Send + 'static,
{
    let config = Config::default().fields(&format!("metadata.name={name}"));
    let name = name.to_owned();
    let mut snapshot = SnapshotState::Complete;
    watcher(api, config).flat_map(move |event| {
        let (error, item) = match event {
            Ok(event) => (None, snapshot.item_for_event(event, &name)),
            Err(Error::Object(object)) => {
                let item = snapshot.item_for_undecodable_object(&object, &name);
                (Some(Error::Object(object)), item)
            }
            Err(error) => (Some(error), None),
        };
        stream::iter(error.map(Err).into_iter().chain(item.map(Ok)))
    })
}

/// Whether a snapshot is in progress, and the object in it.
enum SnapshotState<K> {
    /// No snapshot is in progress: changes are emitted immediately.
    Complete,
    /// A snapshot is in progress. Contains the object once it has arrived.
    InProgress(Option<K>),
    /// A snapshot is in progress and contains the object, but the object could not be decoded.
    Undecodable,
}

impl<K: Resource> SnapshotState<K> {
    /// The item to emit after an event. The outer `None` means that nothing is emitted.
    #[expect(clippy::option_option, reason = "the inner `Option` is the stream's item")]
    fn item_for_event(&mut self, event: Event<K>, name: &str) -> Option<Option<K>> {
        match event {
            Event::Init => {
                *self = Self::InProgress(None);
                None
            }
            Event::InitDone => match std::mem::replace(self, Self::Complete) {
                Self::InProgress(present) => Some(present),
                Self::Complete | Self::Undecodable => None,
            },
            // Keep only the object with this name: a server without support for the field selector also sends other
            // objects.
            Event::InitApply(object) => {
                if is_named(&object, name) {
                    *self = Self::InProgress(Some(object));
                }
                None
            }
            Event::Apply(object) => is_named(&object, name).then_some(Some(object)),
            Event::Delete(object) if is_named(&object, name) => match self {
                // The object was deleted before the snapshot was complete. Emit nothing now: the stream emits `None` at
                // `InitDone`.
                Self::InProgress(_) | Self::Undecodable => {
                    *self = Self::InProgress(None);
                    None
                }
                Self::Complete => Some(None),
            },
            Event::Delete(_) => None,
        }
    }

    /// The item to emit for an undecodable object, in addition to the error.
    #[expect(clippy::option_option, reason = "the inner `Option` is the stream's item")]
    fn item_for_undecodable_object(&mut self, object: &UndecodableObject, name: &str) -> Option<Option<K>> {
        if object.name.as_deref() != Some(name) {
            return None;
        }
        match (&self, object.origin) {
            (Self::Complete, ObjectOrigin::Deleted) => return Some(None),
            (Self::Complete, _) => {}
            (Self::InProgress(_) | Self::Undecodable, ObjectOrigin::Deleted) => {
                *self = Self::InProgress(None);
            }
            (Self::InProgress(_) | Self::Undecodable, _) => *self = Self::Undecodable,
        }
        None
    }
}

/// Whether the object has this name.
fn is_named<K: Resource>(object: &K, name: &str) -> bool {
    object.meta().name.as_deref() == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    #[test]
    fn an_object_deleted_during_the_snapshot_does_not_exist() {
        let map = |name: &str| {
            let mut map = ConfigMap::default();
            map.metadata.name = Some(name.into());
            map
        };
        let mut snapshot = SnapshotState::Complete;
        let mut item = |event| snapshot.item_for_event(event, "a").map(|object| object.is_some());
        for (event, expected) in [
            (Event::Init, None),
            (Event::InitApply(map("a")), None),
            (Event::InitApply(map("b")), None),
            (Event::Delete(map("a")), None),
            (Event::InitDone, Some(false)),
            (Event::Apply(map("a")), Some(true)),
            (Event::Apply(map("b")), None),
            (Event::Delete(map("b")), None),
            (Event::Delete(map("a")), Some(false)),
            (Event::Init, None),
            (Event::InitApply(map("a")), None),
            (Event::InitDone, Some(true)),
        ] {
            assert_eq!(item(event.clone()), expected, "{event:?}");
        }
    }

    #[test]
    fn an_undecodable_object_exists_until_its_deletion() {
        let undecodable = |name: &str, origin| {
            let source = serde_json::from_str::<u8>("x").unwrap_err();
            let mut object = UndecodableObject::new("ConfigMap", origin, source);
            object.name = Some(name.into());
            object
        };
        let mut snapshot = SnapshotState::<ConfigMap>::Complete;
        snapshot.item_for_event(Event::Init, "a");
        assert_eq!(snapshot.item_for_undecodable_object(&undecodable("a", ObjectOrigin::List), "a"), None);
        assert_eq!(
            snapshot.item_for_event(Event::InitDone, "a"),
            None,
            "it exists, and its state is unknown"
        );
        assert_eq!(
            snapshot.item_for_undecodable_object(&undecodable("a", ObjectOrigin::Modified), "a"),
            None
        );
        assert_eq!(snapshot.item_for_undecodable_object(&undecodable("b", ObjectOrigin::Deleted), "a"), None);
        assert_eq!(
            snapshot.item_for_undecodable_object(&undecodable("a", ObjectOrigin::Deleted), "a"),
            Some(None)
        );
        snapshot.item_for_event(Event::Init, "a");
        snapshot.item_for_undecodable_object(&undecodable("a", ObjectOrigin::Added), "a");
        snapshot.item_for_undecodable_object(&undecodable("a", ObjectOrigin::Deleted), "a");
        assert_eq!(snapshot.item_for_event(Event::InitDone, "a"), Some(None));
    }
}
