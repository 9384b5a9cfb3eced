//! `scale(..)`: the JSON paths of the scale subresource.
//!
//! This module must not validate the paths: `validate` does.

use syn::{LitStr, Token, meta::ParseNestedMeta};

use super::keys::{name, once, required, unknown};

/// The three paths of the scale subresource.
pub(crate) struct Scale {
    pub(crate) spec_replicas: LitStr,
    pub(crate) status_replicas: LitStr,
    pub(crate) label_selector: Option<LitStr>,
}

const KNOWN_KEYS: &[&str] = &["spec_replicas_path", "status_replicas_path", "label_selector_path"];

impl Scale {
    pub(super) fn parse(meta: &ParseNestedMeta<'_>) -> syn::Result<Self> {
        if meta.input.peek(Token![=]) {
            return Err(meta.error(
                "raw JSON is not supported: write `scale(spec_replicas_path = \"..\", status_replicas_path = \"..\")`",
            ));
        }
        let (mut spec, mut status, mut selector) = (None, None, None);
        meta.parse_nested_meta(|inner| match name(&inner).as_str() {
            "spec_replicas_path" => once(&mut spec, &inner),
            "status_replicas_path" => once(&mut status, &inner),
            "label_selector_path" => once(&mut selector, &inner),
            _ => Err(unknown(&inner, "scale(..)", KNOWN_KEYS)),
        })?;
        Ok(Self {
            spec_replicas: required(spec, meta, "spec_replicas_path")?,
            status_replicas: required(status, meta, "status_replicas_path")?,
            label_selector: selector,
        })
    }
}
