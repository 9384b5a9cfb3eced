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
    let mut present = None;
    watcher(api, config).filter_map(move |event| {
        let item = match event {
            // An API server that does not filter by name would send others, too.
            Ok(Event::Apply(object)) if is_named(&object, &name) => Some(Ok(Some(object))),
            Ok(Event::Delete(object)) if is_named(&object, &name) => Some(Ok(None)),
            Ok(Event::InitApply(object)) if is_named(&object, &name) => {
                present = Some(object);
                None
            }
            Ok(Event::InitDone) => Some(Ok(present.take())),
            Ok(Event::Init) => {
                present = None;
                None
            }
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        };
        std::future::ready(item)
    })
}

fn is_named<K: Resource>(object: &K, name: &str) -> bool {
    object.meta().name.as_deref() == Some(name)
}
