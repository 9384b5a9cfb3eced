//! Discovery: the groups, versions and resources that an API server serves.
//!
//! - [`Discovery`] reads all of them, or selected groups.
//! - [`RestMapper`] caches a [`Discovery`], and refreshes it if a name is not in the cache.
//! - [`oneshot`] reads a single group, group version or kind.
//!
//! Requests go through [`Client`] only. The documents of the server are untrusted input: a malformed entry is
//! a [`GroupFailure`], and must neither cause a panic nor hide other entries.

mod aggregated;
mod apigroup;
mod failure;
mod fetch;
mod json;
mod lookup;
mod mapper;
pub mod oneshot;
mod unaggregated;

pub use crate::core::discovery::{ApiCapabilities, ApiResource, Scope, verbs};
pub use apigroup::ApiGroup;
pub use failure::GroupFailure;
pub use mapper::RestMapper;
pub use oneshot::{group, pinned_group, pinned_kind};

use std::fmt;

use crate::{
    client::Client,
    core::{DynamicObject, GroupVersionKind, TypeMeta},
    error::Result,
};

/// The groups to discover.
#[derive(Debug, Clone)]
enum GroupSelection {
    /// These groups.
    Only(Vec<String>),
    /// All groups except these.
    Except(Vec<String>),
}

impl GroupSelection {
    /// Whether the group is selected.
    fn contains(&self, group: &str) -> bool {
        match self {
            Self::Only(listed) => listed.iter().any(|name| name == group),
            Self::Except(listed) => !listed.iter().any(|name| name == group),
        }
    }

    /// Whether a group other than the core group is selected.
    fn has_named_group(&self) -> bool {
        match self {
            Self::Only(listed) => listed.iter().any(|name| !name.is_empty()),
            Self::Except(_) => true,
        }
    }
}

/// A snapshot of the groups, versions and resources of an API server.
///
/// [`run`](Self::run) takes the snapshot. The snapshot does not change afterwards.
///
/// ```
/// use kube_client::{Api, Discovery, core::DynamicObject, discovery::{Scope, verbs}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kube_client::Result<()> {
/// # let client = kube_client::Client::new(kube_sim::Sim::new().service(), "default");
/// let discovery = Discovery::new(client.clone()).exclude(&["events.k8s.io"]).run().await?;
/// for failure in discovery.failures() {
///     eprintln!("{failure}: {}", failure.error);
/// }
/// for group in discovery.groups() {
///     for (resource, capabilities) in group.recommended_resources() {
///         if capabilities.scope == Scope::Cluster && capabilities.supports_operation(verbs::LIST) {
///             let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
///             println!("{}: {}", resource.plural, api.list(&Default::default()).await?.items.len());
///         }
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Discovery {
    client: Client,
    selected: GroupSelection,
    groups: Vec<ApiGroup>,
    failures: Vec<GroupFailure>,
}

impl Discovery {
    /// Selects all groups. Sends no request before [`run`](Self::run).
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            selected: GroupSelection::Except(Vec::new()),
            groups: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Discovers only these groups; `""` is the core group. Replaces an earlier [`exclude`](Self::exclude).
    #[must_use]
    pub fn filter(mut self, allow: &[&str]) -> Self {
        self.selected = GroupSelection::Only(allow.iter().map(ToString::to_string).collect());
        self
    }

    /// Discovers all groups except these. Replaces an earlier [`filter`](Self::filter).
    #[must_use]
    pub fn exclude(mut self, deny: &[&str]) -> Self {
        self.selected = GroupSelection::Except(deny.iter().map(ToString::to_string).collect());
        self
    }

    /// Takes a snapshot, or replaces the earlier snapshot.
    ///
    /// Sends at most two requests if the server has aggregated discovery (by default since Kubernetes 1.27). Otherwise
    /// also sends one request for each group version, a few at a time. A group version that cannot be read is one of
    /// the [`failures`](Self::failures), and is logged as a warning.
    ///
    /// # Errors
    /// If the document at `/api` or `/apis` cannot be read. A 404 for one of these documents is not an
    /// error: the server then has no groups below this path.
    ///
    /// # Cancel safety
    /// Cancel safe: there are no side effects.
    pub async fn run(mut self) -> Result<Self> {
        let found = fetch::fetch_selected(&self.client, &self.selected).await?;
        self.groups = found.groups;
        self.failures = found.failures;
        for failure in &self.failures {
            tracing::warn!(%failure, error = %failure.error, "discovery is incomplete");
        }
        Ok(self)
    }

    /// The same as [`run`](Self::run): both use aggregated discovery. The name exists for compatibility with the crate kube.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    ///
    /// # Cancel safety
    /// Cancel safe: there are no side effects.
    pub async fn run_aggregated(self) -> Result<Self> {
        self.run().await
    }

    /// The groups: the core group first, then the others in the order of the server's priority.
    pub fn groups(&self) -> impl Iterator<Item = &ApiGroup> {
        self.groups.iter()
    }

    /// The groups, sorted by name.
    pub fn groups_alphabetical(&self) -> Vec<&ApiGroup> {
        let mut groups: Vec<_> = self.groups().collect();
        groups.sort_by_key(|group| group.name());
        groups
    }

    /// The parts of the API that could not be read, such as group versions whose aggregated API server is not
    /// available.
    ///
    /// Other versions of the same group, and other entries of a malformed document, are usable.
    pub fn failures(&self) -> &[GroupFailure] {
        &self.failures
    }

    /// A group by its name.
    pub fn get(&self, group: &str) -> Option<&ApiGroup> {
        self.groups().find(|found| found.name() == group)
    }

    /// Whether at least one version of the group was read.
    pub fn has_group(&self, group: &str) -> bool {
        self.get(group).is_some()
    }

    /// The resource of a kind. If several resources have this kind, returns the first in the order of the server.
    pub fn resolve_gvk(&self, gvk: &GroupVersionKind) -> Option<(ApiResource, ApiCapabilities)> {
        Some(self.get(&gvk.group)?.find_kind(&gvk.version, &gvk.kind)?.resource_and_capabilities())
    }

    /// The resource of the `apiVersion` and `kind` of an object.
    pub fn resolve_typemeta(&self, tm: &TypeMeta) -> Option<(ApiResource, ApiCapabilities)> {
        self.resolve_gvk(&GroupVersionKind::try_from(tm).ok()?)
    }

    /// The resource of an object; `None` if the snapshot has no such resource, or if the object has no `apiVersion` and
    /// `kind`.
    pub fn resolve_object(&self, obj: &DynamicObject) -> Option<(ApiResource, ApiCapabilities)> {
        self.resolve_typemeta(obj.types.as_ref()?)
    }
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups: Vec<_> = self.groups.iter().map(ApiGroup::name).collect();
        f.debug_struct("Discovery")
            .field("groups", &groups)
            .field("failures", &self.failures)
            .finish_non_exhaustive()
    }
}
