//! Field sets: sets of field paths, which represent the fields that a manager owns.
//!
//! This module owns the representation of a field set as a tree, the set operations, and the format `FieldsV1` of
//! `managedFields`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::path::Element;

/// A set of field paths, as a tree. `members` are the paths with one element; `children` maps the first element of
/// longer paths to the set of the remaining paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    members: BTreeSet<Element>,
    children: BTreeMap<Element, FieldSet>,
}

impl FieldSet {
    /// Whether the set contains no path.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.values().all(Self::is_empty)
    }

    /// Adds a path; the empty path is ignored.
    pub(crate) fn insert(&mut self, path: &[Element]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    /// Whether the set contains the path with the single element `element`.
    pub(crate) fn has_member(&self, element: &Element) -> bool {
        self.members.contains(element)
    }

    /// The paths that consist of `element` and at least one further element. The returned set contains each path
    /// without `element`. Returns `None` if there are no such paths.
    pub(crate) fn paths_below(&self, element: &Element) -> Option<&Self> {
        self.children.get(element).filter(|set| !set.is_empty())
    }

    /// The paths with one element.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Element> {
        self.members.iter()
    }

    /// The paths with two or more elements, grouped by their first element. Each set contains these paths
    /// without their first element.
    pub(crate) fn children(&self) -> impl Iterator<Item = (&Element, &Self)> {
        self.children.iter()
    }

    /// The paths in either set.
    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut children = self.children.clone();
        for (element, set) in &other.children {
            let merged = children.get(element).map_or_else(|| set.clone(), |own| own.union(set));
            children.insert(element.clone(), merged);
        }
        Self { members: self.members.union(&other.members).cloned().collect(), children }
    }

    /// The paths in both sets.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let common = |(element, set): (&Element, &Self)| {
            let common = set.intersection(other.children.get(element)?);
            (!common.is_empty()).then(|| (element.clone(), common))
        };
        Self {
            members: self.members.intersection(&other.members).cloned().collect(),
            children: self.children.iter().filter_map(common).collect(),
        }
    }

    /// The paths that are not in `other`; paths below a path of `other` are kept.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        self.subtract(other, false)
    }

    /// The paths that are neither in `other` nor below a path of `other`.
    pub(crate) fn recursive_difference(&self, other: &Self) -> Self {
        self.subtract(other, true)
    }

    /// The paths that are not in `other`. If `recursive` is true, also omits the paths below a path of `other`.
    fn subtract(&self, other: &Self, recursive: bool) -> Self {
        let rest = |(element, set): (&Element, &Self)| {
            if recursive && other.members.contains(element) {
                return None;
            }
            let rest = match other.children.get(element) {
                Some(other) => set.subtract(other, recursive),
                None => set.clone(),
            };
            (!rest.is_empty()).then(|| (element.clone(), rest))
        };
        Self {
            members: self.members.difference(&other.members).cloned().collect(),
            children: self.children.iter().filter_map(rest).collect(),
        }
    }

    /// Returns a copy of the set with additional paths, each with a single element. These are the first
    /// elements of the paths with two or more elements: those elements for which `keep` returns true.
    pub(super) fn with_members(&self, keep: impl Fn(&Element) -> bool) -> Self {
        let mut members = self.members.clone();
        members.extend(self.children.keys().filter(|element| keep(element)).cloned());
        Self { members, children: self.children.clone() }
    }

    /// Replaces the subtree of each child with the result of `change`.
    pub(super) fn map_children(mut self, change: impl Fn(&Element, Self) -> Self) -> Self {
        self.children = self
            .children
            .into_iter()
            .map(|(element, set)| {
                let changed = change(&element, set);
                (element, changed)
            })
            .collect();
        self
    }

    /// All paths in the format of conflict messages (`.spec.replicas`). On each level, members come before children.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.collect_paths("", &mut found);
        found
    }

    /// Adds the text of each path to `found`. Each text begins with `prefix`.
    fn collect_paths(&self, prefix: &str, found: &mut Vec<String>) {
        found.extend(self.members.iter().map(|element| format!("{prefix}{element}")));
        for (element, set) in &self.children {
            set.collect_paths(&format!("{prefix}{element}"), found);
        }
    }

    /// The set in the format `FieldsV1`.
    pub(crate) fn to_fields_v1(&self) -> Value {
        let mut map = Map::new();
        for element in &self.members {
            map.insert(element.to_fields_v1(), Value::Object(Map::new()));
        }
        for (element, set) in &self.children {
            let mut inner = set.to_fields_v1();
            let is_member = self.members.contains(element);
            if let (true, Some(inner)) = (is_member && !set.is_empty(), inner.as_object_mut()) {
                inner.insert(".".to_owned(), Value::Object(Map::new()));
            }
            map.insert(element.to_fields_v1(), inner);
        }
        Value::Object(map)
    }

    /// Parses `FieldsV1`. Path elements of an unknown kind are ignored.
    ///
    /// # Errors
    /// `fields` is not an object, the value of a path element of a known kind is not an object, or a path element is
    /// malformed.
    pub(crate) fn of_fields_v1(fields: &Value) -> Result<Self, String> {
        Self::parse_subtree(fields).map(|(set, _)| set.unwrap_or_default())
    }

    /// Parses the value of one path in `FieldsV1`. Returns the set of the paths below this path, if any, and whether the
    /// whole field set contains the path itself.
    fn parse_subtree(fields: &Value) -> Result<(Option<Self>, bool), String> {
        let Value::Object(map) = fields else { return Err(format!("expected an object, found {fields}")) };
        let mut set = Self::default();
        let mut is_member = false;
        for (key, value) in map {
            if key == "." {
                is_member = true;
                continue;
            }
            let Some(element) = Element::of_fields_v1(key)? else { continue };
            let (below, is_member) = Self::parse_subtree(value)?;
            if is_member {
                set.members.insert(element.clone());
            }
            if let Some(below) = below {
                set.children.insert(element, below);
            }
        }
        let is_leaf = set.members.is_empty() && set.children.is_empty();
        Ok((if is_leaf { None } else { Some(set) }, is_member || is_leaf))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn set_of(paths: &[&str]) -> FieldSet {
        let mut set = FieldSet::default();
        for path in paths {
            let path: Vec<Element> = path.split('.').map(|step| Element::Field(step.to_owned())).collect();
            set.insert(&path);
        }
        set
    }

    #[test]
    fn a_dot_in_fields_v1_marks_a_member_that_has_children() {
        let fields = json!({"f:a": {".": {}, "f:b": {}}, "f:c": {"f:d": {}}, "k:{\"n\":1}": {}});
        let set = FieldSet::of_fields_v1(&fields).unwrap();
        assert_eq!(set.paths(), [".a", "[n=1]", ".a.b", ".c.d"]);
        assert_eq!(set.to_fields_v1(), fields);
    }

    #[test]
    fn malformed_field_sets_are_rejected() {
        assert!(FieldSet::of_fields_v1(&json!([])).is_err());
        assert!(FieldSet::of_fields_v1(&json!({"f:a": 1})).is_err());
        assert!(FieldSet::of_fields_v1(&json!({"a": {}})).is_err());
        assert!(FieldSet::of_fields_v1(&json!({})).unwrap().is_empty());
    }

    #[test]
    fn only_the_recursive_difference_removes_nested_paths() {
        let all = set_of(&["a", "a.b", "c"]);
        assert_eq!(all.difference(&set_of(&["a"])).paths(), [".c", ".a.b"]);
        assert_eq!(all.recursive_difference(&set_of(&["a"])).paths(), [".c"]);
    }

    fn any_set() -> impl Strategy<Value = FieldSet> {
        let step = prop_oneof![
            "[a-c]".prop_map(Element::Field),
            (0..3_i64).prop_map(|n| Element::Value(json!(n))),
            (0..2_i64).prop_map(|n| Element::Key(json!({"n": n}).as_object().unwrap().clone())),
        ];
        let path = prop::collection::vec(step, 1..4);
        prop::collection::vec(path, 0..8).prop_map(|paths| {
            let mut set = FieldSet::default();
            for path in &paths {
                set.insert(path);
            }
            set
        })
    }

    proptest! {
        #[test]
        fn fields_v1_round_trips(set in any_set()) {
            prop_assert_eq!(FieldSet::of_fields_v1(&set.to_fields_v1()).unwrap(), set);
        }

        #[test]
        fn set_operations_agree_with_btree_set(a in any_set(), b in any_set()) {
            let union: BTreeSet<String> = a.union(&b).paths().into_iter().collect();
            let left: BTreeSet<String> = a.paths().into_iter().collect();
            let right: BTreeSet<String> = b.paths().into_iter().collect();
            prop_assert_eq!(union, left.union(&right).cloned().collect());
            let common: BTreeSet<String> = a.intersection(&b).paths().into_iter().collect();
            prop_assert_eq!(common, left.intersection(&right).cloned().collect());
            let rest: BTreeSet<String> = a.difference(&b).paths().into_iter().collect();
            prop_assert_eq!(rest, left.difference(&right).cloned().collect());
        }
    }
}
