//! Parses the JSON paths of the scale subresource: `scale(..)` or `scale = "{..}"`. The string `"{..}"` contains the same
//! JSON object as the scale subresource in a CRD.
//!
//! This module must not validate the paths: `validate` does.

use syn::{LitStr, Token, meta::ParseNestedMeta};

use super::{
    json::{JsonObject, missing_members_error, set_text, unknown_member_error},
    keys::{key_name, missing_keys_error, parse_nested_keys, parse_text, parse_text_once, unknown_key_error},
};

/// The three paths of the scale subresource.
pub(crate) struct Scale {
    pub(crate) spec_replicas: LitStr,
    pub(crate) status_replicas: LitStr,
    pub(crate) label_selector: Option<LitStr>,
}

/// All keys of `scale(..)`.
const KNOWN_KEYS: &[&str] = &["spec_replicas_path", "status_replicas_path", "label_selector_path"];

/// All keys of the JSON object in `scale = "{..}"`.
const JSON_KEYS: &[&str] = &["specReplicasPath", "statusReplicasPath", "labelSelectorPath"];

impl Scale {
    /// Parses `scale(..)` or `scale = "{..}"`.
    pub(super) fn parse(meta: &ParseNestedMeta<'_>) -> syn::Result<Self> {
        if meta.input.peek(Token![=]) {
            return Self::parse_json(&parse_text(meta)?);
        }
        let (mut spec, mut status, mut selector) = (None, None, None);
        parse_nested_keys(meta, |inner| match key_name(inner).as_str() {
            "spec_replicas_path" => parse_text_once(&mut spec, inner),
            "status_replicas_path" => parse_text_once(&mut status, inner),
            "label_selector_path" => parse_text_once(&mut selector, inner),
            _ => Err(unknown_key_error(inner, "scale(..)", KNOWN_KEYS)),
        })?;
        match (spec, status) {
            (Some(spec_replicas), Some(status_replicas)) => {
                Ok(Self { spec_replicas, status_replicas, label_selector: selector })
            }
            (spec, status) => {
                let keys = [("spec_replicas_path", &spec), ("status_replicas_path", &status)];
                Err(missing_keys_error(meta, &keys))
            }
        }
    }

    /// Parses the text of `scale = "{..}"`, a JSON object with the paths.
    fn parse_json(text: &LitStr) -> syn::Result<Self> {
        let object = JsonObject::from_literal(
            text,
            r#"{"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}"#,
        )?;
        let (mut spec, mut status, mut selector) = (None, None, None);
        object.for_each(|key, value| match key.value().as_str() {
            "specReplicasPath" => set_text(&mut spec, key, value),
            "statusReplicasPath" => set_text(&mut status, key, value),
            "labelSelectorPath" => set_text(&mut selector, key, value),
            _ => Err(unknown_member_error(key, JSON_KEYS)),
        })?;
        match (spec, status) {
            (Some(spec_replicas), Some(status_replicas)) => {
                Ok(Self { spec_replicas, status_replicas, label_selector: selector })
            }
            (spec, status) => {
                let members = [("specReplicasPath", &spec), ("statusReplicasPath", &status)];
                Err(missing_members_error(text, &members))
            }
        }
    }
}
