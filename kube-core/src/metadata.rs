//! `TypeMeta`: an object's `apiVersion` and `kind`.

use super::{GroupVersionKind, Resource};
use serde::{Deserialize, Serialize};

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta};

/// The `apiVersion` and `kind` of an object (`meta/v1 TypeMeta`).
#[derive(Deserialize, Serialize, Clone, Default, Debug, Eq, PartialEq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct TypeMeta {
    /// `group/version`, or `version` alone in the core group.
    #[serde(default)]
    pub api_version: String,
    /// The kind, in CamelCase.
    #[serde(default)]
    pub kind: String,
}

impl TypeMeta {
    /// The `apiVersion` and `kind` of a list of `K`.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::Pod;
    /// use kube_core::TypeMeta;
    ///
    /// assert_eq!(TypeMeta::list::<Pod>().kind, "PodList");
    /// ```
    pub fn list<K: Resource<DynamicType = ()>>() -> Self {
        Self { api_version: K::api_version(&()).into(), kind: K::kind(&()).into_owned() + "List" }
    }

    /// The `apiVersion` and `kind` of `K`.
    pub fn resource<K: Resource<DynamicType = ()>>() -> Self {
        Self::of::<K>(&())
    }

    /// The `apiVersion` and `kind` of `K`. `dyntype` contains them if `K` is a dynamic type.
    #[doc(hidden)]
    pub fn of<K: Resource>(dyntype: &K::DynamicType) -> Self {
        Self { api_version: K::api_version(dyntype).into(), kind: K::kind(dyntype).into() }
    }
}

impl From<&GroupVersionKind> for TypeMeta {
    fn from(gvk: &GroupVersionKind) -> Self {
        Self { api_version: gvk.api_version(), kind: gvk.kind.clone() }
    }
}
