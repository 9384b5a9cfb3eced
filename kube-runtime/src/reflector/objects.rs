//! `Objects`: objects by namespace and name.

use ahash::AHashMap;
use kube_client::core::ObjectMeta;

/// Objects of one kind, in whatever form they are kept. Names are looked up without being copied, and a namespace's name is held once.
#[derive(Debug)]
pub(super) struct Objects<T> {
    /// Objects of the cluster are under the empty namespace, which no namespace is called.
    namespaces: AHashMap<Box<str>, AHashMap<Box<str>, T>>,
    len: usize,
}

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self { namespaces: AHashMap::new(), len: 0 }
    }
}

/// Where an object belongs.
pub(super) fn place(meta: &ObjectMeta) -> (&str, &str) {
    (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

impl<T> Objects<T> {
    pub(super) fn get(&self, (namespace, name): (&str, &str)) -> Option<&T> {
        self.namespaces.get(namespace)?.get(name)
    }

    /// Puts an object in its place; what was there before.
    pub(super) fn insert(&mut self, (namespace, name): (&str, &str), object: T) -> Option<T> {
        if !self.namespaces.contains_key(namespace) {
            self.namespaces.insert(namespace.into(), AHashMap::new());
        }
        let objects = self.namespaces.get_mut(namespace)?;
        if let Some(slot) = objects.get_mut(name) {
            return Some(std::mem::replace(slot, object));
        }
        objects.insert(name.into(), object);
        self.len += 1;
        None
    }

    pub(super) fn remove(&mut self, (namespace, name): (&str, &str)) -> Option<T> {
        let objects = self.namespaces.get_mut(namespace)?;
        let removed = objects.remove(name)?;
        if objects.is_empty() {
            self.namespaces.remove(namespace);
        }
        self.len -= 1;
        Some(removed)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.namespaces.values().flat_map(|objects| objects.values())
    }

    /// The objects that `other` has nothing in the place of.
    pub(super) fn missing_from(self, other: &Self) -> Vec<T> {
        let mut missing = Vec::new();
        for (namespace, objects) in self.namespaces {
            let others = other.namespaces.get(&namespace);
            let gone = |name: &str| others.is_none_or(|others| !others.contains_key(name));
            missing.extend(objects.into_iter().filter(|(name, _)| gone(name)).map(|(_, object)| object));
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn counts_what_it_holds_and_forgets_empty_namespaces() {
        let mut objects = Objects::default();
        assert!(objects.insert(("a", "x"), Arc::new(1)).is_none());
        assert_eq!(objects.insert(("a", "x"), Arc::new(2)).as_deref(), Some(&1));
        objects.insert(("", "x"), Arc::new(3));
        assert_eq!((objects.len(), objects.iter().count()), (2, 2));
        assert_eq!(objects.remove(("a", "x")).as_deref(), Some(&2));
        assert_eq!(objects.remove(("a", "x")), None);
        assert_eq!((objects.len(), objects.namespaces.len()), (1, 1));
    }

    #[test]
    fn finds_what_another_set_lacks() {
        let set = |places: &[(&'static str, &'static str)]| {
            let mut objects = Objects::default();
            for place in places {
                objects.insert(*place, Arc::new(*place));
            }
            objects
        };
        let mut missing =
            set(&[("a", "x"), ("a", "y"), ("b", "x")]).missing_from(&set(&[("a", "y"), ("c", "x")]));
        missing.sort();
        assert_eq!(missing.iter().map(|object| **object).collect::<Vec<_>>(), [("a", "x"), ("b", "x")]);
    }
}
