//! `watch_object`: one object, by name.

use super::{Config, Event, Result, watcher};
use futures::{Stream, StreamExt};
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;

/// Watches one object: `Some` whenever it is new or has changed, `None` when it is not there.
///
/// The first item tells the present state. Errors are items, and the stream heals itself, as that of
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
    watcher(api, config).filter_map(move |event| {
        let item = event.map(|event| listed.take(event, &name)).transpose();
        std::future::ready(item)
    })
}

/// What is known of the object while the present state arrives.
enum Listed<K> {
    /// The state is complete: changes are told as they come.
    Complete,
    /// It is arriving, and has held this so far.
    Arriving(Option<K>),
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
                Self::Complete => None,
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
                Self::Arriving(present) => {
                    *present = None;
                    None
                }
                Self::Complete => Some(None),
            },
            Event::Delete(_) => None,
        }
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
}
