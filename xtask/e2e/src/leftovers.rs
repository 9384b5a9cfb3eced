//! Lists all resources of a server to find objects that a run did not delete. Each object of a run has the run's id in
//! its name or in the name of its namespace.

use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use kube_client::api::{ListParams, ObjectList, PartialObjectMeta};
use kube_client::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube_client::{Api, Client, ResourceExt};
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::case::Need;
use super::server::Server;

/// The limit for the deletion of namespaces and of objects with finalizers.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until all objects of the run with this id are deleted.
///
/// # Errors
/// If objects are left after two minutes. The error lists up to ten of them.
pub(crate) async fn none(server: &Server, id: &str) -> anyhow::Result<()> {
    let client = server.client("default")?;
    // Without a namespace controller, objects stay in deleted namespaces; such a server is discarded after the run.
    let stay = server.lacks(Need::Controllers).is_some();
    let end = Instant::now() + PATIENCE;
    loop {
        let mut found = find(&client, id).await?;
        found.retain(|left| !(stay && left.namespaced_or_namespace));
        if found.is_empty() {
            return Ok(());
        }
        let some: Vec<_> = found.iter().take(10).map(|left| left.path.as_str()).collect();
        ensure!(
            Instant::now() < end,
            "{} objects are left after {PATIENCE:?}, among them {}",
            found.len(),
            some.join(", ")
        );
        sleep(Duration::from_millis(500)).await;
    }
}

struct Left {
    path: String,
    namespaced_or_namespace: bool,
}

async fn find(client: &Client, id: &str) -> anyhow::Result<Vec<Left>> {
    let mut found = Vec::new();
    for (resource, namespaced) in resources(client).await? {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let list: ObjectList<PartialObjectMeta<DynamicObject>> =
            match api.list_metadata(&ListParams::default().match_any()).await {
                Ok(list) => list,
                // A CustomResourceDefinition may be deleted between discovery and this list.
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error).context("cannot look for leftovers"),
            };
        for object in list.items {
            let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
            if name.contains(id) || namespace.contains(id) {
                found.push(Left {
                    path: format!("{} {namespace}/{name}", resource.plural),
                    namespaced_or_namespace: namespaced || resource.plural == "namespaces",
                });
            }
        }
    }
    Ok(found)
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    preferred_version: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    group_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resources {
    group_version: String,
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    kind: String,
    namespaced: bool,
    verbs: Vec<String>,
}

/// The resources that support `list`, except events, which outlive the objects that they are about.
async fn resources(client: &Client) -> anyhow::Result<Vec<(ApiResource, bool)>> {
    let groups: Groups = get(client, "/apis").await?;
    let paths = groups.groups.iter().map(|group| format!("/apis/{}", group.preferred_version.group_version));
    let mut found = Vec::new();
    for path in std::iter::once("/api/v1".to_owned()).chain(paths) {
        // A group may be deleted meanwhile, and an aggregated API server may be unavailable.
        let Ok(list) = get::<Resources>(client, &path).await else { continue };
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

async fn get<T: serde::de::DeserializeOwned>(client: &Client, path: &str) -> anyhow::Result<T> {
    let request = http::Request::get(path).body(Vec::new()).map_err(|error| anyhow!(error))?;
    client.request(request).await.with_context(|| format!("cannot read {path}"))
}
