//! `crates(..)`: paths of the crates that the generated code uses.
//!
//! This module must not contain the defaults: `model` sets the defaults.

use syn::{LitStr, Path, meta::ParseNestedMeta};

use super::keys::{key_name, reject_duplicate, unknown_key_error};

/// Paths that replace the defaults.
#[derive(Default)]
pub(crate) struct Crates {
    pub(crate) kube_client: Option<Path>,
    pub(crate) k8s_openapi: Option<Path>,
    pub(crate) schemars: Option<Path>,
    pub(crate) serde: Option<Path>,
}

/// All keys of `crates(..)`.
const KNOWN_KEYS: &[&str] = &["kube_client", "k8s_openapi", "schemars", "serde"];

impl Crates {
    /// Parses the content of `crates(..)`.
    pub(super) fn parse(meta: &ParseNestedMeta<'_>) -> syn::Result<Self> {
        let mut crates = Self::default();
        meta.parse_nested_meta(|inner| {
            let slot = match key_name(&inner).as_str() {
                "kube_client" => &mut crates.kube_client,
                "k8s_openapi" => &mut crates.k8s_openapi,
                "schemars" => &mut crates.schemars,
                "serde" => &mut crates.serde,
                "serde_json" => {
                    return Err(inner.error("the generated code does not use `serde_json`: remove this"));
                }
                "kube" | "kube_core" => {
                    return Err(inner.error("unknown crate: write `kube_client = \"path\"`"));
                }
                _ => return Err(unknown_key_error(&inner, "crates(..)", KNOWN_KEYS)),
            };
            reject_duplicate(slot.as_ref(), &inner)?;
            let text: LitStr = inner.value()?.parse()?;
            let path = text.parse_with(Path::parse_mod_style).map_err(|_| {
                syn::Error::new(
                    text.span(),
                    "expected the path of a crate, as in \"::serde\" or \"crate::deps::serde\"",
                )
            })?;
            *slot = Some(path);
            Ok(())
        })?;
        Ok(crates)
    }
}
