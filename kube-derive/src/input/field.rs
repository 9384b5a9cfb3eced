//! `Field`: a named field of the spec, with its serde renames.

use syn::{Attribute, Ident, LitStr, Token, meta::ParseNestedMeta, parenthesized};

/// A named field.
pub(crate) struct Field {
    pub(crate) ident: Ident,
    /// The names in `#[serde(rename = "..")]` or `#[serde(rename(serialize = "..", deserialize = ".."))]`.
    pub(crate) renames: Vec<LitStr>,
}

impl Field {
    /// Reads a field; `None` for a field without a name. Ignores errors in `#[serde(..)]`, because serde reports them.
    pub(super) fn parse(field: syn::Field) -> Option<Self> {
        let mut renames = Vec::new();
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("serde")) {
            collect_renames(attribute, &mut renames);
        }
        Some(Self { ident: field.ident?, renames })
    }
}

/// Adds the names in the `rename` keys of a `#[serde(..)]` attribute to `renames`.
fn collect_renames(attribute: &Attribute, renames: &mut Vec<LitStr>) {
    let _ = attribute.parse_nested_meta(|meta| {
        if !meta.path.is_ident("rename") {
            return skip_value(&meta);
        }
        if meta.input.peek(Token![=]) {
            renames.push(meta.value()?.parse()?);
            return Ok(());
        }
        meta.parse_nested_meta(|direction| {
            renames.push(direction.value()?.parse()?);
            Ok(())
        })
    });
}

/// Skips the value of a key that is not `rename`, so that parsing continues with the next key.
fn skip_value(meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    if meta.input.peek(Token![=]) {
        meta.value()?.parse::<syn::Expr>()?;
    } else if meta.input.peek(syn::token::Paren) {
        let content;
        parenthesized!(content in meta.input);
        content.parse::<proc_macro2::TokenStream>()?;
    }
    Ok(())
}
