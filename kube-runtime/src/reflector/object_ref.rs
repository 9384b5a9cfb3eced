//! `ObjectRef`: a reference to an object by its kind, namespace and name.

use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube_client::core::{DynamicObject, ObjectMeta};
use kube_client::{Resource, core::ApiResource};
use std::{
    fmt,
    hash::{Hash, Hasher},
};

/// A reference to an object of kind `K`, by name and namespace.
///
/// Two references are equal if they name the same object; [`extra`](ObjectRef::extra) is ignored.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_runtime::reflector::ObjectRef;
///
/// let web = ObjectRef::<Pod>::new("web").within("prod");
/// assert_eq!(web.to_string(), "Pod prod/web");
/// ```
#[non_exhaustive]
pub struct ObjectRef<K: Resource + ?Sized> {
    /// The kind, for types that know it only at run time ([`Resource::DynamicType`]); `()` for all other types.
    pub dyntype: K::DynamicType,
    /// The name of the object.
    pub name: String,
    /// The namespace; `None` for cluster-scoped objects.
    pub namespace: Option<String>,
    /// Further metadata of the object, from the time when the reference was created.
    pub extra: Extra,
}

/// Further metadata of the object that an [`ObjectRef`] names. Comparisons and hashes of references ignore this metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extra {
    /// The resource version of the object; `None` if it is unknown.
    pub resource_version: Option<String>,
    /// The uid of the object; `None` if it is unknown.
    pub uid: Option<String>,
}

impl<K: Resource> ObjectRef<K>
where
    K::DynamicType: Default,
{
    /// A reference to a cluster-scoped object. For a namespaced object, add the namespace with
    /// [`within`](ObjectRef::within).
    pub fn new(name: &str) -> Self {
        Self::new_with(name, K::DynamicType::default())
    }

    /// A reference to `obj`.
    pub fn from_obj(obj: &K) -> Self {
        Self::from_obj_with(obj, K::DynamicType::default())
    }
}

impl<K: Resource> ObjectRef<K> {
    /// Like [`new`](ObjectRef::new), for kinds that are known only at run time.
    pub fn new_with(name: &str, dyntype: K::DynamicType) -> Self {
        Self { dyntype, name: name.to_owned(), namespace: None, extra: Extra::default() }
    }

    /// Sets the namespace.
    #[must_use]
    pub fn within(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// Like [`from_obj`](ObjectRef::from_obj), for kinds that are known only at run time.
    ///
    /// For an object without a name, the reference has the empty name. No server sends such an object.
    pub fn from_obj_with(obj: &K, dyntype: K::DynamicType) -> Self {
        Self::from_meta(obj.meta(), dyntype)
    }

    /// A reference to the object with this metadata.
    pub(crate) fn from_meta(meta: &ObjectMeta, dyntype: K::DynamicType) -> Self {
        Self {
            dyntype,
            name: meta.name.clone().unwrap_or_default(),
            namespace: meta.namespace.clone(),
            extra: Extra { resource_version: meta.resource_version.clone(), uid: meta.uid.clone() },
        }
    }

    /// A reference to the object that `owner` identifies; `None` if the owner is not of kind `K`.
    ///
    /// The reference gets `namespace` unchanged. Pass the namespace of the owned object, or `None` if `K` is
    /// cluster-scoped.
    pub fn from_owner_ref(
        namespace: Option<&str>,
        owner: &OwnerReference,
        dyntype: K::DynamicType,
    ) -> Option<Self> {
        is_owner_of_kind::<K>(owner, &dyntype).then(|| Self {
            dyntype,
            name: owner.name.clone(),
            namespace: namespace.map(ToOwned::to_owned),
            extra: Extra { resource_version: None, uid: Some(owner.uid.clone()) },
        })
    }

    /// Changes the kind of the reference, without any check.
    pub fn into_kind_unchecked<K2: Resource>(self, dt2: K2::DynamicType) -> ObjectRef<K2> {
        ObjectRef { dyntype: dt2, name: self.name, namespace: self.namespace, extra: self.extra }
    }

    /// Converts the reference to a reference that stores its kind as run-time data.
    pub fn erase(self) -> ObjectRef<DynamicObject> {
        let resource = ApiResource::erase::<K>(&self.dyntype);
        self.into_kind_unchecked(resource)
    }
}

impl<K: Resource> From<&K> for ObjectRef<K>
where
    K::DynamicType: Default,
{
    fn from(object: &K) -> Self {
        Self::from_obj(object)
    }
}

/// Whether an owner reference identifies an object of kind `K`. Compares the kind and the group, but not the version: all
/// versions are representations of the same objects.
pub(crate) fn is_owner_of_kind<K: Resource>(owner: &OwnerReference, dyntype: &K::DynamicType) -> bool {
    let group = owner.api_version.rsplit_once('/').map_or("", |(group, _)| group);
    owner.kind == K::kind(dyntype) && group == K::group(dyntype)
}

impl<K: Resource + ?Sized> Clone for ObjectRef<K>
where
    K::DynamicType: Clone,
{
    fn clone(&self) -> Self {
        Self {
            dyntype: self.dyntype.clone(),
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            extra: self.extra.clone(),
        }
    }
}

impl<K: Resource + ?Sized> PartialEq for ObjectRef<K>
where
    K::DynamicType: PartialEq,
{
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.namespace == other.namespace && self.dyntype == other.dyntype
    }
}

impl<K: Resource + ?Sized> Eq for ObjectRef<K> where K::DynamicType: Eq {}

impl<K: Resource + ?Sized> Hash for ObjectRef<K>
where
    K::DynamicType: Hash,
{
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.namespace.hash(state);
        self.dyntype.hash(state);
    }
}

impl<K: Resource + ?Sized> fmt::Display for ObjectRef<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", K::kind(&self.dyntype))?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

impl<K: Resource + ?Sized> fmt::Debug for ObjectRef<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectRef")
            .field("kind", &K::kind(&self.dyntype))
            .field("namespace", &self.namespace)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<K: Resource> From<ObjectRef<K>> for ObjectReference {
    fn from(object: ObjectRef<K>) -> Self {
        Self {
            api_version: Some(K::api_version(&object.dyntype).into()),
            kind: Some(K::kind(&object.dyntype).into()),
            name: Some(object.name),
            namespace: object.namespace,
            resource_version: object.extra.resource_version,
            uid: object.extra.uid,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::Pod};

    #[test]
    fn equality_ignores_extra() {
        let mut pod = Pod::default();
        pod.metadata.name = Some("web".into());
        pod.metadata.uid = Some("1".into());
        assert_eq!(ObjectRef::from_obj(&pod), ObjectRef::new("web"));
        assert_ne!(ObjectRef::from_obj(&pod), ObjectRef::new("web").within("ns"));
        assert_eq!(ObjectRef::from_obj(&pod).erase().dyntype.plural, "pods");
    }

    #[test]
    fn from_owner_ref_compares_kind_and_group_but_not_version() {
        let owner = |api_version: &str, kind: &str| OwnerReference {
            api_version: api_version.into(),
            kind: kind.into(),
            name: "web".into(),
            ..OwnerReference::default()
        };
        let find = |owner| ObjectRef::<ReplicaSet>::from_owner_ref(Some("ns"), &owner, ());
        assert_eq!(find(owner("apps/v1", "ReplicaSet")), Some(ObjectRef::new("web").within("ns")));
        assert!(find(owner("apps/v1beta9", "ReplicaSet")).is_some());
        assert_eq!(find(owner("v1", "ReplicaSet")), None);
        assert_eq!(find(owner("apps/v1", "Deployment")), None);
    }
}
