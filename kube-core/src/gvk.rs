//! Names of kinds and resources: group, version, kind, plural.

use super::TypeMeta;
use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::OwnerReference};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// The error for an `apiVersion` that is neither `version` nor `group/version`.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("cannot parse {0:?} as an apiVersion: the form is \"version\" or \"group/version\"")]
pub struct ParseGroupVersionError(pub String);

/// A kind in a version of a group, such as `apps/v1 Deployment`.
///
/// ```
/// use kube_core::GroupVersionKind;
///
/// let gvk = GroupVersionKind::gvk("apps", "v1", "Deployment");
/// assert_eq!(gvk.api_version(), "apps/v1");
/// ```
#[derive(Deserialize, Serialize, Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionKind {
    /// The API group, empty for the core group.
    #[serde(default)]
    pub group: String,
    /// The version within the group.
    pub version: String,
    /// The kind, in CamelCase.
    pub kind: String,
}

impl GroupVersionKind {
    /// The kind `kind` in a version of a group. The core group is `""`.
    pub fn gvk(group: &str, version: &str, kind: &str) -> Self {
        Self { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// Splits the `apiVersion` at the first slash, and does not check its form.
    fn from_unchecked_api_version(api_version: &str, kind: String) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self { group: group.to_owned(), version: version.to_owned(), kind }
    }

    /// The `apiVersion` of objects of this kind.
    pub fn api_version(&self) -> String {
        join_api_version(&self.group, &self.version)
    }
}

impl fmt::Display for GroupVersionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.api_version(), self.kind)
    }
}

impl TryFrom<&TypeMeta> for GroupVersionKind {
    type Error = ParseGroupVersionError;

    fn try_from(types: &TypeMeta) -> Result<Self, Self::Error> {
        Ok(GroupVersion::from_str(&types.api_version)?.with_kind(&types.kind))
    }
}

impl TryFrom<TypeMeta> for GroupVersionKind {
    type Error = ParseGroupVersionError;

    fn try_from(types: TypeMeta) -> Result<Self, Self::Error> {
        Self::try_from(&types)
    }
}

impl From<OwnerReference> for GroupVersionKind {
    /// Splits the `apiVersion` at the first slash without a check. For a reference that a user wrote, use
    /// `TryFrom<&OwnerReference>`, which checks the `apiVersion`.
    fn from(owner: OwnerReference) -> Self {
        Self::from_unchecked_api_version(&owner.api_version, owner.kind)
    }
}

impl From<ObjectReference> for GroupVersionKind {
    /// Splits the `apiVersion` at the first slash, and does not check it. For a reference that a user wrote,
    /// use `TryFrom<&ObjectReference>`, which checks the `apiVersion`.
    fn from(object: ObjectReference) -> Self {
        Self::from_unchecked_api_version(
            &object.api_version.unwrap_or_default(),
            object.kind.unwrap_or_default(),
        )
    }
}

impl TryFrom<&OwnerReference> for GroupVersionKind {
    type Error = ParseGroupVersionError;

    fn try_from(owner: &OwnerReference) -> Result<Self, Self::Error> {
        Ok(GroupVersion::from_str(&owner.api_version)?.with_kind(&owner.kind))
    }
}

impl TryFrom<&ObjectReference> for GroupVersionKind {
    type Error = ParseGroupVersionError;

    fn try_from(object: &ObjectReference) -> Result<Self, Self::Error> {
        let api_version = object.api_version.as_deref().unwrap_or_default();
        Ok(GroupVersion::from_str(api_version)?.with_kind(object.kind.as_deref().unwrap_or_default()))
    }
}

/// A version of a group, such as `apps/v1`, or `v1` for the core group.
#[derive(Deserialize, Serialize, Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersion {
    /// The API group, empty for the core group.
    #[serde(default)]
    pub group: String,
    /// The version within the group.
    pub version: String,
}

impl GroupVersion {
    /// Creates a version of a group. The core group is `""`.
    pub fn gv(group: &str, version: &str) -> Self {
        Self { group: group.into(), version: version.into() }
    }

    /// Returns the kind `kind` in this group and version.
    pub fn with_kind(self, kind: &str) -> GroupVersionKind {
        GroupVersionKind { group: self.group, version: self.version, kind: kind.into() }
    }

    /// The `apiVersion` of objects in this version.
    pub fn api_version(&self) -> String {
        join_api_version(&self.group, &self.version)
    }
}

impl FromStr for GroupVersion {
    type Err = ParseGroupVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            None if !text.is_empty() => Ok(Self::gv("", text)),
            Some((group, version)) if !version.is_empty() && !version.contains('/') => {
                Ok(Self::gv(group, version))
            }
            _ => Err(ParseGroupVersionError(text.to_owned())),
        }
    }
}

/// The group, version and plural name of a resource, such as `apps/v1 deployments`.
#[derive(Deserialize, Serialize, Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionResource {
    /// The API group, empty for the core group.
    #[serde(default)]
    pub group: String,
    /// The version within the group.
    pub version: String,
    /// The plural name, in lower case.
    pub resource: String,
}

impl GroupVersionResource {
    /// The resource with the plural name `resource` in a version of a group. The core group is `""`.
    pub fn gvr(group: &str, version: &str, resource: &str) -> Self {
        Self { group: group.into(), version: version.into(), resource: resource.into() }
    }

    /// The `apiVersion` of objects of this resource.
    pub fn api_version(&self) -> String {
        join_api_version(&self.group, &self.version)
    }
}

/// `group/version`, or `version` alone for the core group.
pub(crate) fn join_api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_does_not_check_the_api_version_of_an_owner_or_object_reference() {
        let owner =
            OwnerReference { api_version: "apps/v1".into(), kind: "Deployment".into(), ..Default::default() };
        assert_eq!(GroupVersionKind::from(owner), GroupVersionKind::gvk("apps", "v1", "Deployment"));
        let object = ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            ..Default::default()
        };
        assert_eq!(GroupVersionKind::from(object), GroupVersionKind::gvk("", "v1", "Pod"));
        let no_kind = GroupVersionKind::from(ObjectReference::default());
        assert_eq!(no_kind, GroupVersionKind::gvk("", "", ""));
    }

    #[test]
    fn parsing_accepts_only_the_two_forms_of_an_api_version() {
        assert_eq!("v1".parse(), Ok(GroupVersion::gv("", "v1")));
        assert_eq!("apps/v1".parse(), Ok(GroupVersion::gv("apps", "v1")));
        for bad in ["", "apps/", "a/b/c"] {
            assert_eq!(bad.parse::<GroupVersion>(), Err(ParseGroupVersionError(bad.into())));
        }
    }

    #[test]
    fn try_from_checks_the_api_version_of_an_owner_or_object_reference() {
        let owner =
            OwnerReference { api_version: "apps/v1".into(), kind: "ReplicaSet".into(), ..Default::default() };
        assert_eq!(GroupVersionKind::try_from(&owner), Ok(GroupVersionKind::gvk("apps", "v1", "ReplicaSet")));
        assert!(GroupVersionKind::try_from(&ObjectReference::default()).is_err());
    }
}
