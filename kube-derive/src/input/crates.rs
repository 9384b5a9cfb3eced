//! `crates(..)`: paths of the crates that the generated code uses.
//!
//! This module must not contain the defaults: `model` sets the defaults.

use syn::{Path, meta::ParseNestedMeta};

use super::keys::{key_name, parse_nested_keys, parse_path, reject_duplicate, unknown_key_error};

/// The paths in `crates(..)`. Each path, except those of `serde_json` and `std`, replaces a default path.
#[derive(Default)]
pub(crate) struct Crates {
    /// The path of `kube_client`, or of a crate that re-exports `kube_client::core` as `core`.
    pub(crate) kube_client: Option<Path>,
    /// The path of `kube_client::core`.
    pub(crate) core: Option<Path>,
    pub(crate) k8s_openapi: Option<Path>,
    pub(crate) schemars: Option<Path>,
    pub(crate) serde: Option<Path>,
    /// The keys `serde_json` and `std` are accepted for code that was written for the crate `kube`. The generated code
    /// does not use these paths.
    serde_json: Option<Path>,
    std: Option<Path>,
}

/// All keys of `crates(..)`.
const KNOWN_KEYS: &[&str] =
    &["kube_client", "kube", "kube_core", "k8s_openapi", "schemars", "serde", "serde_json", "std"];

impl Crates {
    /// Parses the content of `crates(..)`.
    pub(crate) fn parse(meta: &ParseNestedMeta<'_>) -> syn::Result<Self> {
        let mut crates = Self::default();
        parse_nested_keys(meta, |inner| {
            let slot = match key_name(inner).as_str() {
                "kube_client" | "kube" => &mut crates.kube_client,
                "kube_core" => &mut crates.core,
                "k8s_openapi" => &mut crates.k8s_openapi,
                "schemars" => &mut crates.schemars,
                "serde" => &mut crates.serde,
                "serde_json" => &mut crates.serde_json,
                "std" => &mut crates.std,
                _ => return Err(unknown_key_error(inner, "crates(..)", KNOWN_KEYS)),
            };
            reject_duplicate(slot.as_ref(), inner)?;
            *slot = Some(parse_path(inner)?);
            Ok(())
        })?;
        Ok(crates)
    }
}
