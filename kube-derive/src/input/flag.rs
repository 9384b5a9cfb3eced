//! `Flag`: a key that is true or false, such as `namespaced`.

use syn::Ident;

/// A key that is a flag: `key`, `key = true` or `key = false`.
pub(crate) struct Flag {
    pub(crate) key: Ident,
    pub(crate) value: bool,
}

/// Whether a flag is true; `default` if the key is missing.
pub(crate) fn is_enabled(flag: Option<&Flag>, default: bool) -> bool {
    flag.map_or(default, |flag| flag.value)
}
