//! The fields that field selectors support.

/// A field that field selectors support.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SelectableField {
    /// The name of the field in selectors.
    pub(crate) label: &'static str,
    /// The path of the field in the storage version.
    pub(crate) path: &'static str,
    /// The path of a second field; may be empty. Selectors compare the second field if an object has no value at `path`.
    pub(crate) fallback: &'static str,
    /// The value that selectors compare if an object has a value neither at `path` nor at `fallback`.
    pub(crate) absent: &'static str,
}

impl SelectableField {
    /// A field whose name is its path. If an object does not have the field, selectors compare their value
    /// with the empty string.
    pub(crate) const fn new(path: &'static str) -> Self {
        Self { label: path, path, fallback: "", absent: "" }
    }

    /// A field whose name is its path. If an object does not have the field, selectors compare their value
    /// with `absent`.
    pub(crate) const fn with_value_if_absent(path: &'static str, absent: &'static str) -> Self {
        Self { absent, ..Self::new(path) }
    }
}
