//! Reads an object or a list of objects without an `Api`. The caller gives a scope, or a reference from another object.

use super::Client;
use crate::core::{
    ApiResource, ClusterScope, DynamicObject, GetParams, GroupVersionKind, ListParams, NamespaceScope,
    ObjectList, Request, Resource, TypeMeta,
};
use crate::error::{Error, Result};
use k8s_openapi::{
    api::core::v1::{LocalObjectReference, Namespace as NamespaceObject, ObjectReference},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use serde::de::DeserializeOwned;

/// The scope of the whole cluster. With this scope, [`Client::list`] returns the objects of all namespaces, and
/// [`Client::get`] returns a cluster-scoped object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cluster;

/// The scope of one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace(String);

impl From<&str> for Namespace {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl From<String> for Namespace {
    fn from(name: String) -> Self {
        Self(name)
    }
}

/// The error for a `Namespace` object without a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NamespaceError {
    /// `metadata.name` is not set.
    #[error("the Namespace object has no metadata.name")]
    MissingName,
}

impl TryFrom<&NamespaceObject> for Namespace {
    type Error = NamespaceError;

    fn try_from(namespace: &NamespaceObject) -> Result<Self, NamespaceError> {
        namespace.metadata.name.as_deref().map(Self::from).ok_or(NamespaceError::MissingName)
    }
}

/// A scope in which objects of the kind `K` can be listed.
pub trait CollectionUrl<K> {
    /// The URL path of the collection.
    fn url_path(&self) -> String;
}

/// Determines the collection that contains an object of the kind `K`. Implemented for scopes in which the name of an
/// object is unique, and for references to one object.
pub trait ObjectUrl<K> {
    /// The URL path of the collection that contains the object.
    fn url_path(&self) -> String;
}

/// A reference to one object of the kind `K`.
pub trait ObjectRef<K>: ObjectUrl<K> {
    /// The name of the object, if the reference has one.
    fn name(&self) -> Option<&str>;
}

/// A reference, with or without a namespace, to an object of the namespaced kind `K`.
pub trait NamespacedRef<K> {
    /// The reference with this namespace: usually the namespace of the object that contains the reference.
    fn within(&self, namespace: impl Into<Option<String>>) -> impl ObjectRef<K>;
}

impl<K: Resource<DynamicType: Default>> CollectionUrl<K> for Cluster {
    fn url_path(&self) -> String {
        K::url_path(&K::DynamicType::default(), None)
    }
}

impl<K: Resource<DynamicType: Default, Scope: ClusterScope>> ObjectUrl<K> for Cluster {
    fn url_path(&self) -> String {
        K::url_path(&K::DynamicType::default(), None)
    }
}

impl<K: Resource<DynamicType: Default, Scope: NamespaceScope>> CollectionUrl<K> for Namespace {
    fn url_path(&self) -> String {
        K::url_path(&K::DynamicType::default(), Some(&self.0))
    }
}

impl<K: Resource<DynamicType: Default, Scope: NamespaceScope>> ObjectUrl<K> for Namespace {
    fn url_path(&self) -> String {
        K::url_path(&K::DynamicType::default(), Some(&self.0))
    }
}

/// The path of a collection, from the group, version and kind in a reference. The plural name is derived from the kind.
fn collection_path(kind: &GroupVersionKind, namespace: Option<&str>) -> String {
    DynamicObject::url_path(&ApiResource::from_gvk(kind), namespace)
}

impl<K: Resource> ObjectUrl<K> for ObjectReference {
    fn url_path(&self) -> String {
        collection_path(&self.clone().into(), self.namespace.as_deref())
    }
}

impl<K: Resource> ObjectRef<K> for ObjectReference {
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl<K: Resource<Scope: NamespaceScope>> NamespacedRef<K> for ObjectReference {
    fn within(&self, namespace: impl Into<Option<String>>) -> impl ObjectRef<K> {
        Self { namespace: namespace.into(), ..self.clone() }
    }
}

impl<K: Resource<Scope: ClusterScope>> ObjectUrl<K> for OwnerReference {
    fn url_path(&self) -> String {
        collection_path(&self.clone().into(), None)
    }
}

impl<K: Resource<Scope: ClusterScope>> ObjectRef<K> for OwnerReference {
    fn name(&self) -> Option<&str> {
        Some(&self.name)
    }
}

impl<K: Resource<Scope: NamespaceScope>> NamespacedRef<K> for OwnerReference {
    fn within(&self, namespace: impl Into<Option<String>>) -> impl ObjectRef<K> {
        ObjectReference {
            api_version: Some(self.api_version.clone()),
            kind: Some(self.kind.clone()),
            name: Some(self.name.clone()),
            uid: Some(self.uid.clone()),
            namespace: namespace.into(),
            ..ObjectReference::default()
        }
    }
}

impl<K: Resource<DynamicType: Default, Scope: NamespaceScope>> NamespacedRef<K> for LocalObjectReference {
    fn within(&self, namespace: impl Into<Option<String>>) -> impl ObjectRef<K> {
        let dyntype = K::DynamicType::default();
        ObjectReference {
            api_version: Some(K::api_version(&dyntype).into_owned()),
            kind: Some(K::kind(&dyntype).into_owned()),
            name: Some(self.name.clone()),
            namespace: namespace.into(),
            ..ObjectReference::default()
        }
    }
}

impl Client {
    /// Reads one object.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
    /// use kube_client::{Client, api::ListParams, client::scope};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// let default: Namespace = client.get("default", &scope::Cluster).await?;
    /// let in_default = scope::Namespace::try_from(&default)?;
    /// client.list::<ServiceAccount>(&ListParams::default(), &in_default).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::is_not_found`] if no object has this name.
    ///
    /// # Cancel safety
    /// Cancel safe: the request has no effect.
    pub async fn get<K: DeserializeOwned>(&self, name: &str, scope: &impl ObjectUrl<K>) -> Result<K> {
        self.request(Request::new(scope.url_path()).get(name, &GetParams::default())?).await
    }

    /// Reads the object of a reference. The plural name in the URL is derived from the reference's kind; for a kind
    /// with another plural name, use [`get`](Self::get).
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::ConfigMap;
    /// use kube_client::{Api, Client, Resource, ResourceExt, api::PostParams, client::scope::NamespacedRef};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// # let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    /// # let mut owner = maps.entry("a").await?.or_insert(ConfigMap::default);
    /// # owner.commit(&PostParams::default()).await?;
    /// # let mut owned = owner.get().clone();
    /// # owned.owner_references_mut().extend(owner.get().owner_ref(&()));
    /// // `owned` is a config map in the same namespace as its owner.
    /// let reference = owned.owner_references().first().ok_or("the object has no owner")?;
    /// let owner: ConfigMap = client.fetch(&NamespacedRef::<ConfigMap>::within(reference, owned.namespace())).await?;
    /// assert_eq!(owner.uid(), Some(reference.uid.clone()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Request`] if the reference has no name, [`Error::is_not_found`] if the object does not exist.
    ///
    /// # Cancel safety
    /// Cancel safe: the request has no effect.
    pub async fn fetch<K: DeserializeOwned>(&self, reference: &impl ObjectRef<K>) -> Result<K> {
        let path = reference.url_path();
        let name = reference.name().ok_or_else(|| Error::Request {
            what: format!("the reference to an object in {path} has no name"),
            source: None,
        })?;
        self.request(Request::new(path).get(name, &GetParams::default())?).await
    }

    /// Lists the objects of the kind `K` in a scope, or one page of them.
    ///
    /// # Errors
    /// If the request fails, or an object does not decode.
    ///
    /// # Cancel safety
    /// Cancel safe: the request has no effect.
    pub async fn list<K>(&self, lp: &ListParams, scope: &impl CollectionUrl<K>) -> Result<ObjectList<K>>
    where
        K: Resource<DynamicType: Default> + DeserializeOwned,
    {
        let mut list: ObjectList<K> = self.request(Request::new(scope.url_path()).list(lp)?).await?;
        let types = TypeMeta::of::<K>(&K::DynamicType::default());
        for item in &mut list.items {
            item.complete_types(&types);
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::{
        apps::v1::ReplicaSet,
        core::v1::{ConfigMap, Node, Pod, Secret},
    };

    #[track_caller]
    fn assert_reference<K>(reference: &impl ObjectRef<K>, path: &str, name: &str) {
        assert_eq!((reference.url_path().as_str(), reference.name()), (path, Some(name)));
    }

    fn owner(api_version: &str, kind: &str, name: &str) -> OwnerReference {
        let (api_version, kind, name) = (api_version.to_owned(), kind.to_owned(), name.to_owned());
        OwnerReference { api_version, kind, name, ..OwnerReference::default() }
    }

    #[test]
    fn scopes_have_the_paths_of_their_collections() {
        assert_eq!(CollectionUrl::<Pod>::url_path(&Cluster), "/api/v1/pods");
        assert_eq!(ObjectUrl::<Node>::url_path(&Cluster), "/api/v1/nodes");
        let shop = Namespace::from("shop");
        assert_eq!(ObjectUrl::<ConfigMap>::url_path(&shop), "/api/v1/namespaces/shop/configmaps");
        assert_eq!(Namespace::try_from(&NamespaceObject::default()), Err(NamespaceError::MissingName));
    }

    #[test]
    fn references_have_the_paths_and_names_of_their_objects() {
        let replica_set = owner("apps/v1", "ReplicaSet", "web-5d");
        let path = "/apis/apps/v1/namespaces/shop/replicasets";
        assert_reference(
            &NamespacedRef::<ReplicaSet>::within(&replica_set, "shop".to_owned()),
            path,
            "web-5d",
        );
        assert_reference::<Node>(&owner("v1", "Node", "n1"), "/api/v1/nodes", "n1");
        let secret = LocalObjectReference { name: "tls".into() };
        let path = "/api/v1/namespaces/shop/secrets";
        assert_reference(&NamespacedRef::<Secret>::within(&secret, "shop".to_owned()), path, "tls");
        let pod = ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            name: Some("web".into()),
            namespace: Some("shop".into()),
            ..ObjectReference::default()
        };
        assert_reference::<Pod>(&pod, "/api/v1/namespaces/shop/pods", "web");
        let other = NamespacedRef::<Pod>::within(&pod, "test".to_owned());
        assert_reference(&other, "/api/v1/namespaces/test/pods", "web");
    }
}
