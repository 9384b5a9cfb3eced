//! Compares the stores of the reflector, the informer and the controller with the server's objects at the end of the demo.
//! This module changes no objects.

use std::time::Duration;

use anyhow::bail;
use kube_sim::Sim;
use serde_json::Value;
use tokio::time::Instant;

use super::snapshot::{Snapshot, Versions};

/// The time limit for the stores to receive the last changes, and for the controller to write the last pages.
const AGREEMENT_LIMIT: Duration = Duration::from_secs(5);

/// Waits until the stores equal the server's objects, and the controller has written all pages. After
/// [`AGREEMENT_LIMIT`], returns an error that describes the first difference.
pub(super) async fn wait_for_agreement(sim: &Sim, snapshot: &mut Snapshot) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        snapshot.refresh();
        match first_difference(sim, snapshot) {
            None => return Ok(()),
            Some(text) if begin.elapsed() >= AGREEMENT_LIMIT => {
                bail!("{text}, {AGREEMENT_LIMIT:?} after the last change")
            }
            Some(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Describes the first difference between the stores and the server, or between the wanted pages and the written pages;
/// `None` if there is no difference.
fn first_difference(sim: &Sim, snapshot: &Snapshot) -> Option<String> {
    let compare = |what: &str, held: &Versions, version: &str, kind: &str| {
        let served = resource_versions(&sim.list(version, kind, "").unwrap_or_default());
        (*held != served)
            .then(|| format!("{what} differ: {} are held, {} are on the server", held.len(), served.len()))
    };
    compare("pods", &snapshot.pod_versions, "v1", "Pod")
        .or_else(|| compare("nodes", &snapshot.node_versions(), "v1", "Node"))
        .or_else(|| compare("sites", &snapshot.site_versions(), "demo.example.com/v1", "Site"))
        .or_else(|| {
            let (pages, wanted) = (count_pages(sim), snapshot.pages_wanted);
            (u32::try_from(pages) != Ok(wanted) || snapshot.pages_done != wanted)
                .then(|| format!("{wanted} pages are wanted, {pages} are there"))
        })
}

/// Counts the server's `ConfigMap`s whose first owner is a `Site`.
pub(super) fn count_pages(sim: &Sim) -> usize {
    let maps = sim.list("v1", "ConfigMap", "").unwrap_or_default();
    maps.iter().filter(|map| map["metadata"]["ownerReferences"][0]["kind"] == "Site").count()
}

/// The resource versions of `objects`, which are JSON values.
fn resource_versions(objects: &[Value]) -> Versions {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let key_and_version = |object: &Value| {
        let meta = &object["metadata"];
        ((text(&meta["namespace"]), text(&meta["name"])), text(&meta["resourceVersion"]))
    };
    objects.iter().map(key_and_version).collect()
}
