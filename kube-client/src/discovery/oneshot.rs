//! Discovery of one group, group version or kind, without the documents of other groups.
//!
//! [`group`] and [`pinned_group`] return the first failure as their error: only [`Discovery`](super::Discovery) returns
//! groups together with failures. [`pinned_kind`] ignores malformed entries.

use std::sync::Arc;

use super::{
    GroupSelection,
    apigroup::ApiGroup,
    failure::GroupFailure,
    fetch,
    json::is_path_segment,
    unaggregated::{self, GroupEntry},
};
use crate::{
    client::Client,
    core::{ApiResource, GroupVersion, GroupVersionKind, discovery::ApiCapabilities},
    error::{DiscoveryError, Result},
};

/// Discovers all versions of a group; `""` is the core group.
///
/// ```
/// use kube_client::discovery;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kube_client::Result<()> {
/// # let client = kube_client::Client::new(kube_sim::Sim::new().service(), "default");
/// let group = discovery::group(&client, "autoscaling").await?;
/// assert_eq!(group.preferred_version(), Some("v2"));
/// assert!(group.versions().any(|version| version == "v1"));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`DiscoveryError::MissingApiGroup`] if the server does not serve the group; [`DiscoveryError::EmptyApiGroup`] if the
/// group has no versions; the errors of [`Client::request`] if any request fails, including the request for a single
/// version; [`DiscoveryError::InvalidDocument`] if an entry is malformed.
///
/// # Cancel safety
/// Cancel safe: there are no side effects.
pub async fn group(client: &Client, apigroup: &str) -> Result<ApiGroup> {
    let missing = || DiscoveryError::MissingApiGroup(apigroup.to_owned());
    let (groups, failures) = if apigroup == ApiGroup::CORE_GROUP {
        let found = fetch::fetch_selected(client, &GroupSelection::Only(vec![String::new()])).await?;
        (found.groups, found.failures)
    } else if is_path_segment(apigroup) {
        let mut failures = Vec::new();
        let document = match client.request_document(&format!("/apis/{apigroup}"), "application/json").await {
            Err(error) if error.is_not_found() => return Err(missing().into()),
            document => document?,
        };
        let listed = GroupEntry::from_api_group(&document, &mut failures).into_iter().collect();
        (unaggregated::fetch_groups(client, listed, &mut failures).await, failures)
    } else {
        return Err(missing().into());
    };
    reject_failures(failures)?;
    Ok(groups.into_iter().next().ok_or_else(missing)?)
}

/// Discovers one version of a group, with one request. The returned group contains only this version, as its preferred
/// version.
///
/// # Errors
/// As for [`Client::request`] (404 if the server does not serve the group version);
/// [`DiscoveryError::InvalidDocument`] if an entry is malformed.
///
/// # Cancel safety
/// Cancel safe: there are no side effects.
pub async fn pinned_group(client: &Client, gv: &GroupVersion) -> Result<ApiGroup> {
    let mut failures = Vec::new();
    let data = unaggregated::fetch_version(client, gv, &mut failures).await?;
    reject_failures(failures)?;
    let group = ApiGroup::new(gv.group.clone(), vec![data], Some(gv.version.clone()));
    Ok(group.ok_or_else(|| DiscoveryError::EmptyApiGroup(gv.group.clone()))?)
}

/// Discovers one kind, with one request. Malformed entries are ignored. If the only entry of the kind is
/// malformed, the result is [`DiscoveryError::MissingKind`].
///
/// ```
/// use kube_client::{core::GroupVersionKind, discovery};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> kube_client::Result<()> {
/// # let client = kube_client::Client::new(kube_sim::Sim::new().service(), "default");
/// let gvk = GroupVersionKind::gvk("networking.k8s.io", "v1", "NetworkPolicy");
/// let (resource, _) = discovery::pinned_kind(&client, &gvk).await?;
/// assert_eq!(resource.plural, "networkpolicies");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`DiscoveryError::MissingKind`] if the version does not have the kind; [`DiscoveryError::InvalidDocument`] if the
/// response is not a list of resources; the errors of [`Client::request`] (404 if the server does not serve the group
/// version).
///
/// # Cancel safety
/// Cancel safe: there are no side effects.
pub async fn pinned_kind(client: &Client, gvk: &GroupVersionKind) -> Result<(ApiResource, ApiCapabilities)> {
    let gv = GroupVersion::gv(&gvk.group, &gvk.version);
    let data = unaggregated::fetch_version(client, &gv, &mut Vec::new()).await?;
    let found = data.served_resources.iter().find(|served| served.resource.kind == gvk.kind);
    Ok(found.ok_or_else(|| DiscoveryError::MissingKind(gvk.to_string()))?.resource_and_capabilities())
}

/// Returns the first failure as an error; `Ok` if there are no failures.
fn reject_failures(failures: Vec<GroupFailure>) -> Result<()> {
    match failures.into_iter().next() {
        None => Ok(()),
        Some(failure) => Err(Arc::try_unwrap(failure.error)
            .unwrap_or_else(|shared| DiscoveryError::Unavailable(shared).into())),
    }
}
