//! Further triggers of a [`Controller`] (streams of object references, and resyncs), and its deletion handler.

use super::source::bulk_reconcile_source;
use super::{Controller, Key, Trigger};
use crate::random;
use crate::reflector::ObjectRef;
use futures::{FutureExt, Stream, StreamExt, TryFutureExt, stream};
use kube_client::{BoxError, Resource};
use std::{hash::Hash, time::Duration};

impl<K> Controller<K>
where
    K: Resource + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    /// Reconciles the object of each reference that `trigger` emits, if the store contains the object.
    #[must_use]
    pub fn reconcile_on(self, trigger: impl Stream<Item = ObjectRef<K>> + Send + 'static) -> Self {
        self.with_source(trigger.map(|object| Trigger::new(Key::from(&object))))
    }

    /// Reconciles all objects each time that `trigger` emits an item.
    #[must_use]
    pub fn reconcile_all_on(self, trigger: impl Stream<Item = ()> + Send + 'static) -> Self {
        let source = bulk_reconcile_source(trigger, self.reader.clone());
        self.with_source(source)
    }

    /// Reconciles all objects periodically, like the resync of client-go's informers. The interval is `period` plus a random
    /// jitter of up to a tenth of `period`. The resync itself sends no request. The watches miss no change, so a controller
    /// needs a resync only for external state whose changes it cannot watch. A period below one second becomes one
    /// second.
    #[must_use]
    pub fn resync_every(self, period: Duration) -> Self {
        let period = period.max(Duration::from_secs(1));
        let ticks = stream::unfold((), move |()| async move {
            tokio::time::sleep(period.saturating_add(random::duration_up_to(period / 10))).await;
            Some(((), ()))
        });
        self.reconcile_all_on(ticks)
    }

    /// When an object of the controller's kind is deleted, calls `handler` with the key of the object. The handler can
    /// for instance remove data about the object from memory. The reconciler is not called for deleted objects.
    ///
    /// The rules of reconciles apply. The handler and a reconcile of the same key never run concurrently. The
    /// handler is called again with backoff until it succeeds, or until it returns a
    /// [`TerminalError`](super::TerminalError). If a new object with the same key is created in the meantime,
    /// the reconciler is called with the new object instead. The handler also receives deletions that a
    /// filter of the source drops.
    ///
    /// The handler is not called for objects that were deleted while the program did not run, or while a gate was closed,
    /// for instance because another process was the leader. To clean up after every deletion, use a
    /// [`finalizer`](crate::finalizer()).
    /// Sources that emit objects instead of changes, such as those of [`for_stream`](Self::for_stream), report no
    /// deletions.
    ///
    /// ```
    /// use futures::StreamExt;
    /// use k8s_openapi::api::core::v1::ConfigMap;
    /// use kube_client::api::{DeleteParams, PostParams};
    /// use kube_client::{Api, Client};
    /// use kube_runtime::controller::{self, Action, Key};
    /// use kube_runtime::{Controller, watcher};
    /// use std::{convert::Infallible, sync::Arc};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let maps = Api::<ConfigMap>::default_namespaced(Client::new(kube_sim::Sim::new().service(), "default"));
    /// # let mut map = ConfigMap::default();
    /// # map.metadata.name = Some("settings".into());
    /// # maps.create(&PostParams::default(), &map).await?;
    /// let reconcile = async |_: Arc<ConfigMap>, _: Arc<()>| Ok::<_, Infallible>(Action::await_change());
    /// let forget = async |key: Key| {
    ///     println!("{key} was deleted");
    ///     Ok::<_, Infallible>(())
    /// };
    /// let controller = Controller::new(maps.clone(), watcher::Config::default()).on_deletion(forget);
    /// let mut results = controller.run(reconcile, controller::backoff_on_error, Arc::new(())).boxed();
    /// results.next().await.expect("a controller runs until it is shut down")?;
    /// maps.delete("settings", &DeleteParams::default()).await?;
    /// let (deleted, _) = results.next().await.expect("a controller runs until it is shut down")?;
    /// assert_eq!(deleted.name, "settings");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn on_deletion<Fut, E>(mut self, mut handler: impl FnMut(Key) -> Fut + Send + 'static) -> Self
    where
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        let handler = move |key| handler(key).map_err(Into::into).boxed();
        self.on_deletion = Some(Box::new(handler));
        self
    }
}
