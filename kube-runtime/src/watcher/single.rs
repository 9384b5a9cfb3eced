//! `watch_object`: one object, by name.

use super::{Config, Error, Event, Result, watcher};
use futures::{Stream, StreamExt, stream};
use kube_client::core::{ObjectOrigin, UndecodableObject};
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;

/// Watches one object: `Some` whenever it is new or has changed, `None` when it is not there.
///
/// The first item tells the present state; where the object does not decode, that is an error. Errors are items, and the stream heals itself, as that of
/// [`watcher`](super::watcher()) does.
///
/// # Cancel safety
///
/// The stream may be polled inside `select!`.
pub fn watch_object<K>(api: Api<K>, name: &str) -> impl Stream<Item = Result<Option<K>>> + Send
where
    K: Resource + DeserializeOwned + Send + 'static,
{
    let config = Config::default().fields(&format!("metadata.name={name}"));
    let name = name.to_owned();
    let mut listed = Listed::Complete;
    watcher(api, config).flat_map(move |event| {
        let (error, told) = match event {
            Ok(event) => (None, listed.take(event, &name)),
            Err(Error::Object(object)) => {
                let told = listed.take_undecodable(&object, &name);
                (Some(Error::Object(object)), told)
            }
            Err(error) => (Some(error), None),
        };
        stream::iter(error.map(Err).into_iter().chain(told.map(Ok)))
    })
}

/// What is known of the object while the present state arrives.
enum Listed<K> {
    /// The state is complete: changes are told as they come.
    Complete,
    /// It is arriving, and has held this so far.
    Arriving(Option<K>),
    /// It is arriving, and has the object, which does not decode.
    Unreadable,
}

impl<K: Resource> Listed<K> {
    /// What an event tells about the object of that name; the outer `None`: nothing.
    #[expect(clippy::option_option, reason = "the inner one is what the stream's items are")]
    fn take(&mut self, event: Event<K>, name: &str) -> Option<Option<K>> {
        match event {
            Event::Init => {
                *self = Self::Arriving(None);
                None
            }
            Event::InitDone => match std::mem::replace(self, Self::Complete) {
                Self::Arriving(present) => Some(present),
                Self::Complete | Self::Unreadable => None,
            },
            // An API server that does not filter by name would send others, too.
            Event::InitApply(object) => {
                if is_named(&object, name) {
                    *self = Self::Arriving(Some(object));
                }
                None
            }
            Event::Apply(object) => is_named(&object, name).then_some(Some(object)),
            // It went away again before the state was complete.
            Event::Delete(object) if is_named(&object, name) => match self {
                Self::Arriving(_) | Self::Unreadable => {
                    *self = Self::Arriving(None);
                    None
                }
                Self::Complete => Some(None),
            },
            Event::Delete(_) => None,
        }
    }

    /// What an object that does not decode tells, besides that.
    #[expect(clippy::option_option, reason = "the inner one is what the stream's items are")]
    fn take_undecodable(&mut self, object: &UndecodableObject, name: &str) -> Option<Option<K>> {
        if object.name.as_deref() != Some(name) {
            return None;
        }
        match (&self, object.origin) {
            (Self::Complete, ObjectOrigin::Deleted) => return Some(None),
            (Self::Complete, _) => {}
            (Self::Arriving(_) | Self::Unreadable, ObjectOrigin::Deleted) => *self = Self::Arriving(None),
            (Self::Arriving(_) | Self::Unreadable, _) => *self = Self::Unreadable,
        }
        None
    }
}

fn is_named<K: Resource>(object: &K, name: &str) -> bool {
    object.meta().name.as_deref() == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    #[test]
    fn what_goes_away_before_the_state_is_complete_is_not_there() {
        let map = |name: &str| {
            let mut map = ConfigMap::default();
            map.metadata.name = Some(name.into());
            map
        };
        let mut listed = Listed::Complete;
        let mut told = |event| listed.take(event, "a").map(|object| object.is_some());
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
            assert_eq!(told(event.clone()), expected, "{event:?}");
        }
    }

    #[test]
    fn what_does_not_decode_is_there_until_it_is_gone() {
        let undecodable = |name: &str, origin| {
            let source = serde_json::from_str::<u8>("x").unwrap_err();
            let mut object = UndecodableObject::new("ConfigMap", origin, source);
            object.name = Some(name.into());
            object
        };
        let mut listed = Listed::<ConfigMap>::Complete;
        listed.take(Event::Init, "a");
        assert_eq!(listed.take_undecodable(&undecodable("a", ObjectOrigin::List), "a"), None);
        assert_eq!(listed.take(Event::InitDone, "a"), None, "it is there, and nobody knows what it is");
        assert_eq!(listed.take_undecodable(&undecodable("a", ObjectOrigin::Modified), "a"), None);
        assert_eq!(listed.take_undecodable(&undecodable("b", ObjectOrigin::Deleted), "a"), None);
        assert_eq!(listed.take_undecodable(&undecodable("a", ObjectOrigin::Deleted), "a"), Some(None));
        listed.take(Event::Init, "a");
        listed.take_undecodable(&undecodable("a", ObjectOrigin::Added), "a");
        listed.take_undecodable(&undecodable("a", ObjectOrigin::Deleted), "a");
        assert_eq!(listed.take(Event::InitDone, "a"), Some(None));
    }
}
