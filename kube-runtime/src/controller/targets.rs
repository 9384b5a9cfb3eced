//! `Targets` stores the targets of each watched object: the objects that the controller reconciles after a
//! change of the watched object. The controller then also reconciles the targets that the watched object had
//! before the change.

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
    /// `None`, the mapper panicked: the object keeps its targets, and the returned list is empty.
    pub(super) fn set(&mut self, object: Key, targets: Option<Vec<Key>>) -> Vec<Key> {
        let Some(now) = targets.map(|targets| self.keys.share(targets)) else { return Vec::new() };
        if now.is_empty() {
            return self.by_object.remove(&object).map(|before| before.to_vec()).unwrap_or_default();
        }
        let before = self.by_object.insert(object, now.clone());
        union(&now, &before.unwrap_or_default())
    }

    /// Removes a deleted object. Returns its stored targets and those in `last`. The mapper returned `last` for the final
    /// state of the object.
    pub(super) fn remove(&mut self, object: &Key, last: Vec<Key>) -> Vec<Key> {
        let before = self.by_object.remove(object).unwrap_or_default();
        union(&self.keys.share(last), &before)
    }
}

/// The keys in `now`, followed by the keys that only `before` contains. Both arguments must be sorted.
pub(super) fn union(now: &[Key], before: &[Key]) -> Vec<Key> {
    let before = if now == before { &[] } else { before };
    let removed = before.iter().filter(|name| now.binary_search(name).is_err());
    now.iter().chain(removed).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> Vec<Key> {
        names.iter().map(|name| Key::new(Some("ns"), name)).collect()
    }

    fn key(name: &str) -> Key {
        Key::new(Some("ns"), name)
    }

    /// Sets the targets of an object, and compares the returned keys.
    #[track_caller]
    fn set_and_check(targets: &mut Targets, name: &str, now: Option<&[&str]>, expected: &[&str]) {
        let mut returned = targets.set(key(name), now.map(keys));
        returned.sort();
        assert_eq!(returned, keys(expected));
    }

    #[test]
    fn previous_and_current_targets_are_returned_and_empty_lists_are_not_stored() {
        let mut targets = Targets::default();
        set_and_check(&mut targets, "a", Some(&["x"]), &["x"]);
        set_and_check(&mut targets, "a", Some(&["y", "y"]), &["x", "y"]);
        set_and_check(&mut targets, "a", Some(&[]), &["y"]);
        set_and_check(&mut targets, "a", Some(&[]), &[]);
        set_and_check(&mut targets, "a", Some(&["z"]), &["z"]);
        assert_eq!(targets.remove(&key("a"), keys(&["w"])), keys(&["w", "z"]));
        assert_eq!(targets.remove(&key("b"), keys(&["w"])), keys(&["w"]));
        set_and_check(&mut targets, "c", Some(&[]), &[]);
        assert!(targets.by_object.is_empty());
    }

    #[test]
    fn an_object_keeps_its_targets_if_the_mapper_panics() {
        let mut targets = Targets::default();
        set_and_check(&mut targets, "a", Some(&["x"]), &["x"]);
        set_and_check(&mut targets, "a", None, &[]);
        set_and_check(&mut targets, "b", None, &[]);
        set_and_check(&mut targets, "a", Some(&["y"]), &["x", "y"]);
        assert_eq!(targets.remove(&key("a"), Vec::new()), keys(&["y"]));
        assert_eq!(targets.remove(&key("a"), Vec::new()), []);
    }

    #[test]
    fn objects_with_equal_targets_share_one_list() {
        let mut targets = Targets::default();
        set_and_check(&mut targets, "a", Some(&["x", "y"]), &["x", "y"]);
        set_and_check(&mut targets, "b", Some(&["y", "x"]), &["x", "y"]);
        let [a, b] = ["a", "b"].map(|name| &targets.by_object[&key(name)]);
        assert!(Arc::ptr_eq(a, b));
    }
}
