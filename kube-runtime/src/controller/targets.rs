//! `Targets`: the objects to reconcile for each watched object. After a change of a watched object, its previous
//! targets are also reconciled.

use super::key::{Key, SharedKeys};
use foldhash::HashMap;
use std::sync::Arc;

/// The objects to reconcile for each watched object (its targets). Stores only keys, and no entry for a watched object
/// without targets.
#[derive(Default)]
pub(super) struct Targets {
    by_object: HashMap<Key, Arc<[Key]>>,
    keys: SharedKeys,
}

impl Targets {
    /// Stores the targets of an added or modified object. Returns the new and the previous targets. If `targets` is
    /// `None`, the mapper panicked: the object keeps its targets, and none are returned.
    pub(super) fn set(&mut self, object: Key, targets: Option<Vec<Key>>) -> Vec<Key> {
        let Some(now) = targets.map(|targets| self.keys.share(targets)) else { return Vec::new() };
        if now.is_empty() {
            return self.by_object.remove(&object).map(|before| before.to_vec()).unwrap_or_default();
        }
        let before = self.by_object.insert(object, now.clone());
        union(&now, &before.unwrap_or_default())
    }

    /// Removes a deleted object. Returns its previous targets, and `last`, which the mapper returned for its final
    /// state.
    pub(super) fn remove(&mut self, object: &Key, last: Vec<Key>) -> Vec<Key> {
        let before = self.by_object.remove(object).unwrap_or_default();
        union(&self.keys.share(last), &before)
    }
}

/// The current targets, followed by the previous targets that are not among them. Both arguments must be sorted.
pub(super) fn union(now: &[Key], before: &[Key]) -> Vec<Key> {
    let before = if now == before { &[] } else { before };
    let removed = before.iter().filter(|name| now.binary_search(name).is_err());
    now.iter().chain(removed).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<Key> {
        names.iter().map(|name| Key::new(Some("ns"), name)).collect()
    }

    fn object(name: &str) -> Key {
        Key::new(Some("ns"), name)
    }

    /// Sets the targets of an object, and compares the returned names.
    #[track_caller]
    fn check(targets: &mut Targets, name: &str, now: Option<&[&str]>, expected: &[&str]) {
        let mut returned = targets.set(object(name), now.map(names));
        returned.sort();
        assert_eq!(returned, names(expected));
    }

    #[test]
    fn returns_previous_and_current_targets_and_drops_objects_without_targets() {
        let mut targets = Targets::default();
        check(&mut targets, "a", Some(&["x"]), &["x"]);
        check(&mut targets, "a", Some(&["y", "y"]), &["x", "y"]);
        check(&mut targets, "a", Some(&[]), &["y"]);
        check(&mut targets, "a", Some(&[]), &[]);
        check(&mut targets, "a", Some(&["z"]), &["z"]);
        assert_eq!(targets.remove(&object("a"), names(&["w"])), names(&["w", "z"]));
        assert_eq!(targets.remove(&object("b"), names(&["w"])), names(&["w"]));
        check(&mut targets, "c", Some(&[]), &[]);
        assert!(targets.by_object.is_empty());
    }

    #[test]
    fn keeps_the_targets_of_an_object_if_the_mapper_fails() {
        let mut targets = Targets::default();
        check(&mut targets, "a", Some(&["x"]), &["x"]);
        check(&mut targets, "a", None, &[]);
        check(&mut targets, "b", None, &[]);
        check(&mut targets, "a", Some(&["y"]), &["x", "y"]);
        assert_eq!(targets.remove(&object("a"), Vec::new()), names(&["y"]));
        assert_eq!(targets.remove(&object("a"), Vec::new()), []);
    }

    #[test]
    fn shares_equal_targets_between_objects() {
        let mut targets = Targets::default();
        check(&mut targets, "a", Some(&["x", "y"]), &["x", "y"]);
        check(&mut targets, "b", Some(&["y", "x"]), &["x", "y"]);
        let [a, b] = ["a", "b"].map(|name| &targets.by_object[&object(name)]);
        assert!(Arc::ptr_eq(a, b));
    }
}
