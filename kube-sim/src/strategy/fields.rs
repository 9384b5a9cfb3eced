//! The fields that field selectors support.

/// A field that field selectors support.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SelectableField {
    /// The name of the field in selectors.
    pub(crate) label: &'static str,
    /// The path of the field in the storage version.
    pub(crate) path: &'static str,
    /// The path of the field that selectors compare if an object does not have `path`; empty for none.
    pub(crate) fallback: &'static str,
    /// The value that selectors compare if an object has neither.
    pub(crate) absent: &'static str,
}

impl SelectableField {
    /// A field whose name is its path, and whose absent value is the empty string.
    pub(crate) const fn new(path: &'static str) -> Self {
        Self { label: path, path, fallback: "", absent: "" }
    }

    /// A field whose name is its path.
    pub(crate) const fn or(path: &'static str, absent: &'static str) -> Self {
        Self { absent, ..Self::new(path) }
    }
}
