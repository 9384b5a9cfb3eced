//! `FieldSet`: a set of fields that the decoder of objects skips.
//!
//! This module parses and formats the paths of fields. It must not decode objects.

use std::{collections::BTreeMap, fmt, str::FromStr};
use thiserror::Error;

/// The error for a malformed field path. See [`FieldSet`] for the form of a path.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("parse field path {path:?}: {problem}")]
pub struct ParseFieldPathError {
    path: String,
    problem: &'static str,
}

/// A set of fields that the decoder of objects skips. Skipped fields take no memory.
///
/// A path names fields from the root of the object. `[*]` selects every element of a list, and `*` every value of a
/// map. Keys with a dot are quoted in brackets: `metadata.annotations["example.com/big"]`. A path that would skip
/// the name, namespace, uid or resource version in the metadata is an error. A path to a field that is absent from an
/// object has no effect.
///
/// ```
/// use kube_core::FieldSet;
///
/// let paths = ["metadata.managedFields", "status.conditions[*].message"];
/// let skipped = paths.into_iter().map(str::parse).collect::<Result<FieldSet, _>>()?;
/// assert_eq!(skipped.to_string(), "metadata.managedFields,status.conditions[*].message");
/// # Ok::<(), kube_core::ParseFieldPathError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    root: FieldNode,
}

/// Fields of the metadata that identify an object and its version. A [`FieldSet`] must not skip them.
const IDENTITY_FIELDS: [&str; 4] = ["name", "namespace", "uid", "resourceVersion"];

/// The skipped parts of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldNode {
    /// Whether the whole value is skipped. If so, `fields`, `values` and `elements` are empty.
    skip: bool,
    /// The nodes of named fields. Each of these nodes also contains the paths of `values`, so that a single lookup
    /// finds all paths of a field.
    fields: BTreeMap<String, FieldNode>,
    /// The paths that apply to every value of a map (`*`).
    values: Option<Box<FieldNode>>,
    /// The paths that apply to every element of a list (`[*]`).
    elements: Option<Box<FieldNode>>,
}

impl FieldSet {
    /// The empty set: no field is skipped.
    pub fn none() -> Self {
        Self::default()
    }

    /// The set that contains only `metadata.managedFields`, in which the server records the field managers. This field
    /// is often a third of an object, and programs rarely need it.
    pub fn managed_fields() -> Self {
        let node = FieldNode { skip: true, ..FieldNode::default() };
        let fields = BTreeMap::from([("managedFields".to_owned(), node)]);
        Self { root: FieldNode { fields, ..FieldNode::default() } }.under_field("metadata")
    }

    /// Prefixes each path with the field `name`. The result applies to a value that contains the object in this field, such
    /// as a watch event.
    #[doc(hidden)]
    pub fn under_field(self, name: &str) -> Self {
        let fields =
            if self.is_empty() { BTreeMap::new() } else { BTreeMap::from([(name.to_owned(), self.root)]) };
        Self { root: FieldNode { fields, ..FieldNode::default() } }
    }

    /// The union of both sets: the result skips each field that `self` or `other` skips.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.root.merge(other.root);
        self
    }

    /// Whether the set skips a field in [`IDENTITY_FIELDS`].
    fn skips_identity_field(&self) -> bool {
        self.root.field("metadata").is_some_and(|metadata| {
            let skipped = |name: &&str| metadata.field(name).is_some_and(FieldNode::skips_whole_value);
            metadata.skips_whole_value() || IDENTITY_FIELDS.iter().any(skipped)
        })
    }

    /// Whether the set skips no field.
    pub fn is_empty(&self) -> bool {
        self.root == FieldNode::default()
    }

    /// The node of the object itself, which contains all skipped parts; `None` if the set skips no field.
    #[doc(hidden)]
    #[inline]
    pub fn root(&self) -> Option<&FieldNode> {
        (!self.is_empty()).then_some(&self.root)
    }
}

impl FieldNode {
    /// Whether the whole value is skipped.
    #[inline]
    pub fn skips_whole_value(&self) -> bool {
        self.skip
    }

    /// Returns the node of the field `name` of this value; `None` if no part of the field is skipped. Call this only if
    /// [`skips_whole_value`](Self::skips_whole_value) returns `false` for this node.
    #[inline]
    pub fn field(&self, name: &str) -> Option<&FieldNode> {
        self.fields.get(name).or(self.values.as_deref())
    }

    /// Returns the node for all elements of this value, which is a list; `None` if no part of the elements is skipped. Call
    /// this only if [`skips_whole_value`](Self::skips_whole_value) returns `false` for this node.
    #[inline]
    pub fn elements(&self) -> Option<&FieldNode> {
        self.elements.as_deref()
    }
}

impl FieldNode {
    /// Adds the skipped parts of `other`.
    fn merge(&mut self, other: Self) {
        if self.skip || other.skip {
            *self = Self { skip: true, ..Self::default() };
            return;
        }
        if let Some(values) = other.values {
            for node in self.fields.values_mut() {
                node.merge(FieldNode::clone(&values));
            }
            self.values.get_or_insert_default().merge(*values);
        }
        for (name, node) in other.fields {
            let inherited = || self.values.as_deref().cloned().unwrap_or_default();
            self.fields.entry(name).or_insert_with(inherited).merge(node);
        }
        // A named field that skips the same parts as `*` is redundant. Remove this field, because equivalent
        // sets must compare equal.
        if let Some(values) = &self.values {
            self.fields.retain(|_, node| *node != **values);
        }
        if let Some(elements) = other.elements {
            self.elements.get_or_insert_default().merge(*elements);
        }
    }

    /// Adds the path of each skipped part to `paths`. `path` is the path of this node.
    fn append_paths(&self, path: &str, paths: &mut Vec<String>) {
        if self.skip {
            paths.push(path.to_owned());
            return;
        }
        for (name, node) in &self.fields {
            let plain =
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
            let dot = if path.is_empty() { "" } else { "." };
            let step = if plain { format!("{path}{dot}{name}") } else { format!("{path}[{name:?}]") };
            node.append_paths(&step, paths);
        }
        if let Some(values) = &self.values {
            let dot = if path.is_empty() { "" } else { "." };
            values.append_paths(&format!("{path}{dot}*"), paths);
        }
        if let Some(elements) = &self.elements {
            elements.append_paths(&format!("{path}[*]"), paths);
        }
    }
}

impl fmt::Display for FieldSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut paths = Vec::new();
        self.root.append_paths("", &mut paths);
        f.write_str(&paths.join(","))
    }
}

impl FromStr for FieldSet {
    type Err = ParseFieldPathError;

    /// Parses a single path.
    ///
    /// # Errors
    ///
    /// If the path is malformed, or skips the name, namespace, uid or resource version in the metadata.
    fn from_str(path: &str) -> Result<Self, Self::Err> {
        let error = |problem| ParseFieldPathError { path: path.to_owned(), problem };
        let mut set = Self::default();
        let mut node = &mut set.root;
        let mut rest = path;
        while !rest.is_empty() {
            let (step, after) = split_step(rest).map_err(error)?;
            node = match step {
                Step::Field(name) => node.fields.entry(name).or_default(),
                Step::Values => node.values.get_or_insert_default(),
                Step::Elements => node.elements.get_or_insert_default(),
            };
            rest = match after.strip_prefix('.') {
                Some("") => return Err(error("the path ends with a dot")),
                Some(rest) => rest,
                None if after.is_empty() || after.starts_with('[') => after,
                None => return Err(error("']' must be followed by '.', '[' or the end")),
            };
        }
        if path.is_empty() {
            return Err(error("the path is empty"));
        }
        node.skip = true;
        if set.skips_identity_field() {
            return Err(error(
                "metadata.name, namespace, uid and resourceVersion identify an object and cannot be skipped",
            ));
        }
        Ok(set)
    }
}

/// A step of a path: to a named field, to every value of a map (`*`), or to every element of a list (`[*]`).
enum Step {
    Field(String),
    Values,
    Elements,
}

/// Splits a path into the first step and the rest.
fn split_step(path: &str) -> Result<(Step, &str), &'static str> {
    if let Some(rest) = path.strip_prefix("[*]") {
        return Ok((Step::Elements, rest));
    }
    if let Some(rest) = path.strip_prefix('[') {
        // A key in quotes is a JSON string, so that a path can contain any key.
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        let Some(Ok(name)) = stream.next() else { return Err("brackets must contain '*' or a quoted key") };
        let rest = &rest[stream.byte_offset()..];
        return rest.strip_prefix(']').map(|rest| (Step::Field(name), rest)).ok_or("a ']' is missing");
    }
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    match name {
        "" => Err("a field name is missing"),
        "*" => Ok((Step::Values, rest)),
        _ => Ok((Step::Field(name.to_owned()), rest)),
    }
}

impl FromIterator<FieldSet> for FieldSet {
    fn from_iter<T: IntoIterator<Item = Self>>(sets: T) -> Self {
        sets.into_iter().fold(Self::none(), Self::and)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_parse_and_format_without_changes() {
        for path in [
            "metadata.managedFields",
            "spec",
            "status.conditions[*].message",
            "data.*",
            "metadata.annotations[\"example.com/a\\\"b\"]",
            "a[*][*].b",
        ] {
            assert_eq!(path.parse::<FieldSet>().unwrap().to_string(), path);
        }
    }

    #[test]
    fn the_error_states_why_a_path_does_not_parse() {
        for (path, problem) in [
            ("", "empty"),
            (".a", "name is missing"),
            ("a.", "dot"),
            ("a..b", "name is missing"),
            ("a[0]", "brackets"),
            ("a[*]b", "must be followed"),
            ("a[\"b\"", "']' is missing"),
            ("metadata", "cannot be skipped"),
            ("metadata.name", "cannot be skipped"),
            ("metadata.*", "cannot be skipped"),
            ("*", "cannot be skipped"),
            ("*.uid", "cannot be skipped"),
        ] {
            let error = path.parse::<FieldSet>().unwrap_err().to_string();
            assert!(error.contains(problem), "{path}: {error}");
        }
    }

    #[test]
    fn a_union_contains_the_paths_of_both_sets() {
        let both = FieldSet::managed_fields().and("metadata.labels".parse().unwrap()).and(FieldSet::none());
        assert_eq!(both.to_string(), "metadata.labels,metadata.managedFields");
        assert!(FieldSet::none().is_empty() && !both.is_empty());
    }

    #[test]
    fn wildcards_apply_to_named_fields() {
        for (paths, expected) in [
            (&["data.*", "data.keep.x"][..], "data.*"),
            (&["data.*.a", "data.keep.b"], "data.keep.a,data.keep.b,data.*.a"),
            (&["data.*.a", "data.keep.a"], "data.*.a"),
            (&["data.*.a", "data.keep", "data.*.b"], "data.keep,data.*.a,data.*.b"),
            (&["a.*.*", "a.b.c.d", "a.*.e.f"], "a.*.*"),
            (&["a.*.b[*].c", "a.x.b[*].d"], "a.x.b[*].c,a.x.b[*].d,a.*.b[*].c"),
            (&["*.x", "metadata.y"], "metadata.x,metadata.y,*.x"),
        ] {
            let sets = || paths.iter().map(|path| path.parse::<FieldSet>().unwrap());
            let set: FieldSet = sets().collect();
            assert_eq!(set.to_string(), expected);
            assert_eq!(sets().rev().collect::<FieldSet>(), set, "{paths:?}");
            // The formatted paths parse into the same set.
            let again: FieldSet = expected.split(',').map(|path| path.parse::<FieldSet>().unwrap()).collect();
            assert_eq!(again, set);
            assert_eq!(set.clone().and(set.clone()), set);
        }
    }
}
