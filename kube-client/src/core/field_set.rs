//! `FieldSet`: fields of objects that are not wanted.

use std::{collections::BTreeMap, fmt, str::FromStr};
use thiserror::Error;

/// A path of a [`FieldSet`] that cannot be read.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("cannot read the field path {path:?}: {problem}")]
pub struct ParseFieldPathError {
    path: String,
    problem: &'static str,
}

/// Fields to skip while objects are decoded: they cost neither memory nor the time to build them.
///
/// A path names fields from the object's root, `[*]` every element of a list, and `*` every value of a map. Values whose keys
/// hold a dot are written in brackets: `metadata.annotations["example.com/big"]`. What tells objects apart cannot be skipped: name,
/// namespace, uid and resource version. A path to a field that objects do not have skips nothing.
///
/// ```
/// use kube_client::core::FieldSet;
///
/// let paths = ["metadata.managedFields", "status.conditions[*].message"];
/// let skipped = paths.into_iter().map(str::parse).collect::<Result<FieldSet, _>>()?;
/// assert_eq!(skipped.to_string(), "metadata.managedFields,status.conditions[*].message");
/// # Ok::<(), kube_client::core::ParseFieldPathError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    root: FieldNode,
}

/// Fields of the metadata that are never skipped.
const IDENTITY: [&str; 4] = ["name", "namespace", "uid", "resourceVersion"];

/// What becomes of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldNode {
    /// Nothing more is said then.
    skip: bool,
    /// What is said of all values is said of each of these as well, so that one look at a field is enough.
    fields: BTreeMap<String, FieldNode>,
    /// Every value of a map.
    values: Option<Box<FieldNode>>,
    /// Every element of a list.
    elements: Option<Box<FieldNode>>,
}

impl FieldSet {
    /// No fields: objects are decoded whole.
    pub fn none() -> Self {
        Self::default()
    }

    /// `metadata.managedFields`: who set which field, often a third of an object, and of use to few.
    pub fn managed_fields() -> Self {
        let node = FieldNode { skip: true, ..FieldNode::default() };
        let fields = BTreeMap::from([("managedFields".to_owned(), node)]);
        Self { root: FieldNode { fields, ..FieldNode::default() } }.within("metadata")
    }

    /// The same fields of objects that are themselves the field `name` of something.
    pub(crate) fn within(self, name: &str) -> Self {
        let fields =
            if self.is_empty() { BTreeMap::new() } else { BTreeMap::from([(name.to_owned(), self.root)]) };
        Self { root: FieldNode { fields, ..FieldNode::default() } }
    }

    /// These fields as well.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.root.merge(other.root);
        self
    }

    /// Whether something would be skipped that tells which object it is, and in which state.
    fn takes_identity(&self) -> bool {
        self.root.field("metadata").is_some_and(|metadata| {
            let skipped = |name: &&str| metadata.field(name).is_some_and(FieldNode::skips);
            metadata.skips() || IDENTITY.iter().any(skipped)
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.root == FieldNode::default()
    }

    #[cfg_attr(not(feature = "client"), expect(dead_code, reason = "only the client decodes"))]
    pub(crate) fn root(&self) -> &FieldNode {
        &self.root
    }
}

#[cfg_attr(not(feature = "client"), expect(dead_code, reason = "only the client decodes"))]
impl FieldNode {
    pub(crate) fn skips(&self) -> bool {
        self.skip
    }

    /// What is said of a field; `None`: it is kept whole.
    pub(crate) fn field(&self, name: &str) -> Option<&FieldNode> {
        self.fields.get(name).or(self.values.as_deref())
    }

    pub(crate) fn elements(&self) -> Option<&FieldNode> {
        self.elements.as_deref()
    }
}

impl FieldNode {
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
            let said = || self.values.as_deref().cloned().unwrap_or_default();
            self.fields.entry(name).or_insert_with(said).merge(node);
        }
        // A field of which no more is said than of all need not be named.
        if let Some(values) = &self.values {
            self.fields.retain(|_, node| *node != **values);
        }
        if let Some(elements) = other.elements {
            self.elements.get_or_insert_default().merge(*elements);
        }
    }

    fn write(&self, path: &str, paths: &mut Vec<String>) {
        if self.skip {
            paths.push(path.to_owned());
            return;
        }
        for (name, node) in &self.fields {
            let plain =
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
            let dot = if path.is_empty() { "" } else { "." };
            let step = if plain { format!("{path}{dot}{name}") } else { format!("{path}[{name:?}]") };
            node.write(&step, paths);
        }
        if let Some(values) = &self.values {
            let dot = if path.is_empty() { "" } else { "." };
            values.write(&format!("{path}{dot}*"), paths);
        }
        if let Some(elements) = &self.elements {
            elements.write(&format!("{path}[*]"), paths);
        }
    }
}

impl fmt::Display for FieldSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut paths = Vec::new();
        self.root.write("", &mut paths);
        f.write_str(&paths.join(","))
    }
}

impl FromStr for FieldSet {
    type Err = ParseFieldPathError;

    /// Reads one path.
    fn from_str(path: &str) -> Result<Self, Self::Err> {
        let error = |problem| ParseFieldPathError { path: path.to_owned(), problem };
        let mut set = Self::default();
        let mut node = &mut set.root;
        let mut rest = path;
        while !rest.is_empty() {
            let (step, after) = step(rest).map_err(error)?;
            node = match step {
                Step::Field(name) => node.fields.entry(name).or_default(),
                Step::Values => node.values.get_or_insert_default(),
                Step::Elements => node.elements.get_or_insert_default(),
            };
            rest = match after.strip_prefix('.') {
                Some("") => return Err(error("it ends with a dot")),
                Some(rest) => rest,
                None if after.is_empty() || after.starts_with('[') => after,
                None => return Err(error("after ']' comes '.' or '[', or the end")),
            };
        }
        if path.is_empty() {
            return Err(error("it is empty"));
        }
        node.skip = true;
        if set.takes_identity() {
            return Err(error(
                "without metadata.name, namespace, uid and resourceVersion objects could not be told apart",
            ));
        }
        Ok(set)
    }
}

enum Step {
    Field(String),
    Values,
    Elements,
}

/// The first step of a path, and what follows.
fn step(path: &str) -> Result<(Step, &str), &'static str> {
    if let Some(rest) = path.strip_prefix("[*]") {
        return Ok((Step::Elements, rest));
    }
    if let Some(rest) = path.strip_prefix('[') {
        // A JSON string, so that any key can be written.
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        let Some(Ok(name)) = stream.next() else { return Err("in brackets stands '*' or a quoted key") };
        let rest = &rest[stream.byte_offset()..];
        return rest.strip_prefix(']').map(|rest| (Step::Field(name), rest)).ok_or("a ']' is missing");
    }
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    match name {
        "" => Err("a name is missing"),
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
    fn reads_and_writes_paths() {
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
    fn says_what_is_wrong_with_a_path() {
        for (path, problem) in [
            ("", "empty"),
            (".a", "name is missing"),
            ("a.", "dot"),
            ("a..b", "name is missing"),
            ("a[0]", "brackets"),
            ("a[*]b", "after ']'"),
            ("a[\"b\"", "']' is missing"),
            ("metadata", "told apart"),
            ("metadata.name", "told apart"),
            ("metadata.*", "told apart"),
            ("*", "told apart"),
            ("*.uid", "told apart"),
        ] {
            let error = path.parse::<FieldSet>().unwrap_err().to_string();
            assert!(error.contains(problem), "{path}: {error}");
        }
    }

    #[test]
    fn joins_sets() {
        let both = FieldSet::managed_fields().and("metadata.labels".parse().unwrap()).and(FieldSet::none());
        assert_eq!(both.to_string(), "metadata.labels,metadata.managedFields");
        assert!(FieldSet::none().is_empty() && !both.is_empty());
    }

    #[test]
    fn what_is_said_of_all_values_holds_for_those_that_are_named_as_well() {
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
            // What is written is what was meant.
            let again: FieldSet = expected.split(',').map(|path| path.parse::<FieldSet>().unwrap()).collect();
            assert_eq!(again, set);
            assert_eq!(set.clone().and(set.clone()), set);
        }
    }
}
