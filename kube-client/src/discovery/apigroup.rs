//! `ApiGroup`: the versions and resources of one group.

use std::{cmp::Reverse, collections::HashSet};

use crate::core::{
    ApiResource, Version,
    discovery::{ApiCapabilities, Scope},
};

/// A resource that the server serves, with its names and capabilities.
#[derive(Debug, Clone)]
pub(super) struct ServedResource {
    pub(super) resource: ApiResource,
    pub(super) capabilities: ApiCapabilities,
    pub(super) singular: String,
    pub(super) short_names: Vec<String>,
    pub(super) categories: Vec<String>,
}

impl ServedResource {
    pub(super) fn resource_and_capabilities(&self) -> (ApiResource, ApiCapabilities) {
        (self.resource.clone(), self.capabilities.clone())
    }

    /// Creates a resource without singular name, short names and categories.
    pub(super) fn new(resource: ApiResource, scope: Scope, operations: Vec<String>) -> Self {
        let capabilities = ApiCapabilities { scope, subresources: Vec::new(), operations };
        Self {
            resource,
            capabilities,
            singular: String::new(),
            short_names: Vec::new(),
            categories: Vec::new(),
        }
    }
}

/// A version of a group, with the resources that the server serves in this version.
#[derive(Debug, Clone)]
pub(super) struct ServedVersion {
    pub(super) version: String,
    pub(super) served_resources: Vec<ServedResource>,
}

/// An API group with its versions and resources, as [`Discovery`](super::Discovery) and [`oneshot`](super::oneshot)
/// return it. The group has at least one version.
///
/// A resource is returned with its [`ApiCapabilities`]; pass the [`ApiResource`] to `Api::all_with` or
/// `Api::namespaced_with`.
///
/// ```
/// use kube_client::{Api, core::DynamicObject, discovery::{self, Scope, verbs}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = kube_client::Client::new(kube_sim::Sim::new().service(), "default");
/// let apps = discovery::group(&client, "apps").await?;
/// let (deployments, capabilities) = apps.recommended_kind("Deployment").ok_or("no Deployment")?;
/// assert_eq!((deployments.plural.as_str(), capabilities.scope), ("deployments", Scope::Namespaced));
/// if capabilities.supports_operation(verbs::LIST) {
///     let api: Api<DynamicObject> = Api::all_with(client, &deployments);
///     api.list(&Default::default()).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ApiGroup {
    name: String,
    /// The most stable versions are first. Of equally stable versions, the newest is first.
    versions: Vec<ServedVersion>,
    preferred: Option<String>,
}

impl ApiGroup {
    /// The name of the core group.
    pub const CORE_GROUP: &'static str = "";

    /// A group with these versions; `None` if there are none. If a version occurs more than once, its first entry is
    /// used.
    pub(super) fn new(
        name: String,
        mut versions: Vec<ServedVersion>,
        preferred: Option<String>,
    ) -> Option<Self> {
        let mut seen = HashSet::new();
        versions.retain(|data| seen.insert(data.version.clone()));
        versions.sort_by_cached_key(|data| Reverse(Version::parse(&data.version).priority()));
        let preferred = preferred.filter(|version| versions.iter().any(|data| data.version == *version));
        (!versions.is_empty()).then_some(Self { name, versions, preferred })
    }

    /// The name of the group, `""` for the core group.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The versions, the most stable and newest first (the order of [`Version::priority`]).
    pub fn versions(&self) -> impl Iterator<Item = &str> {
        self.versions.iter().map(|data| data.version.as_str())
    }

    /// The version that the server prefers; `None` if the server prefers no version. If discovery could not read the
    /// preferred version, returns the next version in the order of the server (aggregated discovery) or `None`
    /// (unaggregated discovery).
    pub fn preferred_version(&self) -> Option<&str> {
        self.preferred.as_deref()
    }

    /// The version that the server prefers, or else the first of [`versions`](Self::versions).
    pub fn preferred_version_or_latest(&self) -> &str {
        self.preferred.as_deref().or_else(|| self.versions().next()).unwrap_or_default()
    }

    /// The resources of a version, in the order of the server. Empty if there is no such version.
    pub fn versioned_resources(&self, ver: &str) -> Vec<(ApiResource, ApiCapabilities)> {
        self.served_resources(ver).map(ServedResource::resource_and_capabilities).collect()
    }

    /// The resources of [`preferred_version_or_latest`](Self::preferred_version_or_latest).
    ///
    /// Resources that exist only in other versions are not included; see
    /// [`resources_by_stability`](Self::resources_by_stability).
    pub fn recommended_resources(&self) -> Vec<(ApiResource, ApiCapabilities)> {
        self.versioned_resources(self.preferred_version_or_latest())
    }

    /// All resources of the group, each from the most stable version that has the resource.
    pub fn resources_by_stability(&self) -> Vec<(ApiResource, ApiCapabilities)> {
        let mut seen = HashSet::new();
        let served_resources = self.versions.iter().flat_map(|data| &data.served_resources);
        let first = served_resources.filter(|e| seen.insert((&e.resource.kind, &e.resource.plural)));
        first.map(ServedResource::resource_and_capabilities).collect()
    }

    /// The first resource of a kind. Searches only the version that
    /// [`preferred_version_or_latest`](Self::preferred_version_or_latest) returns.
    pub fn recommended_kind(&self, kind: &str) -> Option<(ApiResource, ApiCapabilities)> {
        self.find_kind(self.preferred_version_or_latest(), kind)
            .map(ServedResource::resource_and_capabilities)
    }

    /// The first resource of a kind in a version.
    pub(super) fn find_kind(&self, version: &str, kind: &str) -> Option<&ServedResource> {
        self.served_resources(version).find(|served| served.resource.kind == kind)
    }

    /// The resources of all versions, beginning with the preferred version.
    pub(super) fn resources_by_preference(&self) -> impl Iterator<Item = &ServedResource> {
        let preferred = self.preferred_version_or_latest();
        let others = self.versions.iter().filter(move |data| data.version != preferred);
        self.served_resources(preferred).chain(others.flat_map(|data| &data.served_resources))
    }

    /// The resources of a version; empty if there is no such version.
    fn served_resources(&self, version: &str) -> impl Iterator<Item = &ServedResource> {
        let data = self.versions.iter().find(|data| data.version == version);
        data.into_iter().flat_map(|data| &data.served_resources)
    }
}
