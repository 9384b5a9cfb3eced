//! `Resource` and `ResourceExt`: the group, version, kind, URL path and metadata of an object.

use super::{TypeMeta, gvk::join_api_version, metadata::ObjectMeta};
use k8s_openapi::{
    api::core::v1::ObjectReference,
    apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, OwnerReference, Time},
};
use std::{borrow::Cow, collections::BTreeMap};

pub use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope, ResourceScope, SubResourceScope};

/// The scope of kinds that are known only at run time: namespaced or cluster-scoped.
#[derive(Debug, Clone, Copy)]
pub enum DynamicResourceScope {}
impl ResourceScope for DynamicResourceScope {}

/// Scopes that allow namespaced objects.
pub trait NamespaceScope: ResourceScope {}
impl NamespaceScope for NamespaceResourceScope {}
impl NamespaceScope for DynamicResourceScope {}

/// Scopes that allow objects without a namespace.
pub trait ClusterScope: ResourceScope {}
impl ClusterScope for ClusterResourceScope {}
impl ClusterScope for DynamicResourceScope {}

/// The characters to escape in a namespace. An unescaped character of this set would change the structure of the URL, or
/// make the URL invalid.
const ESCAPED_IN_NAMESPACE: &percent_encoding::AsciiSet =
    &percent_encoding::CONTROLS.add(b'/').add(b'%').add(b'?').add(b'#').add(b' ');

/// The URL path of the collection `plural`. `version` is the path of its group version, such as `/apis/apps/v1`.
pub(crate) fn join_collection_path(version: &str, namespace: Option<&str>, plural: &str) -> String {
    const NAMESPACES: &str = "/namespaces/";
    let namespace_length = namespace.map_or(0, |namespace| NAMESPACES.len() + namespace.len());
    let mut path = String::with_capacity(version.len() + namespace_length + 1 + plural.len());
    path.push_str(version);
    if let Some(namespace) = namespace {
        path.push_str(NAMESPACES);
        // Escape an invalid namespace, so that it stays one path segment; `Request` then rejects it.
        path.extend(percent_encoding::utf8_percent_encode(namespace, ESCAPED_IN_NAMESPACE));
    }
    path.push('/');
    path.push_str(plural);
    path
}

/// The `apiVersion` of a group and a version: `group/version`, or the version alone for the core group, whose name is
/// empty.
///
/// ```
/// use kube_core::api_version_from_group_version;
///
/// assert_eq!(api_version_from_group_version("apps".into(), "v1".into()), "apps/v1");
/// assert_eq!(api_version_from_group_version("".into(), "v1".into()), "v1");
/// ```
#[expect(clippy::needless_pass_by_value, reason = "kube has this signature")]
pub fn api_version_from_group_version<'a>(group: Cow<'a, str>, version: Cow<'a, str>) -> Cow<'a, str> {
    if group.is_empty() { version } else { join_api_version(&group, &version).into() }
}

/// The form in which a client requests objects from the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Representation {
    /// The whole object.
    #[default]
    Full,
    /// The type and metadata only (`meta/v1 PartialObjectMetadata`).
    Metadata,
    /// Rows of cells (`meta/v1 Table`): see [`Table`](super::Table).
    Table,
}

/// A kind of object that an API server stores.
///
/// Implemented for every kind of `k8s-openapi` that has an [`ObjectMeta`], for derived custom resources, and for
/// [`DynamicObject`](super::DynamicObject), [`Object`](super::Object),
/// [`PartialObjectMeta`](super::PartialObjectMeta) and [`DeserializeGuard`](super::DeserializeGuard). Kinds that are known
/// at compile time have `DynamicType = ()`; kinds that are known only at run time have
/// [`ApiResource`](super::ApiResource).
///
/// ```
/// use k8s_openapi::api::apps::v1::Deployment;
/// use kube_core::Resource;
///
/// assert_eq!(Deployment::kind(&()), "Deployment");
/// assert_eq!(Deployment::url_path(&(), Some("web")), "/apis/apps/v1/namespaces/web/deployments");
/// ```
pub trait Resource {
    /// The type of the value that contains group, version, kind and plural at run time; `()` if the kind is known at
    /// compile time.
    type DynamicType: Send + Sync + 'static;
    /// The scope of the objects: namespaced, or cluster-scoped.
    type Scope;

    /// The kind, in CamelCase.
    fn kind(dt: &Self::DynamicType) -> Cow<'_, str>;
    /// The API group, empty for the core group.
    fn group(dt: &Self::DynamicType) -> Cow<'_, str>;
    /// The version within the group.
    fn version(dt: &Self::DynamicType) -> Cow<'_, str>;
    /// The plural name, as used in URLs.
    fn plural(dt: &Self::DynamicType) -> Cow<'_, str>;

    /// `group/version`, or `version` alone in the core group.
    fn api_version(dt: &Self::DynamicType) -> Cow<'_, str> {
        api_version_from_group_version(Self::group(dt), Self::version(dt))
    }

    /// The form in which an `Api` requests these objects.
    fn representation() -> Representation {
        Representation::Full
    }

    /// The path of the collection, from the server's root; `namespace: None` addresses all namespaces, or a
    /// cluster-scoped collection.
    fn url_path(dt: &Self::DynamicType, namespace: Option<&str>) -> String {
        let (group, version, plural) = (Self::group(dt), Self::version(dt), Self::plural(dt));
        let root = if group.is_empty() { "api" } else { "apis" };
        let slash = if group.is_empty() { "" } else { "/" };
        join_collection_path(&["/", root, "/", &group, slash, &version].concat(), namespace, &plural)
    }

    /// Sets `apiVersion` and `kind` if they are missing. Servers omit them from list items of built-in kinds.
    ///
    /// Types that store `apiVersion` and `kind` in a field override this method; the default does nothing.
    fn complete_types(&mut self, types: &TypeMeta) {
        let _ = types;
    }

    /// The object's metadata.
    fn meta(&self) -> &ObjectMeta;
    /// The object's metadata, mutable.
    fn meta_mut(&mut self) -> &mut ObjectMeta;

    /// A reference to this object, for use in events and statuses.
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

    /// An owner reference to this object, with `controller: true`; `None` if the object lacks a name or a uid.
    fn controller_owner_ref(&self, dt: &Self::DynamicType) -> Option<OwnerReference> {
        self.owner_ref(dt).map(|owner| OwnerReference { controller: Some(true), ..owner })
    }

    /// An owner reference to this object; `None` if the object lacks a name or a uid.
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

/// Accessors for an object's metadata.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kube_core::ResourceExt;
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
    /// If the object has no name. An object from a server always has a name. For an object that the program built, use
    /// [`name_any`](ResourceExt::name_any).
    fn name_unchecked(&self) -> String;
    /// The name, or `generateName` if there is no name, or an empty string if there is neither.
    fn name_any(&self) -> String;
    /// The namespace; `None` for cluster-scoped objects.
    fn namespace(&self) -> Option<String>;
    /// The object's resource version, which the server sets at each write.
    fn resource_version(&self) -> Option<String>;
    /// The uid that the server assigned to this object.
    fn uid(&self) -> Option<String>;
    /// The time at which the server created this object.
    fn creation_timestamp(&self) -> Option<Time>;
    /// The labels, empty if there are none.
    fn labels(&self) -> &BTreeMap<String, String>;
    /// The labels, mutable.
    fn labels_mut(&mut self) -> &mut BTreeMap<String, String>;
    /// The annotations, empty if there are none.
    fn annotations(&self) -> &BTreeMap<String, String>;
    /// The annotations, mutable.
    fn annotations_mut(&mut self) -> &mut BTreeMap<String, String>;
    /// The owner references, empty if there are none.
    fn owner_references(&self) -> &[OwnerReference];
    /// The owner references, mutable.
    fn owner_references_mut(&mut self) -> &mut Vec<OwnerReference>;
    /// The finalizers, empty if there are none.
    fn finalizers(&self) -> &[String];
    /// The finalizers, mutable.
    fn finalizers_mut(&mut self) -> &mut Vec<String>;
    /// The field managers and the fields that they own (`managedFields`); empty if the server recorded none, or if a
    /// watcher dropped this field.
    fn managed_fields(&self) -> &[ManagedFieldsEntry];
    /// The field managers and the fields that they own (`managedFields`), mutable.
    fn managed_fields_mut(&mut self) -> &mut Vec<ManagedFieldsEntry>;
}

static EMPTY_MAP: BTreeMap<String, String> = BTreeMap::new();

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
        self.meta().labels.as_ref().unwrap_or(&EMPTY_MAP)
    }

    fn labels_mut(&mut self) -> &mut BTreeMap<String, String> {
        self.meta_mut().labels.get_or_insert_with(BTreeMap::new)
    }

    fn annotations(&self) -> &BTreeMap<String, String> {
        self.meta().annotations.as_ref().unwrap_or(&EMPTY_MAP)
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
    fn url_path_depends_on_group_and_namespace() {
        assert_eq!(Pod::url_path(&(), None), "/api/v1/pods");
        assert_eq!(Pod::url_path(&(), Some("ns")), "/api/v1/namespaces/ns/pods");
        assert_eq!(ClusterRole::url_path(&(), None), "/apis/rbac.authorization.k8s.io/v1/clusterroles");
    }

    #[test]
    fn owner_ref_returns_none_without_a_uid() {
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
