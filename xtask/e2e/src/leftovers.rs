//! Finds objects that a run has not deleted. Each object that a run creates has the run's id in its name or in its
//! namespace.

use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use kube_client::api::{ListParams, ObjectList, PartialObjectMeta};
use kube_client::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube_client::{Api, Client, ResourceExt};
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::case::Need;
use super::server::Server;

/// The time limit of [`wait_until_deleted`]. The server responds to a delete request before it has deleted a namespace
/// or an object with finalizers.
const TIMEOUT: Duration = Duration::from_secs(240);

/// Waits until all objects of the run with this id are deleted.
///
/// # Errors
/// When objects still exist after [`TIMEOUT`]. The error names up to ten of them.
pub(crate) async fn wait_until_deleted(server: &Server, id: &str) -> anyhow::Result<()> {
    let client = server.client("default")?;
    // Without the namespace controller, namespaces and their contents remain: ignore them.
    let ignore_namespaces = server.unmet_need_reason(Need::Controllers).is_some();
    let end = Instant::now() + TIMEOUT;
    loop {
        let mut found = find_leftovers(&client, id).await?;
        found.retain(|object| !(ignore_namespaces && object.namespaced_or_namespace));
        if found.is_empty() {
            return Ok(());
        }
        let examples: Vec<_> = found.iter().take(10).map(|object| object.path.as_str()).collect();
        ensure!(
            Instant::now() < end,
            "{} objects are not deleted after {TIMEOUT:?}, among them {}",
            found.len(),
            examples.join(", ")
        );
        sleep(Duration::from_millis(500)).await;
    }
}

/// An object that the run has created and not deleted.
struct Leftover {
    path: String,
    namespaced_or_namespace: bool,
}

/// Finds the objects whose name or namespace contains the run's id.
async fn find_leftovers(client: &Client, id: &str) -> anyhow::Result<Vec<Leftover>> {
    let mut found = Vec::new();
    for (resource, namespaced) in listable_resources(client).await? {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let list: ObjectList<PartialObjectMeta<DynamicObject>> =
            match api.list_metadata(&ListParams::default().match_any()).await {
                Ok(list) => list,
                // A concurrent run may have deleted the CRD since discovery.
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error).context("cannot list objects that the run may have left"),
            };
        for object in list.items {
            let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
            if name.contains(id) || namespace.contains(id) {
                found.push(Leftover {
                    path: format!("{} {namespace}/{name}", resource.plural),
                    namespaced_or_namespace: namespaced || resource.plural == "namespaces",
                });
            }
        }
    }
    Ok(found)
}

/// The fields of an `APIGroupList` that this module reads.
#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

/// The fields of an `APIGroup` that this module reads.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    preferred_version: Version,
}

/// The field of a `GroupVersionForDiscovery` that this module reads.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    group_version: String,
}

/// The fields of an `APIResourceList` that this module reads.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resources {
    group_version: String,
    resources: Vec<Resource>,
}

/// The fields of an `APIResource` that this module reads.
#[derive(Deserialize)]
struct Resource {
    name: String,
    kind: String,
    namespaced: bool,
    verbs: Vec<String>,
}

/// Returns the resources that can be listed. The boolean says whether the resource is namespaced. Omits events: an event
/// remains until its TTL expires, even if the object that it describes is deleted.
async fn listable_resources(client: &Client) -> anyhow::Result<Vec<(ApiResource, bool)>> {
    let groups: Groups = get_json(client, "/apis").await?;
    let paths = groups.groups.iter().map(|group| format!("/apis/{}", group.preferred_version.group_version));
    let mut found = Vec::new();
    for path in std::iter::once("/api/v1".to_owned()).chain(paths) {
        // The group may have been deleted since discovery, or its aggregated API server may not respond.
        let Ok(list) = get_json::<Resources>(client, &path).await else { continue };
        let (group, version) = list.group_version.split_once('/').unwrap_or(("", &list.group_version));
        let listed = list
            .resources
            .iter()
            .filter(|resource| resource.verbs.iter().any(|verb| verb == "list") && resource.name != "events");
        found.extend(listed.map(|resource| {
            let gvk = GroupVersionKind::gvk(group, version, &resource.kind);
            (ApiResource::from_gvk_with_plural(&gvk, &resource.name), resource.namespaced)
        }));
    }
    ensure!(!found.is_empty(), "the server's discovery lists no resource");
    Ok(found)
}

/// Sends a GET request for a path of the API, and decodes the response.
async fn get_json<T: serde::de::DeserializeOwned>(client: &Client, path: &str) -> anyhow::Result<T> {
    let request = http::Request::get(path).body(Vec::new()).map_err(|error| anyhow!(error))?;
    client.request(request).await.with_context(|| format!("cannot read {path}"))
}
