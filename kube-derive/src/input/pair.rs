//! `annotation("key", "value")` and `label("key", "value")`.
//!
//! This module must not validate keys or values: `validate` validates both.

use syn::{LitStr, Token, meta::ParseNestedMeta};

use super::keys::key_name;

/// An annotation or label of the generated `CustomResourceDefinition`.
pub(crate) struct Pair {
    pub(crate) key: LitStr,
    pub(crate) value: LitStr,
}

impl Pair {
    /// Parses the content of `annotation(..)` or `label(..)`.
    pub(super) fn parse(meta: &ParseNestedMeta<'_>) -> syn::Result<Self> {
        let wrong = |_| meta.error(format!("write `{}(\"key\", \"value\")`", key_name(meta)));
        let content;
        syn::parenthesized!(content in meta.input);
        let key = content.parse().map_err(wrong)?;
        content.parse::<Token![,]>().map_err(wrong)?;
        let value = content.parse().map_err(wrong)?;
        if content.peek(Token![,]) {
            content.parse::<Token![,]>()?;
        }
        if !content.is_empty() {
            return Err(content.error(format!("write `{}(\"key\", \"value\")`", key_name(meta))));
        }
        Ok(Self { key, value })
    }
}
