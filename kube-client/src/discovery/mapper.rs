//! `RestMapper`: a cached [`Discovery`] that is refreshed when a name is not found.
//!
//! A refresh holds the tokio mutex `refreshing`, so that only one refresh is in flight. The std mutex `state` guards the
//! cache and must not be held across an await.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Discovery, failure, lookup::ResourceArgument};
use crate::{
    client::Client,
    core::{ApiResource, GroupVersionKind, discovery::ApiCapabilities},
    error::{DiscoveryError, Error, Result},
};

/// The default of [`RestMapper::min_refresh_interval`].
const DEFAULT_MIN_REFRESH_INTERVAL: Duration = Duration::from_secs(5);

/// Maps kinds and resource names to resources, with a cached [`Discovery`] of all groups (client-go's `RESTMapper`).
///
/// The first call discovers the resources of the server. A name that is not in the cache causes a refresh, unless the
/// last refresh ended less than the [minimum refresh interval](Self::min_refresh_interval) ago. At most one refresh is
/// in flight, and concurrent calls share its result. A name in the cache causes no request, even after its
/// CustomResourceDefinition was deleted: see [`invalidate`](Self::invalidate).
///
/// Clones share the cache.
///
/// ```
/// use kube_client::{Api, Client, core::{DynamicObject, GroupVersionKind}, discovery::RestMapper};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kube_client::Result<()> {
/// # let client = Client::new(kube_sim::Sim::new().service(), "default");
/// let mapper = RestMapper::new(client.clone());
/// let (deployments, _) = mapper.resolve("deploy.v1.apps").await?;
/// let api: Api<DynamicObject> = Api::default_namespaced_with(client, &deployments);
/// api.list(&Default::default()).await?;
///
/// let (nodes, _) = mapper.resolve_gvk(&GroupVersionKind::gvk("", "v1", "Node")).await?;
/// assert_eq!(nodes.plural, "nodes");
/// assert!(mapper.resolve("gadgets").await.is_err());
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
/// All futures are cancel safe: a cancelled refresh has no effect, and the next call that needs a refresh starts it
/// again.
#[derive(Clone)]
pub struct RestMapper {
    shared: Arc<Shared>,
    min_refresh_interval: Duration,
}

/// The client, the cache and the lock that all clones of a mapper share.
struct Shared {
    client: Client,
    state: Mutex<State>,
    refreshing: tokio::sync::Mutex<()>,
}

/// The cached snapshot, and the result of the last refresh.
#[derive(Clone, Default)]
struct State {
    snapshot: Option<Arc<Discovery>>,
    /// The number of completed refreshes.
    refreshes: u64,
    /// The time at which the last refresh ended.
    refreshed_at: Option<Instant>,
    /// The error of the last refresh, if it failed.
    error: Option<Arc<Error>>,
    /// Incremented by `invalidate`: a refresh that started before the increment must not fill the cache.
    epoch: u64,
}

impl RestMapper {
    /// A mapper with an empty cache. Sends no request.
    #[must_use]
    pub fn new(client: Client) -> Self {
        let shared = Shared { client, state: Mutex::default(), refreshing: tokio::sync::Mutex::default() };
        Self { shared: Arc::new(shared), min_refresh_interval: DEFAULT_MIN_REFRESH_INTERVAL }
    }

    /// Sets the minimum time between two refreshes for names that are not in the cache (default 5 s). Before this time
    /// has passed, the lookup of such a name returns an error. The mapper does not refresh the cache periodically.
    #[must_use]
    pub fn min_refresh_interval(mut self, interval: Duration) -> Self {
        self.min_refresh_interval = interval;
        self
    }

    /// Finds a resource by its plural, singular or short name, or by its kind: see [`Discovery::resolve`].
    ///
    /// # Errors
    /// [`DiscoveryError::MissingResource`] if the server does not serve the resource; [`DiscoveryError::Incomplete`] if
    /// the resource may belong to a group version whose discovery failed; [`DiscoveryError::Unavailable`] if the
    /// refresh fails, or failed less than the minimum refresh interval ago.
    ///
    /// # Cancel safety
    /// Cancel safe: a cancelled refresh has no effect, and the next call that needs a refresh starts it again.
    pub async fn resolve(&self, argument: &str) -> Result<(ApiResource, ApiCapabilities)> {
        self.find(|discovery| {
            discovery.resolve(argument).ok_or_else(|| missing_resource_error(discovery, argument))
        })
        .await
    }

    /// Finds the resources of the category `argument`, such as `all`. If there is no such category, finds the resource
    /// with this name. `kubectl get` interprets its argument in the same way.
    ///
    /// # Errors
    /// As for [`resolve`](Self::resolve).
    ///
    /// # Cancel safety
    /// Cancel safe: a cancelled refresh has no effect, and the next call that needs a refresh starts it again.
    pub async fn resolve_all(&self, argument: &str) -> Result<Vec<(ApiResource, ApiCapabilities)>> {
        self.find(|discovery| {
            let found = discovery.resolve_category(argument);
            if !found.is_empty() {
                return Ok(found);
            }
            let found = discovery.resolve(argument).map(|pair| vec![pair]);
            found.ok_or_else(|| missing_resource_error(discovery, argument))
        })
        .await
    }

    /// Finds the resource of a kind.
    ///
    /// # Errors
    /// [`DiscoveryError::MissingKind`] if the server does not serve the kind; [`DiscoveryError::Incomplete`] and
    /// [`DiscoveryError::Unavailable`] as for [`resolve`](Self::resolve).
    ///
    /// # Cancel safety
    /// Cancel safe: a cancelled refresh has no effect, and the next call that needs a refresh starts it again.
    pub async fn resolve_gvk(&self, gvk: &GroupVersionKind) -> Result<(ApiResource, ApiCapabilities)> {
        self.find(|discovery| {
            let may_be_in_group_version = |group: &str, version: Option<&str>| {
                group == gvk.group && version.is_none_or(|version| version == gvk.version)
            };
            let missing = || DiscoveryError::MissingKind(gvk.to_string());
            let found = discovery.resolve_gvk(gvk);
            found.ok_or_else(|| {
                incomplete_discovery_error(discovery, &gvk.to_string(), may_be_in_group_version)
                    .unwrap_or_else(missing)
                    .into()
            })
        })
        .await
    }

    /// The cached snapshot. If the cache is empty, takes a snapshot first.
    ///
    /// # Errors
    /// [`DiscoveryError::Unavailable`] if the resources of the server cannot be discovered.
    ///
    /// # Cancel safety
    /// Cancel safe: a cancelled refresh has no effect, and the next call that needs a refresh starts it again.
    pub async fn discovery(&self) -> Result<Arc<Discovery>> {
        let state = self.lock_state().clone();
        match state.snapshot {
            Some(snapshot) => Ok(snapshot),
            None => self.refresh(state.refreshes).await,
        }
    }

    /// Empties the cache: the next call discovers the resources again, even within the minimum refresh interval.
    ///
    /// Call this method after a CustomResourceDefinition was installed, changed or deleted.
    pub fn invalidate(&self) {
        let mut state = self.lock_state();
        let (refreshes, epoch) = (state.refreshes, state.epoch + 1);
        *state = State { refreshes, epoch, ..State::default() };
    }

    /// Searches the cache. If the search fails, refreshes the cache and searches again, unless the last refresh ended
    /// less than the minimum refresh interval ago.
    async fn find<T>(&self, search: impl Fn(&Discovery) -> Result<T>) -> Result<T> {
        let state = self.lock_state().clone();
        let recent = state.refreshed_at.is_some_and(|at| at.elapsed() < self.min_refresh_interval);
        let found = state.snapshot.as_deref().map(&search);
        match (found, state.error) {
            (Some(Ok(found)), _) => return Ok(found),
            // The last refresh failed, so the mapper does not know whether the server
            // has what the caller searches for.
            (_, Some(error)) if recent => return Err(DiscoveryError::Unavailable(error).into()),
            (Some(Err(missing)), None) if recent => return Err(missing),
            _ => {}
        }
        search(&*self.refresh(state.refreshes).await?)
    }

    /// Takes a snapshot. `seen` is the number of completed refreshes when the caller read the state. If another call has
    /// completed a refresh since then, returns the result of that refresh instead.
    async fn refresh(&self, seen: u64) -> Result<Arc<Discovery>> {
        let _guard = self.shared.refreshing.lock().await;
        let before = self.lock_state().clone();
        if before.refreshes > seen {
            match (before.snapshot, before.error) {
                (_, Some(error)) => return Err(DiscoveryError::Unavailable(error).into()),
                (Some(snapshot), None) => return Ok(snapshot),
                // Another call completed a refresh, and then `invalidate` emptied the cache: take a new snapshot.
                (None, None) => {}
            }
        }
        let result = Discovery::new(self.shared.client.clone()).run().await.map(Arc::new);
        let mut state = self.lock_state();
        if state.epoch != before.epoch {
            return result.map_err(|error| DiscoveryError::Unavailable(Arc::new(error)).into());
        }
        state.refreshes += 1;
        state.refreshed_at = Some(Instant::now());
        match result {
            Ok(snapshot) => {
                state.error = None;
                state.snapshot = Some(snapshot.clone());
                Ok(snapshot)
            }
            Err(error) => {
                let error = Arc::new(error);
                state.error = Some(error.clone());
                Err(DiscoveryError::Unavailable(error).into())
            }
        }
    }

    /// Locks the state. The guard must not be held across an await.
    fn lock_state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RestMapper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.lock_state().snapshot.clone();
        f.debug_struct("RestMapper")
            .field("snapshot", &snapshot)
            .field("interval", &self.min_refresh_interval)
            .finish_non_exhaustive()
    }
}

/// The error for a resource that is not in the snapshot.
fn missing_resource_error(discovery: &Discovery, argument: &str) -> Error {
    let lower = argument.to_lowercase();
    let interpretations = ResourceArgument::interpretations(&lower);
    let may_be_in_group_version = |group: &str, version: Option<&str>| {
        interpretations.iter().any(|name| name.may_be_in_group_version(group, version))
    };
    let missing = || DiscoveryError::MissingResource(argument.to_owned());
    incomplete_discovery_error(discovery, argument, may_be_in_group_version).unwrap_or_else(missing).into()
}

/// The error for a name that may belong to group versions whose discovery failed; `None` if there are no such group
/// versions.
fn incomplete_discovery_error(
    discovery: &Discovery,
    name: &str,
    may_be_in_group_version: impl Fn(&str, Option<&str>) -> bool,
) -> Option<DiscoveryError> {
    let failures = discovery.failures.iter();
    let failures: Vec<_> =
        failures.filter(|failed| may_be_in_group_version(&failed.group, failed.version.as_deref())).collect();
    let source = failures.first()?.error.clone();
    let mut group_versions: Vec<_> = failures
        .iter()
        .map(|failed| failure::display_name(&failed.group, failed.version.as_deref()))
        .collect();
    group_versions.dedup();
    Some(DiscoveryError::Incomplete {
        name: name.to_owned(),
        group_versions: group_versions.join(", "),
        source,
    })
}
