//! `finalizer`: a reconciler with a cleanup step that runs before the object is removed.
//!
//! This module writes only its own entry of `metadata.finalizers`. It must not replace whole objects, or overwrite a list
//! that contains other finalizers: other controllers change that list concurrently.

mod error;
mod patch;

pub use error::{Error, ReconcileError};

use crate::controller::Action;
use futures::{TryFuture, TryFutureExt};
use kube_client::{Api, BoxError, Resource, ResourceExt};
use patch::FinalizerTarget;
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Debug, sync::Arc};

/// The step that a reconciler has to perform. Both steps must be idempotent: they are repeated after failures, restarts
/// and changes of the object.
#[derive(Debug)]
pub enum Event<K> {
    /// The object has the finalizer and is not marked for deletion: bring the external state in line with the object.
    Apply(Arc<K>),
    /// The object is marked for deletion: if `Apply` has created external state, delete that state.
    Cleanup(Arc<K>),
}

/// Reconciles an object whose external state has to be cleaned up before the object is removed.
///
/// - The object has neither the finalizer nor a deletion timestamp: adds `finalizer_name` to `metadata.finalizers`,
///   then calls `reconcile` with [`Event::Apply`] and the object that the server returned. The function does not wait
///   for the next reconcile, because a controller that filters by `metadata.generation` ignores a change of finalizers.
/// - The object has the finalizer and is not marked for deletion: calls `reconcile` with [`Event::Apply`].
/// - The object has the finalizer and is marked for deletion: calls `reconcile` with [`Event::Cleanup`], and removes
///   the finalizer if the call succeeds.
/// - The object is marked for deletion and does not have the finalizer: does nothing.
///
/// Once `Apply` has started, the server keeps the object until `Cleanup` has succeeded. `Cleanup` may run without a
/// previous `Apply`. If the controller filters events, the filter must pass changes of `metadata.deletionTimestamp`.
///
/// # Concurrent changes
///
/// JSON patches (RFC 6902) add and remove the finalizer. `obj` may come from an outdated cache. The patches therefore
/// contain `test` operations, which fail if a new object has the same name, or if another client has changed the
/// finalizers that the patch depends on. The function then reads the object. If the object still exists, the function
/// tries again, with at most five patches. Finalizers of other controllers are never lost.
///
/// `finalizer_name` has the form `example.com/name` and must be unique among the controllers of the object. The
/// function needs the permissions `get` and `patch`.
///
/// ```
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kube_client::api::{Api, DeleteParams, PostParams};
/// use kube_client::{Client, ResourceExt};
/// use kube_runtime::controller::Action;
/// use kube_runtime::finalizer::{Event, finalizer};
/// use std::sync::Arc;
///
/// // In a controller, this is the reconciler; its error may be any type that converts to a boxed error.
/// async fn reconcile(map: Arc<ConfigMap>, maps: &Api<ConfigMap>) -> anyhow::Result<Action> {
///     let action = finalizer(maps, "example.com/cleanup", map, async |event| match event {
///         Event::Apply(_) => anyhow::Ok(Action::await_change()),
///         Event::Cleanup(map) => {
///             println!("the external state of {} is deleted here", map.name_any());
///             Ok(Action::await_change())
///         }
///     });
///     Ok(action.await?)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// # let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let maps: Api<ConfigMap> = Api::default_namespaced(client);
/// let mut map = ConfigMap::default();
/// map.metadata.name = Some("settings".into());
/// let map = maps.create(&PostParams::default(), &map).await?;
/// reconcile(Arc::new(map), &maps).await?;
///
/// // The deletion waits until the cleanup has succeeded.
/// maps.delete("settings", &DeleteParams::default()).await?;
/// reconcile(Arc::new(maps.get("settings").await?), &maps).await?;
/// assert!(maps.get_opt("settings").await?.is_none());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`Error::ApplyFailed`] and [`Error::CleanupFailed`] with the error of `reconcile`; [`Error::AddFinalizer`] and
/// [`Error::RemoveFinalizer`] if a request fails; [`Error::Conflict`] if the object changed during each attempt;
/// [`Error::UnnamedObject`] if `obj` has no name. An object that was deleted in the meantime is not an error.
///
/// # Cancel safety
///
/// Not cancel safe, but repeatable: a cancelled call may have added the finalizer, run a part of `reconcile` or removed
/// the finalizer. The next call continues from the object's state.
pub async fn finalizer<K, ReconcileFut>(
    api: &Api<K>,
    finalizer_name: &str,
    obj: Arc<K>,
    reconcile: impl FnOnce(Event<K>) -> ReconcileFut,
) -> Result<Action, Error<ReconcileFut::Error>>
where
    K: Resource + Clone + DeserializeOwned + Serialize + Debug + Send + 'static,
    ReconcileFut: TryFuture<Ok = Action>,
    ReconcileFut::Error: Into<BoxError>,
{
    let Some(name) = obj.meta().name.clone() else {
        return Err(Error::UnnamedObject { resource: api.resource_url().to_owned() });
    };
    let path = format!("{}/{name}", api.resource_url());
    let target = FinalizerTarget { api, name: &name, path: &path, finalizer: finalizer_name };
    let Some(object) = target.ensure_finalizer(obj).await? else { return Ok(Action::await_change()) };
    if object.meta().deletion_timestamp.is_none() {
        let applied = TryFutureExt::into_future(reconcile(Event::Apply(object))).await;
        return applied
            .map_err(|error| Error::ApplyFailed { object: path.clone(), source: error.into().into() });
    }
    let cleaned_up = TryFutureExt::into_future(reconcile(Event::Cleanup(object.clone()))).await;
    let action = cleaned_up
        .map_err(|error| Error::CleanupFailed { object: path.clone(), source: error.into().into() })?;
    target.remove_finalizer(object).await?;
    Ok(action)
}

/// Whether the object has this finalizer.
fn has_finalizer<K: Resource>(object: &K, finalizer: &str) -> bool {
    object.finalizers().iter().any(|other| other == finalizer)
}
