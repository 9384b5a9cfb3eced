//! `scale(..)`: the JSON paths of the scale subresource.
//!
//! This module must not validate the paths: `validate` does.

use syn::{LitStr, Token, meta::ParseNestedMeta};

use super::keys::{key_name, parse_once, required_value, unknown_key_error};

/// The three paths of the scale subresource.
pub(crate) struct Scale {
    pub(crate) spec_replicas: LitStr,
    pub(crate) status_replicas: LitStr,
    pub(crate) label_selector: Option<LitStr>,
}

/// All keys of `scale(..)`.
const KNOWN_KEYS: &[&str] = &["spec_replicas_path", "status_replicas_path", "label_selector_path"];

impl Scale {
    /// Parses the content of `scale(..)`.
    pub(super) fn parse(meta: &ParseNestedMeta<'_>) -> syn::Result<Self> {
        if meta.input.peek(Token![=]) {
            return Err(meta.error(
                "raw JSON is not supported: write `scale(spec_replicas_path = \"..\", status_replicas_path = \"..\")`",
            ));
        }
        let (mut spec, mut status, mut selector) = (None, None, None);
        meta.parse_nested_meta(|inner| match key_name(&inner).as_str() {
            "spec_replicas_path" => parse_once(&mut spec, &inner),
            "status_replicas_path" => parse_once(&mut status, &inner),
            "label_selector_path" => parse_once(&mut selector, &inner),
            _ => Err(unknown_key_error(&inner, "scale(..)", KNOWN_KEYS)),
        })?;
        Ok(Self {
            spec_replicas: required_value(spec, meta, "spec_replicas_path")?,
            status_replicas: required_value(status, meta, "status_replicas_path")?,
            label_selector: selector,
        })
    }
}
