//! `Objects`: objects by namespace and name.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use kube_client::core::ObjectMeta;
use std::hash::BuildHasher;

/// What has a place.
pub(super) trait Placed {
    /// Namespace and name. Objects of the cluster are in the empty namespace, which no namespace is called.
    fn place(&self) -> (&str, &str);
}

/// Objects of one kind, in whatever form they are kept. Their places are read from the objects, and not held twice.
#[derive(Debug)]
pub(super) struct Objects<T> {
    table: HashTable<T>,
    hasher: RandomState,
}

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self { table: HashTable::new(), hasher: RandomState::default() }
    }
}

/// Where an object belongs.
pub(super) fn place(meta: &ObjectMeta) -> (&str, &str) {
    (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

impl<T> Objects<T> {
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.table.iter()
    }
}

impl<T: Placed> Objects<T> {
    pub(super) fn get(&self, place: (&str, &str)) -> Option<&T> {
        self.table.find(self.hasher.hash_one(place), |object| object.place() == place)
    }

    /// The object there, to be replaced by one with the same place.
    pub(super) fn get_mut(&mut self, place: (&str, &str)) -> Option<&mut T> {
        self.table.find_mut(self.hasher.hash_one(place), |object| object.place() == place)
    }

    /// Puts an object in its place; what was there before.
    pub(super) fn insert(&mut self, object: T) -> Option<T> {
        let Self { table, hasher } = self;
        let place = object.place();
        let hash = hasher.hash_one(place);
        if let Some(slot) = table.find_mut(hash, |known| known.place() == place) {
            return Some(std::mem::replace(slot, object));
        }
        table.insert_unique(hash, object, |known| hasher.hash_one(known.place()));
        None
    }

    pub(super) fn remove(&mut self, place: (&str, &str)) -> Option<T> {
        let Self { table, hasher } = self;
        let found = table.find_entry(hasher.hash_one(place), |object| object.place() == place).ok()?;
        let removed = found.remove().0;
        // Room for many more objects than there are is given back, but not so soon that it would come and go.
        if table.capacity() > 64 && table.len() < table.capacity() / 8 {
            table.shrink_to(2 * table.len(), |known| hasher.hash_one(known.place()));
        }
        Some(removed)
    }

    /// The objects that `other` has nothing in the place of.
    pub(super) fn missing_from(self, other: &Self) -> Vec<T> {
        self.table.into_iter().filter(|object| other.get(object.place()).is_none()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place, and a value there.
    #[derive(Debug, PartialEq)]
    struct Item(&'static str, String, u8);

    impl Placed for Item {
        fn place(&self) -> (&str, &str) {
            (self.0, &self.1)
        }
    }

    fn item(namespace: &'static str, name: &str, value: u8) -> Item {
        Item(namespace, name.to_owned(), value)
    }

    #[test]
    fn an_object_has_one_place() {
        let mut objects = Objects::default();
        assert_eq!(objects.insert(item("a", "x", 1)), None);
        assert_eq!(objects.insert(item("a", "x", 2)), Some(item("a", "x", 1)));
        objects.insert(item("", "x", 3));
        assert_eq!((objects.len(), objects.iter().count()), (2, 2));
        assert_eq!(objects.get(("", "x")), Some(&item("", "x", 3)));
        assert_eq!(objects.remove(("a", "x")), Some(item("a", "x", 2)));
        assert_eq!(objects.remove(("a", "x")), None);
        assert_eq!((objects.len(), objects.get(("a", "x"))), (1, None));
    }

    #[test]
    fn many_come_and_go_and_their_room_with_them() {
        let mut objects = Objects::default();
        for n in 0..10_000 {
            objects.insert(item("a", &n.to_string(), 0));
        }
        for n in 0..9_990 {
            assert!(objects.remove(("a", &n.to_string())).is_some());
        }
        assert!(objects.table.capacity() < 200, "room for {}", objects.table.capacity());
        assert_eq!(objects.len(), 10);
        for n in 9_990..10_000 {
            assert!(objects.get(("a", &n.to_string())).is_some());
        }
    }

    #[test]
    fn finds_what_another_set_lacks() {
        let set = |places: &[(&'static str, &str)]| {
            let mut objects = Objects::default();
            for (namespace, name) in places {
                objects.insert(item(namespace, name, 0));
            }
            objects
        };
        let missing =
            set(&[("a", "x"), ("a", "y"), ("b", "x")]).missing_from(&set(&[("a", "y"), ("c", "x")]));
        let mut missing: Vec<_> = missing.iter().map(Placed::place).collect();
        missing.sort_unstable();
        assert_eq!(missing, [("a", "x"), ("b", "x")]);
    }
}
