//! `crates(..)`: paths of the crates that the generated code uses.
//!
//! This module must not contain the defaults: `model` sets the defaults.

use syn::{LitStr, Path, meta::ParseNestedMeta};

use super::keys::{key_name, reject_duplicate, unknown_key_error};

/// The paths in `crates(..)`. Each replaces a default path.
#[derive(Default)]
pub(crate) struct Crates {
    /// The path of `kube_client`, or of a crate that re-exports `kube_client::core` as `core`.
    pub(crate) kube_client: Option<Path>,
    /// The path of `kube_client::core`.
    pub(crate) core: Option<Path>,
    pub(crate) k8s_openapi: Option<Path>,
    pub(crate) schemars: Option<Path>,
    pub(crate) serde: Option<Path>,
}

/// All keys of `crates(..)`.
const KNOWN_KEYS: &[&str] = &["kube_client", "kube", "kube_core", "k8s_openapi", "schemars", "serde"];

impl Crates {
    /// Parses the content of `crates(..)`.
    pub(crate) fn parse(meta: &ParseNestedMeta<'_>) -> syn::Result<Self> {
        let mut crates = Self::default();
        meta.parse_nested_meta(|inner| {
            let slot = match key_name(&inner).as_str() {
                "kube_client" | "kube" => &mut crates.kube_client,
                "kube_core" => &mut crates.core,
                "k8s_openapi" => &mut crates.k8s_openapi,
                "schemars" => &mut crates.schemars,
                "serde" => &mut crates.serde,
                name @ ("serde_json" | "std") => {
                    return Err(inner.error(format!("the generated code does not use `{name}`: remove this")));
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
