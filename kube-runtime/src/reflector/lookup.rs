//! `Lookup`: the name, namespace, uid and resource version of an object.

use super::ObjectRef;
use kube_client::Resource;
use std::borrow::Cow;

/// The name, namespace, uid and resource version of an object, and a reference to it.
///
/// Implemented for every [`Resource`]. The methods for the group, API version, kind and plural are those of
/// [`Resource`].
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_runtime::reflector::{Lookup, ObjectRef};
///
/// let mut pod = Pod::default();
/// pod.metadata.name = Some("web".into());
/// pod.metadata.namespace = Some("prod".into());
/// assert_eq!(pod.name().as_deref(), Some("web"));
/// assert_eq!(pod.to_object_ref(()), ObjectRef::new("web").within("prod"));
/// ```
pub trait Lookup: Resource {
    /// The value of `metadata.name`.
    fn name(&self) -> Option<Cow<'_, str>>;

    /// The value of `metadata.namespace`; `None` for cluster-scoped objects.
    fn namespace(&self) -> Option<Cow<'_, str>>;

    /// The value of `metadata.resourceVersion`.
    fn resource_version(&self) -> Option<Cow<'_, str>>;

    /// The value of `metadata.uid`.
    fn uid(&self) -> Option<Cow<'_, str>>;

    /// A reference to this object: [`ObjectRef::from_obj_with`].
    fn to_object_ref(&self, dyntype: Self::DynamicType) -> ObjectRef<Self>;
}

impl<K: Resource> Lookup for K {
    fn name(&self) -> Option<Cow<'_, str>> {
        self.meta().name.as_deref().map(Cow::Borrowed)
    }

    fn namespace(&self) -> Option<Cow<'_, str>> {
        self.meta().namespace.as_deref().map(Cow::Borrowed)
    }

    fn resource_version(&self) -> Option<Cow<'_, str>> {
        self.meta().resource_version.as_deref().map(Cow::Borrowed)
    }

    fn uid(&self) -> Option<Cow<'_, str>> {
        self.meta().uid.as_deref().map(Cow::Borrowed)
    }

    fn to_object_ref(&self, dyntype: K::DynamicType) -> ObjectRef<K> {
        ObjectRef::from_obj_with(self, dyntype)
    }
}
