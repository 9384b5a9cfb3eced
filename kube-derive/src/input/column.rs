//! `printcolumn(name = .., type_ = .., json_path = .., ..)`: one column of `kubectl get`.
//!
//! This module must not validate the values: `validate` does.

use syn::{Lit, LitInt, LitStr, Token, meta::ParseNestedMeta};

use super::keys::{name, once, reject_duplicate, required, unknown};

/// One additional printer column.
pub(crate) struct Column {
    pub(crate) name: LitStr,
    pub(crate) type_: LitStr,
    pub(crate) json_path: LitStr,
    pub(crate) description: Option<LitStr>,
    pub(crate) format: Option<LitStr>,
    pub(crate) priority: Option<LitInt>,
}

const KNOWN_KEYS: &[&str] = &["name", "type_", "json_path", "description", "format", "priority"];

impl Column {
    pub(super) fn parse(meta: &ParseNestedMeta<'_>) -> syn::Result<Self> {
        if meta.input.peek(Token![=]) {
            return Err(meta.error(
                "raw JSON is not supported: write `printcolumn(name = \"..\", type_ = \"..\", json_path = \"..\")`",
            ));
        }
        let (mut title, mut type_, mut json_path, mut description, mut format) =
            (None, None, None, None, None);
        let mut priority = None;
        meta.parse_nested_meta(|inner| match name(&inner).as_str() {
            "name" => once(&mut title, &inner),
            "type_" => once(&mut type_, &inner),
            "json_path" => once(&mut json_path, &inner),
            "description" => once(&mut description, &inner),
            "format" => once(&mut format, &inner),
            "priority" => {
                reject_duplicate(priority.as_ref(), &inner)?;
                priority = Some(integer(&inner)?);
                Ok(())
            }
            _ => Err(unknown(&inner, "printcolumn(..)", KNOWN_KEYS)),
        })?;
        Ok(Self {
            name: required(title, meta, "name")?,
            type_: required(type_, meta, "type_")?,
            json_path: required(json_path, meta, "json_path")?,
            description,
            format,
            priority,
        })
    }
}

/// An integer literal, or a string literal that contains one.
fn integer(meta: &ParseNestedMeta<'_>) -> syn::Result<LitInt> {
    match meta.value()?.parse()? {
        Lit::Int(number) => Ok(number),
        Lit::Str(text) => text.parse().map_err(|_| syn::Error::new(text.span(), "expected an integer")),
        other => Err(syn::Error::new(other.span(), "expected an integer")),
    }
}
