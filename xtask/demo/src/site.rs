//! `Site`: the custom resource of the demo. Its controller writes one owned `ConfigMap` for each page of a site.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_client::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube_client::{Api, Client, CustomResourceExt, Resource, ResourceExt};
use kube_derive::CustomResource;
use kube_runtime::controller::{self, Action, Controller};
use kube_runtime::reflector::Store;
use kube_runtime::wait::{await_condition_within, conditions};
use kube_runtime::watcher;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::tally::Tally;

/// The field manager of the pages that the controller applies.
const FIELD_MANAGER: &str = "site-controller";
/// The label of each page's config map. Its value is the name of the site.
const SITE_LABEL: &str = "demo.example.com/site";
/// The time limit for the CRD to become established.
const ESTABLISHMENT_LIMIT: Duration = Duration::from_secs(10);

/// A site that consists of pages.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "demo.example.com",
    version = "v1",
    kind = "Site",
    namespaced,
    status = "SiteStatus",
    printcolumn(name = "Pages", type_ = "integer", json_path = ".status.pages")
)]
pub(super) struct SiteSpec {
    /// The heading of each page.
    pub(super) title: String,
    /// The desired number of pages.
    #[schemars(range(min = 0, max = 20))]
    pub(super) pages: u32,
}

/// The observed state of a site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct SiteStatus {
    /// The number of pages that are up to date.
    pub(super) pages: u32,
}

/// Creates the CRD and waits until it is established.
pub(super) async fn install_crd(client: &Client) -> anyhow::Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definition = Site::crd();
    let name = definition.name_any();
    definitions.create(&PostParams::default(), &definition).await.context("cannot create the CRD")?;
    await_condition_within(definitions, &name, conditions::is_crd_established(), ESTABLISHMENT_LIMIT)
        .await
        .map(drop)
        .context("cannot wait for the CRD to be established")
}

/// The handle that stops the controller.
pub(super) struct RunningController {
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl RunningController {
    /// Shuts the controller down, and waits at most `limit` plus one second until the in-flight reconciles end.
    pub(super) async fn stop(self, limit: Duration) -> anyhow::Result<()> {
        // The send fails if the controller has already ended.
        let _ = self.stop.send(());
        match tokio::time::timeout(limit + Duration::from_secs(1), self.ended).await {
            Ok(_) => Ok(()),
            Err(_) => bail!("the controller did not shut down within {limit:?}"),
        }
    }
}

/// Starts the controller. Returns its store of sites, and the handle that stops it.
pub(super) fn start_controller(
    tasks: &mut JoinSet<()>,
    client: &Client,
    tally: Arc<Tally>,
) -> (Store<Site>, RunningController) {
    let (stop, stopped) = oneshot::channel::<()>();
    let (end, ended) = oneshot::channel();
    let owned = watcher::Config::default().labels(SITE_LABEL);
    let controller = Controller::new(Api::<Site>::all(client.clone()), watcher::Config::default())
        .owns(Api::<ConfigMap>::all(client.clone()), owned)
        .with_config(controller::Config::default().drain_timeout(super::SHUTDOWN_LIMIT))
        .graceful_shutdown_on(async {
            // Dropping the `RunningController` also shuts the controller down.
            let _ = stopped.await;
        });
    let sites = controller.store();
    let context = Arc::new(ReconcileContext { client: client.clone(), tally: tally.clone() });
    let mut results = controller.run(reconcile, controller::backoff_on_error, context).boxed();
    tasks.spawn(async move {
        while let Some(result) = results.next().await {
            match result {
                Ok(_) => tally.reconciles.increment(),
                Err(error @ controller::Error::QueueError(_)) => tally.record_watch_error("sites", error),
                Err(error) => {
                    tally.reconciles.increment();
                    tally.failures.increment();
                    tally.send_message(format!("{:#}", anyhow::Error::from(error)));
                }
            }
        }
        // The send fails if the receiver was dropped.
        let _ = end.send(());
    });
    (sites, RunningController { stop, ended })
}

struct ReconcileContext {
    client: Client,
    tally: Arc<Tally>,
}

/// Applies the wanted pages of a site, deletes its other pages, and updates its status.
async fn reconcile(site: Arc<Site>, context: Arc<ReconcileContext>) -> Result<Action, kube_client::Error> {
    if site.metadata.deletion_timestamp.is_some() {
        // The garbage collector deletes the pages.
        return Ok(Action::await_change());
    }
    let (name, namespace) = (site.name_any(), site.namespace().unwrap_or_default());
    let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), &namespace);
    let params = ListParams::default().labels(&format!("{SITE_LABEL}={name}"));
    let found: BTreeMap<String, ConfigMap> =
        maps.list(&params).await?.items.into_iter().map(|map| (map.name_any(), map)).collect();
    let wanted: BTreeMap<String, ConfigMap> = (0..site.spec.pages)
        .map(|number| desired_page(&site, number))
        .map(|map| (map.name_any(), map))
        .collect();
    for (name, page) in &wanted {
        if found.get(name).is_none_or(|found| found.data != page.data) {
            maps.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(page)).await?;
            context.tally.pages_written.increment();
        }
    }
    for name in found.keys().filter(|name| !wanted.contains_key(*name)) {
        match maps.delete(name, &DeleteParams::default()).await {
            Ok(_) => context.tally.pages_deleted.increment(),
            // Another client has already deleted the page.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    let status = SiteStatus { pages: site.spec.pages };
    if site.status.as_ref() != Some(&status) {
        let sites: Api<Site> = Api::namespaced(context.client.clone(), &namespace);
        let patch = Patch::Merge(json!({ "status": status }));
        sites.patch_status(&name, &PatchParams::default(), &patch).await?;
    }
    Ok(Action::await_change())
}

/// The desired `ConfigMap` of a page.
fn desired_page(site: &Site, number: u32) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(format!("{}-page-{number}", site.name_any()));
    map.metadata.namespace = site.namespace();
    map.labels_mut().insert(SITE_LABEL.to_owned(), site.name_any());
    map.owner_references_mut().extend(site.controller_owner_ref(&()));
    let html = format!("<h1>{}</h1><p>Page {} of {}</p>", site.spec.title, number + 1, site.spec.pages);
    map.data = Some([("index.html".to_owned(), html)].into());
    map
}
