//! `Resource` and `ResourceExt`: what every kind of object can tell about itself.

use super::{TypeMeta, gvk::join_api_version, metadata::ObjectMeta};
use k8s_openapi::{
    api::core::v1::ObjectReference,
    apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, OwnerReference, Time},
};
use std::{borrow::Cow, collections::BTreeMap};

pub use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope, ResourceScope, SubResourceScope};

/// The scope of kinds that are known only at run time: it may be either.
#[derive(Debug, Clone, Copy)]
pub enum DynamicResourceScope {}
impl ResourceScope for DynamicResourceScope {}

/// Scopes in which objects may live inside a namespace.
pub trait NamespaceScope: ResourceScope {}
impl NamespaceScope for NamespaceResourceScope {}
impl NamespaceScope for DynamicResourceScope {}

/// What would lead from one place in a path to another.
const NO_NAME: &percent_encoding::AsciiSet =
    &percent_encoding::CONTROLS.add(b'/').add(b'%').add(b'?').add(b'#').add(b' ');

/// In which form the server is to send objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Representation {
    /// The whole object.
    #[default]
    Full,
    /// Its type and metadata only (`meta/v1 PartialObjectMetadata`).
    Metadata,
}

/// A kind of object that an API server keeps.
///
/// Implemented for every top-level type of `k8s-openapi`, for derived custom resources, and for
/// [`DynamicObject`](super::DynamicObject), [`Object`](super::Object) and
/// [`PartialObjectMeta`](super::PartialObjectMeta). Kinds that are known at compile time have `DynamicType = ()`;
/// the others carry an [`ApiResource`](super::ApiResource).
///
/// ```
/// use k8s_openapi::api::apps::v1::Deployment;
/// use kube_client::core::Resource;
///
/// assert_eq!(Deployment::kind(&()), "Deployment");
/// assert_eq!(Deployment::url_path(&(), Some("web")), "/apis/apps/v1/namespaces/web/deployments");
/// ```
pub trait Resource {
    /// What has to be known at run time to address the kind; `()` where the type says it all.
    type DynamicType: Send + Sync + 'static;
    /// Whether objects live in a namespace or in the cluster.
    type Scope;

    /// The kind, in CamelCase.
    fn kind(dt: &Self::DynamicType) -> Cow<'_, str>;
    /// The API group, empty for the core group.
    fn group(dt: &Self::DynamicType) -> Cow<'_, str>;
    /// The version within the group.
    fn version(dt: &Self::DynamicType) -> Cow<'_, str>;
    /// The plural name, as URLs have it.
    fn plural(dt: &Self::DynamicType) -> Cow<'_, str>;

    /// `group/version`, or `version` alone in the core group.
    fn api_version(dt: &Self::DynamicType) -> Cow<'_, str> {
        let group = Self::group(dt);
        if group.is_empty() { Self::version(dt) } else { join_api_version(&group, &Self::version(dt)).into() }
    }

    /// In which form the server is asked to send these objects.
    fn representation() -> Representation {
        Representation::Full
    }

    /// The path of the collection, from the server's root; `namespace: None` addresses all namespaces, or the cluster.
    fn url_path(dt: &Self::DynamicType, namespace: Option<&str>) -> String {
        let (group, version, plural) = (Self::group(dt), Self::version(dt), Self::plural(dt));
        let root = if group.is_empty() { "api" } else { "apis" };
        let slash = if group.is_empty() { "" } else { "/" };
        match namespace {
            Some(ns) => {
                // What is no name stays in its place, escaped: a request says what is wrong with it.
                let ns = percent_encoding::utf8_percent_encode(ns, NO_NAME);
                format!("/{root}/{group}{slash}{version}/namespaces/{ns}/{plural}")
            }
            None => format!("/{root}/{group}{slash}{version}/{plural}"),
        }
    }

    /// Tells an object its type where it does not say so itself: servers leave `apiVersion` and `kind` out of the items of
    /// lists. For types that carry it as a value; the others know it anyway.
    fn complete_types(&mut self, types: &TypeMeta) {
        let _ = types;
    }

    /// The object's metadata.
    fn meta(&self) -> &ObjectMeta;
    /// The object's metadata, to be changed.
    fn meta_mut(&mut self) -> &mut ObjectMeta;

    /// A reference to this object, as events and statuses hold them.
    fn object_ref(&self, dt: &Self::DynamicType) -> ObjectReference {
        let meta = self.meta();
        ObjectReference {
            api_version: Some(Self::api_version(dt).into()),
            kind: Some(Self::kind(dt).into()),
            name: meta.name.clone(),
            namespace: meta.namespace.clone(),
            resource_version: meta.resource_version.clone(),
            uid: meta.uid.clone(),
            ..ObjectReference::default()
        }
    }

    /// A reference that makes this object the controlling owner of another; `None` before the server has given it a uid.
    fn controller_owner_ref(&self, dt: &Self::DynamicType) -> Option<OwnerReference> {
        self.owner_ref(dt).map(|owner| OwnerReference { controller: Some(true), ..owner })
    }

    /// A reference that makes this object an owner of another; `None` before the server has given it a uid.
    fn owner_ref(&self, dt: &Self::DynamicType) -> Option<OwnerReference> {
        let meta = self.meta();
        Some(OwnerReference {
            api_version: Self::api_version(dt).into(),
            kind: Self::kind(dt).into(),
            name: meta.name.clone()?,
            uid: meta.uid.clone()?,
            ..OwnerReference::default()
        })
    }
}

impl<K, S> Resource for K
where
    K: k8s_openapi::Metadata<Ty = ObjectMeta> + k8s_openapi::Resource<Scope = S>,
{
    type DynamicType = ();
    type Scope = S;

    fn kind((): &()) -> Cow<'_, str> {
        K::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        K::GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        K::VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::URL_PATH_SEGMENT.into()
    }

    fn api_version((): &()) -> Cow<'_, str> {
        K::API_VERSION.into()
    }

    fn meta(&self) -> &ObjectMeta {
        self.metadata()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.metadata_mut()
    }
}

/// Shorthands for an object's metadata.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_client::ResourceExt;
///
/// let mut pod = Pod::default();
/// pod.labels_mut().insert("app".into(), "web".into());
/// assert_eq!(pod.labels()["app"], "web");
/// assert_eq!(pod.name_any(), "");
/// ```
pub trait ResourceExt: Resource {
    /// The name.
    ///
    /// # Panics
    ///
    /// If the object has none, which a server never sends: only objects built by hand lack one. Use
    /// [`name_any`](ResourceExt::name_any) for those.
    fn name_unchecked(&self) -> String;
    /// The name, else `generateName`, else an empty string.
    fn name_any(&self) -> String;
    /// The namespace; `None` for objects of the cluster.
    fn namespace(&self) -> Option<String>;
    /// The resource version at which the server sent this object.
    fn resource_version(&self) -> Option<String>;
    /// The unique id that the server gave this object.
    fn uid(&self) -> Option<String>;
    /// When the server created this object.
    fn creation_timestamp(&self) -> Option<Time>;
    /// The labels, empty where there are none.
    fn labels(&self) -> &BTreeMap<String, String>;
    /// The labels, to be changed.
    fn labels_mut(&mut self) -> &mut BTreeMap<String, String>;
    /// The annotations, empty where there are none.
    fn annotations(&self) -> &BTreeMap<String, String>;
    /// The annotations, to be changed.
    fn annotations_mut(&mut self) -> &mut BTreeMap<String, String>;
    /// The owners, empty where there are none.
    fn owner_references(&self) -> &[OwnerReference];
    /// The owners, to be changed.
    fn owner_references_mut(&mut self) -> &mut Vec<OwnerReference>;
    /// The finalizers, empty where there are none.
    fn finalizers(&self) -> &[String];
    /// The finalizers, to be changed.
    fn finalizers_mut(&mut self) -> &mut Vec<String>;
    /// Who manages which fields, empty where nothing is recorded or watchers skipped it.
    fn managed_fields(&self) -> &[ManagedFieldsEntry];
    /// Who manages which fields, to be changed.
    fn managed_fields_mut(&mut self) -> &mut Vec<ManagedFieldsEntry>;
}

static NO_STRINGS: BTreeMap<String, String> = BTreeMap::new();

impl<K: Resource> ResourceExt for K {
    fn name_unchecked(&self) -> String {
        #[expect(clippy::expect_used, reason = "as documented, and as in kube")]
        self.meta().name.clone().expect("an object that a server sent has a name")
    }

    fn name_any(&self) -> String {
        let meta = self.meta();
        meta.name.clone().or_else(|| meta.generate_name.clone()).unwrap_or_default()
    }

    fn namespace(&self) -> Option<String> {
        self.meta().namespace.clone()
    }

    fn resource_version(&self) -> Option<String> {
        self.meta().resource_version.clone()
    }

    fn uid(&self) -> Option<String> {
        self.meta().uid.clone()
    }

    fn creation_timestamp(&self) -> Option<Time> {
        self.meta().creation_timestamp.clone()
    }

    fn labels(&self) -> &BTreeMap<String, String> {
        self.meta().labels.as_ref().unwrap_or(&NO_STRINGS)
    }

    fn labels_mut(&mut self) -> &mut BTreeMap<String, String> {
        self.meta_mut().labels.get_or_insert_with(BTreeMap::new)
    }

    fn annotations(&self) -> &BTreeMap<String, String> {
        self.meta().annotations.as_ref().unwrap_or(&NO_STRINGS)
    }

    fn annotations_mut(&mut self) -> &mut BTreeMap<String, String> {
        self.meta_mut().annotations.get_or_insert_with(BTreeMap::new)
    }

    fn owner_references(&self) -> &[OwnerReference] {
        self.meta().owner_references.as_deref().unwrap_or_default()
    }

    fn owner_references_mut(&mut self) -> &mut Vec<OwnerReference> {
        self.meta_mut().owner_references.get_or_insert_with(Vec::new)
    }

    fn finalizers(&self) -> &[String] {
        self.meta().finalizers.as_deref().unwrap_or_default()
    }

    fn finalizers_mut(&mut self) -> &mut Vec<String> {
        self.meta_mut().finalizers.get_or_insert_with(Vec::new)
    }

    fn managed_fields(&self) -> &[ManagedFieldsEntry] {
        self.meta().managed_fields.as_deref().unwrap_or_default()
    }

    fn managed_fields_mut(&mut self) -> &mut Vec<ManagedFieldsEntry> {
        self.meta_mut().managed_fields.get_or_insert_with(Vec::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::{core::v1::Pod, rbac::v1::ClusterRole};

    #[test]
    fn builds_paths_by_group_and_scope() {
        assert_eq!(Pod::url_path(&(), None), "/api/v1/pods");
        assert_eq!(Pod::url_path(&(), Some("ns")), "/api/v1/namespaces/ns/pods");
        assert_eq!(ClusterRole::url_path(&(), None), "/apis/rbac.authorization.k8s.io/v1/clusterroles");
    }

    #[test]
    fn owners_need_a_uid() {
        let mut pod = Pod::default();
        pod.meta_mut().name = Some("web".into());
        assert_eq!(pod.owner_ref(&()), None);
        pod.meta_mut().uid = Some("1".into());
        let owner = pod.controller_owner_ref(&()).unwrap();
        assert_eq!((owner.controller, owner.kind.as_str()), (Some(true), "Pod"));
        assert_eq!(pod.owner_ref(&()).unwrap().controller, None);
        assert_eq!(pod.object_ref(&()).uid.as_deref(), Some("1"));
    }
}
