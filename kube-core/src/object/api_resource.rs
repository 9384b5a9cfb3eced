//! `ApiResource`: the group, version, kind and plural of a resource that is known only at run time.

use crate::{GroupVersionKind, Resource, gvk::join_api_version};
use serde::{Deserialize, Serialize};

/// Group, version, kind and plural of a resource, for kinds that are not known at compile time.
///
/// Discovery returns this type. [`erase`](ApiResource::erase) builds it from a Rust type, and
/// [`from_gvk_with_plural`](ApiResource::from_gvk_with_plural) from names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiResource {
    /// The API group, empty for the core group.
    #[serde(default)]
    pub group: String,
    /// The version within the group.
    pub version: String,
    /// `group/version`, or `version` alone in the core group.
    pub api_version: String,
    /// The kind, in CamelCase.
    pub kind: String,
    /// The plural name, as used in URLs.
    pub plural: String,
}

impl ApiResource {
    /// The group, version, kind and plural of `K`.
    pub fn erase<K: Resource>(dt: &K::DynamicType) -> Self {
        Self {
            group: K::group(dt).into(),
            version: K::version(dt).into(),
            api_version: K::api_version(dt).into(),
            kind: K::kind(dt).into(),
            plural: K::plural(dt).into(),
        }
    }

    /// Builds a resource from a kind and its plural name.
    ///
    /// ```
    /// use kube_core::{ApiResource, GroupVersionKind};
    ///
    /// let foos = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("clux.dev", "v1", "Foo"), "foos");
    /// assert_eq!(foos.api_version, "clux.dev/v1");
    /// ```
    pub fn from_gvk_with_plural(gvk: &GroupVersionKind, plural: &str) -> Self {
        Self {
            group: gvk.group.clone(),
            version: gvk.version.clone(),
            api_version: join_api_version(&gvk.group, &gvk.version),
            kind: gvk.kind.clone(),
            plural: plural.to_owned(),
        }
    }

    /// Builds a resource from a kind. Guesses the plural name by English rules, which give the correct plurals of
    /// Kubernetes' built-in kinds.
    ///
    /// If the guess is wrong, every request fails with the status 404. If you know the plural name, use
    /// [`from_gvk_with_plural`](ApiResource::from_gvk_with_plural).
    pub fn from_gvk(gvk: &GroupVersionKind) -> Self {
        Self::from_gvk_with_plural(gvk, &guess_plural(&gvk.kind.to_lowercase()))
    }
}

/// Derives a plural from a kind in lower case. Appends `es` after `s`, `x`, `z`, `ch` or `sh`. Replaces `y` after a
/// consonant with `ies`. Appends `s` to other kinds, except `endpoints`, which is already plural.
fn guess_plural(kind: &str) -> String {
    if kind == "endpoints" {
        return kind.to_owned();
    }
    if ["s", "x", "z", "ch", "sh"].iter().any(|end| kind.ends_with(end)) {
        return format!("{kind}es");
    }
    match kind.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{stem}ies"),
        _ => format!("{kind}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::networking::v1::NetworkPolicy;

    #[test]
    fn from_gvk_guesses_the_plural_of_a_kind() {
        let pairs = [
            ("Pod", "pods"),
            ("Endpoints", "endpoints"),
            ("Ingress", "ingresses"),
            ("NetworkPolicy", "networkpolicies"),
            ("Gateway", "gateways"),
            ("Box", "boxes"),
        ];
        for (kind, plural) in pairs {
            assert_eq!(ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind)).plural, plural);
        }
    }

    #[test]
    fn erase_returns_the_names_of_a_kind() {
        let erased = ApiResource::erase::<NetworkPolicy>(&());
        assert_eq!(erased.plural, "networkpolicies");
        assert_eq!(erased.api_version, "networking.k8s.io/v1");
        assert_eq!(ApiResource::erase::<crate::DynamicObject>(&erased), erased);
    }
}
