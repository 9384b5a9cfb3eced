//! The methods of `Controller` that take streams of objects, under the names of kube. Each is one source over
//! [`Changes`].

use super::handler::{each_mapped, each_own, each_owners};
use super::{Changes, Controller};
use crate::reflector::{ObjectRef, Store};
use crate::watcher;
use futures::{Stream, StreamExt};
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;
use std::{borrow::Borrow, hash::Hash, sync::Arc};

/// Sources that are streams of objects.
///
/// A stream of objects contains neither the previous states of objects nor, in most cases, deletions: the previous
/// owners or targets of an object are not reconciled. Except with [`for_stream`](Controller::for_stream), whose store
/// is known, reconciles do not wait for the first snapshot of the stream. To reconcile previous owners and targets, and
/// to wait for the first snapshot, use a source over the changes of a store: [`owns`](Controller::owns),
/// [`watches`](Controller::watches), or [`Changes::of_store`] with [`with_source`](Controller::with_source).
#[expect(clippy::needless_pass_by_value, reason = "the signatures are those of kube")]
impl<K> Controller<K>
where
    K: Resource + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    /// A controller for the objects of `trigger`, such as the stream of a
    /// [`reflector`](crate::reflector()) with [`applied_objects`](crate::WatchStreamExt::applied_objects). `reader` is
    /// the store that the stream feeds.
    ///
    /// ```
    /// use futures::StreamExt;
    /// use k8s_openapi::api::core::v1::Namespace;
    /// use kube_client::{Api, Client};
    /// use kube_runtime::controller::{self, Action};
    /// use kube_runtime::{Controller, WatchStreamExt, reflector, watcher};
    /// use std::{convert::Infallible, sync::Arc};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let client = Client::new(kube_sim::Sim::new().service(), "default");
    /// let (reader, writer) = reflector::store();
    /// let objects = watcher(Api::<Namespace>::all(client), watcher::Config::default())
    ///     .modify(|namespace| namespace.metadata.annotations = None)
    ///     .reflect(writer)
    ///     .applied_objects();
    /// let reconcile = async |_, _| Ok::<_, Infallible>(Action::await_change());
    /// let controller = Controller::for_stream(objects, reader);
    /// let mut results = controller.run(reconcile, controller::backoff_on_error, Arc::new(())).boxed();
    /// assert!(results.next().await.is_some_and(|result| result.is_ok()));
    /// # }
    /// ```
    ///
    /// # Relists
    ///
    /// During a relist the stream emits objects that the store receives only at the end of the list. The controller
    /// queues such an object when the store contains it, so that each reconcile gets the current state. The stream
    /// emits all objects of a relist, and the controller reconciles them all; with [`Controller::new`], and with
    /// [`from_source`](Self::from_source) and [`Changes::of_store`], it reconciles only those that changed.
    pub fn for_stream<T>(
        trigger: impl Stream<Item = watcher::Result<T>> + Send + 'static,
        reader: Store<K>,
    ) -> Self
    where
        K::DynamicType: Default,
        T: Borrow<K> + Send + 'static,
    {
        Self::for_stream_with(trigger, reader, K::DynamicType::default())
    }

    /// Like [`for_stream`](Self::for_stream), for kinds that are known only at run time.
    pub fn for_stream_with<T>(
        trigger: impl Stream<Item = watcher::Result<T>> + Send + 'static,
        reader: Store<K>,
        dyntype: K::DynamicType,
    ) -> Self
    where
        T: Borrow<K> + Send + 'static,
    {
        let source = Changes::of_stream(&K::kind(&dyntype), trigger).handle(each_own::<K, T>());
        let source = source.after_snapshots_of(&reader);
        Self::from_source_with(reader, source, dyntype)
    }

    /// Like [`for_stream`](Self::for_stream), for a stream of shared objects without errors.
    pub fn for_shared_stream(trigger: impl Stream<Item = Arc<K>> + Send + 'static, reader: Store<K>) -> Self
    where
        K::DynamicType: Default,
    {
        Self::for_stream(trigger.map(Ok), reader)
    }

    /// Like [`for_shared_stream`](Self::for_shared_stream), for kinds that are known only at run time.
    pub fn for_shared_stream_with(
        trigger: impl Stream<Item = Arc<K>> + Send + 'static,
        reader: Store<K>,
        dyntype: K::DynamicType,
    ) -> Self {
        Self::for_stream_with(trigger.map(Ok), reader, dyntype)
    }

    /// Like [`owns`](Controller::owns). `dyntype` is ignored, because `api` contains the names of the kind; the
    /// parameter exists for compatibility with kube.
    #[must_use]
    pub fn owns_with<Child>(self, api: Api<Child>, _dyntype: Child::DynamicType, wc: watcher::Config) -> Self
    where
        Child: Resource + 'static,
    {
        self.owns(api, wc)
    }

    /// Also reconciles the owners of each object of a stream.
    #[must_use]
    pub fn owns_stream<Child: Resource<DynamicType = ()> + Send + 'static>(
        self,
        trigger: impl Stream<Item = watcher::Result<Child>> + Send + 'static,
    ) -> Self {
        self.owns_stream_with(trigger, ())
    }

    /// Like [`owns_stream`](Self::owns_stream), for kinds that are known only at run time.
    #[must_use]
    pub fn owns_stream_with<Child: Resource + Send + 'static>(
        self,
        trigger: impl Stream<Item = watcher::Result<Child>> + Send + 'static,
        dyntype: Child::DynamicType,
    ) -> Self {
        let handler = each_owners::<K, Child, Child>(self.dyntype.clone());
        self.with_source(Changes::of_stream(&Child::kind(&dyntype), trigger).handle(handler))
    }

    /// Like [`owns_stream`](Self::owns_stream), for a stream of shared objects without errors.
    #[must_use]
    pub fn owns_shared_stream<Child: Resource<DynamicType = ()> + Send + Sync + 'static>(
        self,
        trigger: impl Stream<Item = Arc<Child>> + Send + 'static,
    ) -> Self {
        self.owns_shared_stream_with(trigger, ())
    }

    /// Like [`owns_shared_stream`](Self::owns_shared_stream), for kinds that are known only at run time.
    #[must_use]
    pub fn owns_shared_stream_with<Child: Resource + Send + Sync + 'static>(
        self,
        trigger: impl Stream<Item = Arc<Child>> + Send + 'static,
        dyntype: Child::DynamicType,
    ) -> Self {
        let handler = each_owners::<K, Child, Arc<Child>>(self.dyntype.clone());
        self.with_source(Changes::of_stream(&Child::kind(&dyntype), trigger.map(Ok)).handle(handler))
    }

    /// Like [`watches`](Controller::watches). `dyntype` is ignored, because `api` contains the names of the kind; the
    /// parameter exists for compatibility with kube.
    #[must_use]
    pub fn watches_with<Other, I>(
        self,
        api: Api<Other>,
        _dyntype: Other::DynamicType,
        wc: watcher::Config,
        mapper: impl Fn(Other) -> I + Send + 'static,
    ) -> Self
    where
        Other: Resource + DeserializeOwned + Clone + Send + Sync + 'static,
        I: IntoIterator<Item = ObjectRef<K>> + 'static,
        I::IntoIter: Send,
    {
        self.watches(api, wc, mapper)
    }

    /// Reconciles the objects that `mapper` returns for each object of a stream.
    #[must_use]
    pub fn watches_stream<Other, I>(
        self,
        trigger: impl Stream<Item = watcher::Result<Other>> + Send + 'static,
        mapper: impl Fn(Other) -> I + Send + 'static,
    ) -> Self
    where
        Other: Resource + Send + 'static,
        Other::DynamicType: Default,
        I: IntoIterator<Item = ObjectRef<K>> + 'static,
        I::IntoIter: Send,
    {
        self.watches_stream_with(trigger, mapper, Other::DynamicType::default())
    }

    /// Like [`watches_stream`](Self::watches_stream), for kinds that are known only at run time.
    #[must_use]
    pub fn watches_stream_with<Other, I>(
        self,
        trigger: impl Stream<Item = watcher::Result<Other>> + Send + 'static,
        mapper: impl Fn(Other) -> I + Send + 'static,
        dyntype: Other::DynamicType,
    ) -> Self
    where
        Other: Resource + Send + 'static,
        I: IntoIterator<Item = ObjectRef<K>> + 'static,
        I::IntoIter: Send,
    {
        let handler = each_mapped::<K, Other, Other, I>(mapper);
        self.with_source(Changes::of_stream(&Other::kind(&dyntype), trigger).handle(handler))
    }

    /// Like [`watches_stream`](Self::watches_stream), for a stream of shared objects without errors.
    #[must_use]
    pub fn watches_shared_stream<Other, I>(
        self,
        trigger: impl Stream<Item = Arc<Other>> + Send + 'static,
        mapper: impl Fn(Arc<Other>) -> I + Send + 'static,
    ) -> Self
    where
        Other: Resource + Send + Sync + 'static,
        Other::DynamicType: Default,
        I: IntoIterator<Item = ObjectRef<K>> + 'static,
        I::IntoIter: Send,
    {
        self.watches_shared_stream_with(trigger, mapper, Other::DynamicType::default())
    }

    /// Like [`watches_shared_stream`](Self::watches_shared_stream), for kinds that are known only at run time.
    #[must_use]
    pub fn watches_shared_stream_with<Other, I>(
        self,
        trigger: impl Stream<Item = Arc<Other>> + Send + 'static,
        mapper: impl Fn(Arc<Other>) -> I + Send + 'static,
        dyntype: Other::DynamicType,
    ) -> Self
    where
        Other: Resource + Send + Sync + 'static,
        I: IntoIterator<Item = ObjectRef<K>> + 'static,
        I::IntoIter: Send,
    {
        let handler = each_mapped::<K, Other, Arc<Other>, I>(mapper);
        self.with_source(Changes::of_stream(&Other::kind(&dyntype), trigger.map(Ok)).handle(handler))
    }
}
