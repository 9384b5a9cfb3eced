//! `Controller::for_stream`, `owns_stream`, `watches_stream` and their variants, with the signatures of the crate kube.
//! The `_stream` functions build their sources with [`Changes`].

use super::handler::{mapped_objects, own_objects, owners_of_objects};
use super::{Changes, Controller};
use crate::reflector::{ObjectRef, Store};
use crate::watcher;
use futures::{Stream, StreamExt};
use kube_client::{Api, Resource};
use serde::de::DeserializeOwned;
use std::{borrow::Borrow, hash::Hash, sync::Arc};

/// Sources that are streams of objects, and the variants `owns_with` and `watches_with`.
///
/// A stream of objects contains no previous states of objects, and in most cases no deletions. Therefore the controller
/// reconciles neither the previous owners of an object nor the objects that the mapper returned for its previous state.
/// The controller waits only for the first snapshot of the stream that [`for_stream`](Controller::for_stream) receives: the
/// controller does not know the stores of the other streams.
///
/// To reconcile also the previous owners, and the objects that the mapper returned for the previous state, use sources that
/// emit the changes of a store: [`owns`](Controller::owns), [`watches`](Controller::watches), or [`Changes::of_store`] with
/// [`with_source`](Controller::with_source). The controller waits for the first snapshots of these sources.
#[expect(clippy::needless_pass_by_value, reason = "the signatures are those of kube")]
impl<K> Controller<K>
where
    K: Resource + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    /// A controller for the objects of the stream `trigger`. An example of such a stream is a
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
    /// emits all objects of a relist, and the controller reconciles all of them. A controller of [`Controller::new`], or
    /// of [`from_source`](Self::from_source) with [`Changes::of_store`], reconciles only the objects that changed.
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
        let source = Changes::of_stream(&K::kind(&dyntype), trigger).handle(own_objects::<K, T>());
        let source = source.after_snapshots_of(&reader);
        Self::from_source_with(reader, source, dyntype)
    }

    /// Like [`for_stream`](Self::for_stream), for a stream that emits shared objects and no errors.
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

    /// Reconciles the owners of kind `K` of each object of a stream.
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
        let handler = owners_of_objects::<K, Child, Child>(self.dyntype.clone());
        self.with_source(Changes::of_stream(&Child::kind(&dyntype), trigger).handle(handler))
    }

    /// Like [`owns_stream`](Self::owns_stream), for a stream that emits shared objects and no errors.
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
        let handler = owners_of_objects::<K, Child, Arc<Child>>(self.dyntype.clone());
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
        let handler = mapped_objects::<K, Other, Other, I>(mapper);
        self.with_source(Changes::of_stream(&Other::kind(&dyntype), trigger).handle(handler))
    }

    /// Like [`watches_stream`](Self::watches_stream), for a stream that emits shared objects and no errors.
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
        let handler = mapped_objects::<K, Other, Arc<Other>, I>(mapper);
        self.with_source(Changes::of_stream(&Other::kind(&dyntype), trigger.map(Ok)).handle(handler))
    }
}
