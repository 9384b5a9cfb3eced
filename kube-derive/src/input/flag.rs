//! The value of a key that is a flag.

use syn::Ident;

/// A key that is a flag: `key`, `key = true` or `key = false`.
pub(crate) struct Flag {
    pub(crate) key: Ident,
    pub(crate) value: bool,
}

/// Whether a flag is set; `default` if the key is missing.
pub(crate) fn is_set(flag: Option<&Flag>, default: bool) -> bool {
    flag.map_or(default, |flag| flag.value)
}
