//! `printcolumn(name = .., type_ = .., json_path = .., ..)`, or `printcolumn = "{..}"` with the JSON of the column as
//! in a CRD: one column of `kubectl get`.
//!
//! This module must not validate the values: `validate` does.

use syn::{Lit, LitInt, LitStr, Token, meta::ParseNestedMeta};

use super::{
    json::{JsonObject, required_member, set_once, set_text, unknown_member_error},
    keys::{key_name, parse_once, reject_duplicate, required_value, unknown_key_error},
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
            return Self::parse_json(&meta.value()?.parse()?);
        }
        let (mut title, mut type_, mut json_path, mut description, mut format) =
            (None, None, None, None, None);
        let mut priority = None;
        meta.parse_nested_meta(|inner| match key_name(&inner).as_str() {
            "name" => parse_once(&mut title, &inner),
            "type_" => parse_once(&mut type_, &inner),
            "json_path" => parse_once(&mut json_path, &inner),
            "description" => parse_once(&mut description, &inner),
            "format" => parse_once(&mut format, &inner),
            "priority" => {
                reject_duplicate(priority.as_ref(), &inner)?;
                priority = Some(parse_integer(&inner)?);
                Ok(())
            }
            _ => Err(unknown_key_error(&inner, "printcolumn(..)", KNOWN_KEYS)),
        })?;
        Ok(Self {
            name: required_value(title, meta, "name")?,
            type_: required_value(type_, meta, "type_")?,
            json_path: required_value(json_path, meta, "json_path")?,
            description,
            format,
            priority,
        })
    }

    /// Parses the JSON of a column.
    fn parse_json(text: &LitStr) -> syn::Result<Self> {
        let object = JsonObject::from_literal(
            text,
            r#"{"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas"}"#,
        )?;
        let (mut title, mut type_, mut json_path, mut description, mut format) =
            (None, None, None, None, None);
        let mut priority = None;
        for (key, value) in object.0 {
            match key.value().as_str() {
                "name" => set_text(&mut title, &key, value)?,
                "type" => set_text(&mut type_, &key, value)?,
                "jsonPath" => set_text(&mut json_path, &key, value)?,
                "description" => set_text(&mut description, &key, value)?,
                "format" => set_text(&mut format, &key, value)?,
                "priority" => match value {
                    Lit::Int(number) => set_once(&mut priority, &key, number)?,
                    _ => return Err(syn::Error::new(value.span(), "`priority` needs an integer")),
                },
                _ => return Err(unknown_member_error(&key, JSON_KEYS)),
            }
        }
        Ok(Self {
            name: required_member(title, text, "name")?,
            type_: required_member(type_, text, "type")?,
            json_path: required_member(json_path, text, "jsonPath")?,
            description,
            format,
            priority,
        })
    }
}

/// Parses an integer literal, or a string literal that contains an integer.
fn parse_integer(meta: &ParseNestedMeta<'_>) -> syn::Result<LitInt> {
    match meta.value()?.parse()? {
        Lit::Int(number) => Ok(number),
        Lit::Str(text) => text.parse().map_err(|_| syn::Error::new(text.span(), "expected an integer")),
        other => Err(syn::Error::new(other.span(), "expected an integer")),
    }
}
