//! `Api<K>`: the verbs of one kind in one scope.

mod complete;
mod delete;
mod filter;
mod items;
mod list_stream;
mod pipeline;
mod read;
mod subresource;
mod watch;
mod write;

pub use crate::wire::FilterDepth;
pub use filter::Verdict;
pub use list_stream::ListStream;
pub use watch::EventStream;

pub use crate::core::{
    ApiResource, DeleteParams, DynamicObject, GetParams, GroupVersionKind, ListMeta, ListParams, NotUsed,
    Object, ObjectList, ObjectMeta, PartialObjectMeta, PartialObjectMetaExt, Patch, PatchParams, PostParams,
    Preconditions, PropagationPolicy, Resource, ResourceExt, TypeMeta, ValidationDirective, VersionMatch,
    WatchEvent, WatchParams,
};
pub use k8s_openapi::api::autoscaling::v1::{Scale, ScaleSpec, ScaleStatus};

use crate::core::{FieldSet, NamespaceResourceScope, NamespaceScope, Request, request};
use crate::wire::Shape;
use crate::{Client, Error};
use complete::Complete;
use std::{fmt, marker::PhantomData};

/// Access to the objects of kind `K` in one scope: a namespace, all namespaces, or the cluster.
///
/// An `Api` is cheap to make and to clone; it holds no state but a handle to the [`Client`].
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
/// # Times beyond the last timestamp
///
/// A server may store times up to the end of the year 9999, often for "never". Those after `jiff::Timestamp::MAX`, a day before
/// that, are read as `jiff::Timestamp::MAX`, so writing back the whole object changes them; a patch of other fields does not.
/// This holds for fields of type `jiff::Timestamp`, `Time` and `MicroTime`, unless serde reads them by way of a buffer
/// (`flatten`, `untagged`, or an internal tag): there such a time does not decode.
///
/// # Cancel safety
///
/// Dropping the future of a verb cancels its request. A write that is cancelled may or may not have taken effect.
pub struct Api<K> {
    client: Client,
    request: Request,
    namespace: Option<String>,
    /// What errors call the kind.
    kind: String,
    /// Fields that are not wanted when objects are read.
    skipped: FieldSet,
    /// Tells an item of a list its type.
    complete: Complete<K>,
    object: PhantomData<fn() -> K>,
}

impl<K> Clone for Api<K> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            request: self.request.clone(),
            namespace: self.namespace.clone(),
            kind: self.kind.clone(),
            skipped: self.skipped.clone(),
            complete: self.complete.clone(),
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
    /// All objects of the kind: those of the cluster, or those of every namespace.
    pub fn all_with(client: Client, dyntype: &K::DynamicType) -> Self {
        Self::scoped(client, None, dyntype)
    }

    /// The objects of the kind in one namespace.
    pub fn namespaced_with(client: Client, ns: &str, dyntype: &K::DynamicType) -> Self
    where
        K::Scope: NamespaceScope,
    {
        Self::scoped(client, Some(ns), dyntype)
    }

    /// The objects of the kind in the namespace that the configuration names, else in `default`.
    pub fn default_namespaced_with(client: Client, dyntype: &K::DynamicType) -> Self
    where
        K::Scope: NamespaceScope,
    {
        let namespace = client.default_namespace().to_owned();
        Self::scoped(client, Some(&namespace), dyntype)
    }

    fn scoped(client: Client, namespace: Option<&str>, dyntype: &K::DynamicType) -> Self {
        Self {
            client,
            request: Request::new(K::url_path(dyntype, namespace)).representation(K::representation()),
            namespace: namespace.map(ToOwned::to_owned),
            kind: K::kind(dyntype).into_owned(),
            skipped: FieldSet::none(),
            complete: Complete::new(dyntype),
            object: PhantomData,
        }
    }
}

impl<K: Resource<DynamicType = ()>> Api<K> {
    /// All objects of the kind: those of the cluster, or those of every namespace.
    pub fn all(client: Client) -> Self {
        Self::all_with(client, &())
    }

    /// The objects of the kind in one namespace.
    ///
    /// It is a compile error for kinds that live in the cluster:
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
        Self::namespaced_with(client, ns, &())
    }

    /// The objects of the kind in the namespace that the configuration names, else in `default`.
    pub fn default_namespaced(client: Client) -> Self
    where
        K: Resource<Scope = NamespaceResourceScope>,
    {
        Self::default_namespaced_with(client, &())
    }
}

impl<K> Api<K> {
    /// The namespace, `None` for all of them or for the cluster.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Skips these fields, beside those that were named before, while objects are read by get, list or watch.
    ///
    /// They cost neither memory nor the time to build them, and are as if the object had none. An object that was read like this
    /// must not be written back by replace, which would drop them on the server.
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

    fn shape(&self) -> Shape {
        Shape::new(&self.kind, &self.skipped)
    }

    /// The same objects, of which only the metadata is asked for.
    pub fn into_metadata(self) -> Api<PartialObjectMeta<K>> {
        Api {
            request: self.metadata_request(),
            client: self.client,
            namespace: self.namespace,
            kind: self.kind,
            skipped: self.skipped,
            complete: Complete::nothing(),
            object: PhantomData,
        }
    }

    /// The client behind it.
    pub fn into_client(self) -> Client {
        self.client
    }

    /// The path of the collection, from the server's root.
    pub fn resource_url(&self) -> &str {
        &self.request.url_path
    }

    /// The kind as errors name it, such as `Pod`.
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    /// The same objects in the form of their metadata only.
    fn metadata_request(&self) -> Request {
        self.request.clone().representation(crate::core::Representation::Metadata)
    }
}

/// A request that cannot be built was the caller's mistake.
impl From<request::Error> for Error {
    fn from(error: request::Error) -> Self {
        match error {
            request::Error::Validation(what) => Self::Request { what, source: None },
            other => Self::Request { what: "it cannot be built".to_owned(), source: Some(other.into()) },
        }
    }
}
