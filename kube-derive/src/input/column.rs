//! Parses one column of `kubectl get`: `printcolumn(name = .., type_ = .., json_path = .., ..)` or
//! `printcolumn = "{..}"`. The string `"{..}"` contains the same JSON object as the column in a CRD.
//!
//! This module must not validate the values: `validate` does.

use syn::{Lit, LitInt, LitStr, Token, meta::ParseNestedMeta};

use super::{
    json::{JsonObject, missing_members_error, set_once, set_text, unknown_member_error},
    keys::{
        key_name, missing_keys_error, parse_nested_keys, parse_text, parse_text_once, reject_duplicate,
        unknown_key_error, value_of,
    },
};

/// One additional printer column.
pub(crate) struct Column {
    pub(crate) name: LitStr,
    pub(crate) type_: LitStr,
    pub(crate) json_path: LitStr,
    pub(crate) description: Option<LitStr>,
    pub(crate) format: Option<LitStr>,
    pub(crate) priority: Option<LitInt>,
}

/// All keys of `printcolumn(..)`.
const KNOWN_KEYS: &[&str] = &["name", "type_", "json_path", "description", "format", "priority"];

/// All keys of the JSON object in `printcolumn = "{..}"`.
const JSON_KEYS: &[&str] = &["name", "type", "jsonPath", "description", "format", "priority"];

impl Column {
    /// Parses `printcolumn(..)` or `printcolumn = "{..}"`.
    pub(super) fn parse(meta: &ParseNestedMeta<'_>) -> syn::Result<Self> {
        if meta.input.peek(Token![=]) {
            return Self::parse_json(&parse_text(meta)?);
        }
        let (mut title, mut type_, mut json_path, mut description, mut format) =
            (None, None, None, None, None);
        let mut priority = None;
        parse_nested_keys(meta, |inner| match key_name(inner).as_str() {
            "name" => parse_text_once(&mut title, inner),
            "type_" => parse_text_once(&mut type_, inner),
            "json_path" => parse_text_once(&mut json_path, inner),
            "description" => parse_text_once(&mut description, inner),
            "format" => parse_text_once(&mut format, inner),
            "priority" => {
                reject_duplicate(priority.as_ref(), inner)?;
                priority = Some(parse_integer(inner)?);
                Ok(())
            }
            _ => Err(unknown_key_error(inner, "printcolumn(..)", KNOWN_KEYS)),
        })?;
        match (title, type_, json_path) {
            (Some(name), Some(type_), Some(json_path)) => {
                Ok(Self { name, type_, json_path, description, format, priority })
            }
            (name, type_, json_path) => {
                let keys = [("name", &name), ("type_", &type_), ("json_path", &json_path)];
                Err(missing_keys_error(meta, &keys))
            }
        }
    }

    /// Parses the text of `printcolumn = "{..}"`, the JSON of a column.
    fn parse_json(text: &LitStr) -> syn::Result<Self> {
        let object = JsonObject::from_literal(
            text,
            r#"{"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"}"#,
        )?;
        let (mut title, mut type_, mut json_path, mut description, mut format) =
            (None, None, None, None, None);
        let mut priority = None;
        object.for_each(|key, value| match key.value().as_str() {
            "name" => set_text(&mut title, key, value),
            "type" => set_text(&mut type_, key, value),
            "jsonPath" => set_text(&mut json_path, key, value),
            "description" => set_text(&mut description, key, value),
            "format" => set_text(&mut format, key, value),
            "priority" => match value {
                Lit::Int(number) => set_once(&mut priority, key, number),
                _ => Err(syn::Error::new(value.span(), "`priority` needs an integer")),
            },
            _ => Err(unknown_member_error(key, JSON_KEYS)),
        })?;
        match (title, type_, json_path) {
            (Some(name), Some(type_), Some(json_path)) => {
                Ok(Self { name, type_, json_path, description, format, priority })
            }
            (name, type_, json_path) => {
                let members = [("name", &name), ("type", &type_), ("jsonPath", &json_path)];
                Err(missing_members_error(text, &members))
            }
        }
    }
}

/// Parses an integer literal, or a string literal that contains an integer.
fn parse_integer(meta: &ParseNestedMeta<'_>) -> syn::Result<LitInt> {
    let value = value_of(meta)?;
    let wrong =
        |span| syn::Error::new(span, format!("`{0}` needs an integer: write `{0} = 1`", key_name(meta)));
    let span = value.span();
    match value.parse().map_err(|_| wrong(span))? {
        Lit::Int(number) => Ok(number),
        Lit::Str(text) => text.parse().map_err(|_| wrong(text.span())),
        _ => Err(wrong(span)),
    }
}
