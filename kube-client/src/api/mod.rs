//! `Api<K>`: the API verbs for one kind in one scope.

mod actions;
mod all_pages;
mod apply;
mod body_decoder;
#[cfg(feature = "ws")]
mod copy;
mod delete;
mod drain;
pub mod entry;
mod filter;
mod list_stream;
mod negotiation;
mod pipeline;
mod pods;
#[cfg(feature = "ws")]
mod processes;
#[doc(hidden)]
pub mod raw;
mod read;
mod set_types;
mod subresource;
#[cfg(test)]
mod tests;
mod watch;
mod write;

pub use crate::wire::FilterDepth;
pub use actions::Cordon;
pub use apply::retry_on_conflict;
#[cfg(feature = "ws")]
pub use copy::CopyParams;
pub use drain::{DrainError, DrainObstacle, DrainParams, Drained, PodName, drain};
pub use filter::Verdict;
pub use list_stream::ListStream;
pub use pods::{Ephemeral, Evict, Log, Resize};
#[cfg(feature = "ws")]
pub use processes::{Attach, Execute, Portforward};
pub use watch::EventStream;

#[cfg(feature = "ws")]
pub use crate::streams::{
    AttachedProcess, Copied, ForwardedStream, Portforwarder, ProcessInput, ProcessOutput, TerminalSize,
    TerminalSizeSender,
};

pub use crate::core::{
    ApiResource, AttachParams, DeleteParams, DynamicObject, EvictParams, GetParams, GroupVersionKind,
    GroupVersionResource, ListMeta, ListParams, LogParams, LogStream, NotUsed, Object, ObjectList,
    ObjectMeta, PartialObjectMeta, PartialObjectMetaExt, Patch, PatchParams, PostParams, Preconditions,
    PropagationPolicy, Resource, ResourceExt, Seconds, TypeMeta, ValidationDirective, VersionMatch,
    WatchEvent, WatchParams, admission,
};
pub use k8s_openapi::api::autoscaling::v1::{Scale, ScaleSpec, ScaleStatus};

use crate::core::{
    DynamicResourceScope, FieldSet, NamespaceResourceScope, NamespaceScope, Request, WireFormat,
    discovery::Scope, request,
};
use crate::wire::ObjectDecoder;
use crate::{Client, Error};
use set_types::TypeMetaSetter;
use std::{fmt, marker::PhantomData};

/// Access to the objects of kind `K` in one scope: a namespace, all namespaces, or the cluster.
///
/// An `Api` is cheap to create and to clone: it contains a handle to the [`Client`] and the settings of its requests.
///
/// ```
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kube_client::{Api, Client, api::{ListParams, PostParams}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // In a program: `Client::try_default().await?`.
/// let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let maps: Api<ConfigMap> = Api::default_namespaced(client);
///
/// let mut map = ConfigMap::default();
/// map.metadata.name = Some("settings".into());
/// maps.create(&PostParams::default(), &map).await?;
/// assert_eq!(maps.list(&ListParams::default()).await?.items.len(), 1);
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
///
/// Dropping the future of a method ends its request. A read changes no object. The server may already have
/// performed a write: read the object, or repeat the write with a precondition such as a `resourceVersion`.
/// To limit the time of calls, use [`Client::with_request_timeout`] and do not drop their futures: the error
/// of a timeout names the request.
///
/// # Times beyond the last timestamp
///
/// A server accepts times up to the end of the year 9999; programs often write the last of them for "never".
/// `jiff::Timestamp::MAX` is about one day earlier. Later times decode as `jiff::Timestamp::MAX`. Replacing the whole
/// object therefore changes such times; a patch of other fields does not. This applies to fields of type
/// `jiff::Timestamp`, `Time` and `MicroTime`. Where serde buffers the value (`flatten`, `untagged`, or an internal tag),
/// such a time does not decode.
pub struct Api<K> {
    client: Client,
    request: Request,
    namespace: Option<String>,
    /// Whether discovery reported the kind as cluster-scoped. If so, [`constrain`](Api::constrain) has no effect.
    is_cluster_scoped: bool,
    /// The group and version, such as `apps/v1`.
    group_version: String,
    /// The kind, for error texts.
    kind: String,
    /// The format of responses; `None` for the format of the client.
    format: Option<WireFormat>,
    /// The fields that decoding skips.
    skipped: FieldSet,
    set_types: TypeMetaSetter<K>,
    object: PhantomData<fn() -> K>,
}

impl<K> Clone for Api<K> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            request: self.request.clone(),
            namespace: self.namespace.clone(),
            is_cluster_scoped: self.is_cluster_scoped,
            group_version: self.group_version.clone(),
            kind: self.kind.clone(),
            format: self.format,
            skipped: self.skipped.clone(),
            set_types: self.set_types.clone(),
            object: PhantomData,
        }
    }
}

impl<K> fmt::Debug for Api<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("url", &self.request.url_path).finish_non_exhaustive()
    }
}

impl<K: Resource> Api<K> {
    /// An `Api` for all objects of a cluster-scoped kind, or for the objects of a namespaced kind in all namespaces.
    pub fn all_with(client: Client, dyntype: &K::DynamicType) -> Self {
        Self::for_namespace(client, None, dyntype)
    }

    /// An `Api` for the objects of the kind in one namespace.
    pub fn namespaced_with(client: Client, ns: &str, dyntype: &K::DynamicType) -> Self
    where
        K::Scope: NamespaceScope,
    {
        Self::for_namespace(client, Some(ns), dyntype)
    }

    /// An `Api` for the objects of the kind in the client's default namespace: the namespace of the client's
    /// configuration, or `default`.
    pub fn default_namespaced_with(client: Client, dyntype: &K::DynamicType) -> Self
    where
        K::Scope: NamespaceScope,
    {
        let namespace = client.default_namespace().to_owned();
        Self::for_namespace(client, Some(&namespace), dyntype)
    }

    /// An `Api` for the objects of the kind in one namespace. With `None`, the same as [`all_with`](Api::all_with).
    fn for_namespace(client: Client, namespace: Option<&str>, dyntype: &K::DynamicType) -> Self {
        Self {
            client,
            request: Request::new(K::url_path(dyntype, namespace)).representation(K::representation()),
            namespace: namespace.map(ToOwned::to_owned),
            is_cluster_scoped: false,
            group_version: K::api_version(dyntype).into_owned(),
            kind: K::kind(dyntype).into_owned(),
            format: None,
            skipped: FieldSet::none(),
            set_types: TypeMetaSetter::new(dyntype),
            object: PhantomData,
        }
    }
}

impl<K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>> Api<K> {
    /// An `Api` for a kind that discovery found: for all objects of a cluster-scoped kind, or for the objects of a
    /// namespaced kind in all namespaces. [`constrain`](Api::constrain) selects a namespace if the kind is namespaced.
    ///
    /// ```
    /// use kube_client::{Api, Client, api::{DynamicObject, GroupVersionKind}, discovery};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// let nodes = GroupVersionKind::gvk("", "v1", "Node");
    /// let (resource, capabilities) = discovery::oneshot::pinned_kind(&client, &nodes).await?;
    /// let api: Api<DynamicObject> = Api::dynamic(client, &resource, &capabilities.scope).constrain("web");
    /// assert_eq!(api.resource_url(), "/api/v1/nodes");
    /// # Ok(())
    /// # }
    /// ```
    pub fn dynamic(client: Client, dyntype: &ApiResource, scope: &Scope) -> Self {
        Self { is_cluster_scoped: *scope == Scope::Cluster, ..Self::all_with(client, dyntype) }
    }
}

impl<K: Resource<Scope: NamespaceScope>> Api<K> {
    /// Selects the namespace `ns`, or all namespaces if `ns` is empty. Has no effect if [`dynamic`](Api::dynamic) created
    /// the `Api` for a cluster-scoped kind.
    #[must_use]
    pub fn constrain(self, ns: &str) -> Self {
        if self.is_cluster_scoped {
            return self;
        }
        self.with_namespace(Some(ns).filter(|ns| !ns.is_empty()))
    }

    /// Selects all namespaces.
    #[must_use]
    pub fn unconstrain(self) -> Self {
        self.with_namespace(None)
    }

    /// Selects the client's default namespace; see [`constrain`](Api::constrain).
    #[must_use]
    pub fn constrain_default(self) -> Self {
        let namespace = self.client.default_namespace().to_owned();
        self.constrain(&namespace)
    }

    fn with_namespace(self, namespace: Option<&str>) -> Self {
        let request = self.request.in_namespace(self.namespace.is_some(), namespace);
        Self { request, namespace: namespace.map(ToOwned::to_owned), ..self }
    }
}

impl<K: Resource<DynamicType: Default>> Api<K> {
    /// An `Api` for all objects of a cluster-scoped kind, or for the objects of a namespaced kind in all namespaces.
    pub fn all(client: Client) -> Self {
        Self::all_with(client, &K::DynamicType::default())
    }

    /// An `Api` for the objects of the kind in one namespace.
    ///
    /// A cluster-scoped kind is a compile error:
    ///
    /// ```compile_fail
    /// use k8s_openapi::api::core::v1::Node;
    /// fn nodes(client: kube_client::Client) -> kube_client::Api<Node> {
    ///     kube_client::Api::namespaced(client, "default")
    /// }
    /// ```
    pub fn namespaced(client: Client, ns: &str) -> Self
    where
        K: Resource<Scope = NamespaceResourceScope>,
    {
        Self::namespaced_with(client, ns, &K::DynamicType::default())
    }

    /// An `Api` for the objects of the kind in the client's default namespace: the namespace of the client's
    /// configuration, or `default`.
    pub fn default_namespaced(client: Client) -> Self
    where
        K: Resource<Scope = NamespaceResourceScope>,
    {
        Self::default_namespaced_with(client, &K::DynamicType::default())
    }
}

impl<K> Api<K> {
    /// The namespace; `None` for all namespaces and for a cluster-scoped kind.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Skips `fields` when get, list or watch decodes an object, in addition to the fields that are already skipped.
    ///
    /// Skipped fields are absent from the object and take neither memory nor decoding time. Do not write such an object
    /// with replace, which would remove the fields on the server.
    ///
    /// ```
    /// use k8s_openapi::api::core::v1::Pod;
    /// use kube_client::{Api, Client, core::FieldSet};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// let pods = Api::<Pod>::all(client).skip_fields(FieldSet::managed_fields().and("spec.volumes".parse()?));
    /// # pods.list(&Default::default()).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn skip_fields(mut self, fields: FieldSet) -> Self {
        self.skipped = self.skipped.and(fields);
        self
    }

    /// The decoder of the objects. It skips the fields in `skipped`.
    fn decoder(&self) -> ObjectDecoder {
        ObjectDecoder::new(&self.kind, &self.skipped)
    }

    /// Converts this to an `Api` for the metadata of the same objects.
    pub fn into_metadata(self) -> Api<PartialObjectMeta<K>> {
        Api {
            request: self.metadata_request(),
            client: self.client,
            namespace: self.namespace,
            is_cluster_scoped: self.is_cluster_scoped,
            group_version: self.group_version,
            kind: self.kind,
            format: self.format,
            skipped: self.skipped,
            set_types: TypeMetaSetter::noop(),
            object: PhantomData,
        }
    }

    /// Returns the client.
    pub fn into_client(self) -> Client {
        self.client
    }

    /// The kind, such as `Pod`, for error texts.
    #[cfg(feature = "ws")]
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    /// The URL path of the collection.
    pub fn resource_url(&self) -> &str {
        &self.request.url_path
    }
    /// A request for `PartialObjectMetadata`.
    fn metadata_request(&self) -> Request {
        self.request.clone().representation(crate::core::Representation::Metadata)
    }
}

impl<K> From<Api<K>> for Client {
    fn from(api: Api<K>) -> Self {
        api.into_client()
    }
}

/// Converts the error of a request that cannot be built, for example because the name of the object is invalid.
impl From<request::Error> for Error {
    fn from(error: request::Error) -> Self {
        match error {
            request::Error::Validation(what) => Self::Request { what, source: None },
            other => Self::Request { what: "it cannot be built".to_owned(), source: Some(other.into()) },
        }
    }
}
