//! `annotation("key", "value")` and `label("key", "value")`.
//!
//! This module must not validate keys or values: `validate` validates both.

use syn::{
    LitStr, Token, meta::ParseNestedMeta, parse::Parser as _, punctuated::Punctuated, spanned::Spanned as _,
};

use super::keys::{key_name, parse_parentheses};

/// An annotation or label of the generated `CustomResourceDefinition`.
pub(crate) struct MetadataEntry {
    pub(crate) key: LitStr,
    pub(crate) value: LitStr,
}

impl MetadataEntry {
    /// Parses the content of `annotation(..)` or `label(..)`.
    pub(super) fn parse(meta: &ParseNestedMeta<'_>) -> syn::Result<Self> {
        let content = parse_parentheses(meta)?.stream();
        let pair = Punctuated::<LitStr, Token![,]>::parse_terminated.parse2(content.clone());
        if let Ok([key, value]) = pair.map(Vec::from_iter).as_deref() {
            return Ok(Self { key: key.clone(), value: value.clone() });
        }
        let message = format!("write `{}(\"key\", \"value\")`", key_name(meta));
        let span = if content.is_empty() { meta.path.span() } else { content.span() };
        Err(syn::Error::new(span, message))
    }
}
