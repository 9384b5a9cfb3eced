//! Further triggers of a [`Controller`]: streams of keys, resyncs, and the keys of deleted objects.

use super::source::all_objects;
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
    /// Reconciles each object to which `trigger` emits a reference, if the store contains the object.
    #[must_use]
    pub fn reconcile_on(self, trigger: impl Stream<Item = ObjectRef<K>> + Send + 'static) -> Self {
        self.with_source(trigger.map(|object| Trigger::new(Key::from(&object))))
    }

    /// Reconciles all objects each time that `trigger` emits an item.
    #[must_use]
    pub fn reconcile_all_on(self, trigger: impl Stream<Item = ()> + Send + 'static) -> Self {
        let source = all_objects(trigger, self.reader.clone());
        self.with_source(source)
    }

    /// Reconciles all objects periodically: after `period` plus a random jitter of up to a tenth of `period`, as the
    /// resync of client-go's informers. The resync itself sends no request. The watches miss no change, so a controller
    /// needs a resync only for external state whose changes it cannot watch. A period below one second becomes one
    /// second.
    #[must_use]
    pub fn resync_every(self, period: Duration) -> Self {
        let period = period.max(Duration::from_secs(1));
        let ticks = stream::unfold((), move |()| async move {
            tokio::time::sleep(period.saturating_add(random::up_to(period / 10))).await;
            Some(((), ()))
        });
        self.reconcile_all_on(ticks)
    }

    /// Calls `handler` with the key of each object of the controller's kind that is deleted, for instance to remove
    /// data about the object from the memory of the program. A reconciler is not called for objects that do not exist.
    ///
    /// The rules of reconciles apply: the handler and a reconcile of the same key never run at once, and the handler is
    /// called again with backoff until it succeeds, or until it returns a [`TerminalError`](super::TerminalError). If
    /// an object with the same key exists again before that, the reconciler is called with the new object instead.
    /// Filters of the source do not apply.
    ///
    /// Not called for objects that were deleted while the program did not run or while a gate was closed, for instance
    /// the leadership gate on a standby. To clean up after every deletion, use a [`finalizer`](crate::finalizer()).
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
