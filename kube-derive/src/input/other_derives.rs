//! Reads the attributes of other derives, such as `#[serde(..)]`. The other derives report the errors in these attributes.

use syn::{Attribute, Expr, ExprLit, Lit, LitStr, Meta, Token, punctuated::Punctuated};

/// The keys in the parentheses of an attribute.
pub(crate) fn parse_metas(attribute: &Attribute) -> syn::Result<Punctuated<Meta, Token![,]>> {
    attribute.parse_args_with(Punctuated::parse_terminated)
}

/// The string literal in `key = ".."`; `None` for any other key.
pub(crate) fn text_of(meta: &Meta) -> Option<&LitStr> {
    match &meta.require_name_value().ok()?.value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text),
        _ => None,
    }
}
