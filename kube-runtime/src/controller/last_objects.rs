//! `LastObjects`: the last state of each watched object, for mappers that are also called with the previous state.

use super::targets::NamespacedName;
use crate::watcher::{Event, Result};
use foldhash::HashMap;
use kube_client::Resource;
use kube_client::core::ObjectOrigin;

/// The last state of each watched object.
pub(super) struct LastObjects<K> {
    objects: HashMap<NamespacedName, Entry<K>>,
}

/// The last state of a watched object.
struct Entry<K> {
    object: K,
    /// `false` from the beginning of a relist until the relist has returned the object.
    seen: bool,
}

impl<K> Default for LastObjects<K> {
    fn default() -> Self {
        Self { objects: HashMap::default() }
    }
}

impl<K: Resource + Clone> LastObjects<K> {
    /// Applies an item of a watch. Returns the previous states of the objects that the item modifies or deletes.
    pub(super) fn replaced_by(&mut self, item: &Result<Event<K>>) -> Vec<K> {
        match item {
            Ok(Event::Init) => {
                self.objects.values_mut().for_each(|entry| entry.seen = false);
                Vec::new()
            }
            Ok(Event::InitApply(object) | Event::Apply(object)) => {
                let entry = Entry { object: object.clone(), seen: true };
                let last = self.objects.insert(NamespacedName::of(object.meta()), entry);
                let version = &object.meta().resource_version;
                last.map(|last| last.object)
                    .filter(|last| version.is_none() || last.meta().resource_version != *version)
                    .into_iter()
                    .collect()
            }
            Ok(Event::Delete(object)) => self.remove(&NamespacedName::of(object.meta())),
            Ok(Event::InitDone) => {
                self.objects.extract_if(|_, entry| !entry.seen).map(|(_, entry)| entry.object).collect()
            }
            Err(error) => {
                let Some(object) = error.undecodable() else { return Vec::new() };
                let name = NamespacedName::new(object.namespace.as_deref(), object.name.as_deref());
                if object.origin == ObjectOrigin::Deleted {
                    return self.remove(&name);
                }
                if let Some(entry) = self.objects.get_mut(&name) {
                    entry.seen = true;
                }
                Vec::new()
            }
        }
    }

    /// Removes an object. Returns its last state, if there was one.
    fn remove(&mut self, name: &NamespacedName) -> Vec<K> {
        self.objects.remove(name).map(|entry| entry.object).into_iter().collect()
    }
}
