//! Creates the inputs of `step` for the parts of a response. The driver reads the response; this module
//! must not read it.

use super::super::error::type_name_of;
use super::super::source::Source;
use super::super::step::{Input, Phase};
use super::super::storable::Storable;
use kube_client::Error as ClientError;
use kube_client::api::ListStream;
use kube_client::core::{ObjectOrigin, UndecodableObject, WatchEvent};
use serde::de::Error as _;

/// The input at the end of a page of a list.
pub(super) fn input_for_page_end<K>(page: &ListStream<K>) -> Input {
    let metadata = page.metadata();
    Input::PageDone {
        continue_token: metadata.and_then(|m| m.continue_.clone()),
        version: metadata.and_then(|m| m.resource_version.clone()),
    }
}

/// The input for an error while a response is read. Reports undecodable objects to the filters.
pub(super) fn input_from_error<K>(error: ClientError, phase: Phase, source: &dyn Source<K>) -> Input {
    match error {
        ClientError::Object(object) => {
            source.forget(&object);
            Input::Undecodable(object)
        }
        error => Input::Failed(phase, error),
    }
}

/// The input for an object of a list.
pub(super) fn input_for_item<K: Storable>(object: &K) -> Input {
    input_for_unnamed_object(object, ObjectOrigin::List).unwrap_or(Input::Item)
}

/// The input for an event about an object; `None` for other events.
pub(super) fn input_for_change<K: Storable>(event: &WatchEvent<K>) -> Option<Input> {
    let (object, origin) = match event {
        WatchEvent::Added(object) => (object, ObjectOrigin::Added),
        WatchEvent::Modified(object) => (object, ObjectOrigin::Modified),
        WatchEvent::Deleted(object) => (object, ObjectOrigin::Deleted),
        WatchEvent::Bookmark(_) | WatchEvent::Error(_) => return None,
    };
    if let Some(unnamed) = input_for_unnamed_object(object, origin) {
        return Some(unnamed);
    }
    let version = object.version().map(ToOwned::to_owned);
    Some(if origin == ObjectOrigin::Deleted { Input::Deleted(version) } else { Input::Changed(version) })
}

/// The input for an object without a name: `Undecodable`, because a store cannot tell unnamed objects apart. `None` for
/// an object with a name.
fn input_for_unnamed_object<K: Storable>(object: &K, origin: ObjectOrigin) -> Option<Input> {
    let (namespace, name) = object.key();
    if !name.is_empty() {
        return None;
    }
    let source = serde_json::Error::custom("metadata.name is missing or empty");
    let mut unnamed = UndecodableObject::new(type_name_of::<K>(), origin, source);
    unnamed.namespace = Some(namespace.to_owned()).filter(|namespace| !namespace.is_empty());
    unnamed.resource_version = object.version().map(ToOwned::to_owned);
    unnamed.uid = object.uid().map(ToOwned::to_owned);
    Some(Input::Undecodable(unnamed.into()))
}
