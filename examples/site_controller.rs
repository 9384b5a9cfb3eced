//! A complete controller: publishes each `Site` as a `ConfigMap` with one HTML page for each entry of
//! `spec.pages`, and lists the site in a shared index.
//!
//! - The controller writes the owned config map `pages-NAME` with server-side apply, and restores it after a change or
//!   deletion.
//! - The index is a config map in the namespace of the controller. A finalizer removes the entry of a deleted site.
//! - The status has the condition `Ready`, and each change of the status emits an event (`kubectl describe site`).
//! - Replicas elect a leader. The manager serves metrics and a status page on 127.0.0.1:8080, and probes on port 8081.
//!
//! ```sh
//! cargo run -p examples --example site_controller -- crd | kubectl apply -f -
//! cargo run -p examples --example site_controller
//! kubectl apply -f examples/site.yaml
//! ```
//!
//! `examples/site_controller.yaml` deploys the controller, with the permissions that the controller needs.

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube_client::api::{Patch, PatchParams};
use kube_client::{Api, Client, CustomResourceExt, Resource, ResourceExt};
use kube_derive::CustomResource;
use kube_runtime::controller::{Action, Controller, backoff_on_error};
use kube_runtime::events::{Event, EventType, Recorder, Reporter};
use kube_runtime::finalizer::{self, finalizer};
use kube_runtime::leader::{InvalidConfig, LeaderElector};
use kube_runtime::status::{condition, set_condition, write_status};
use kube_runtime::{Manager, watcher};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};

/// The name of the controller and of its lease. The names of the field managers and of the event reporter contain this
/// name.
const NAME: &str = "site-controller";
const FINALIZER: &str = "example.com/site-index";
/// The config map that lists all sites.
const INDEX: &str = "site-index";

/// Texts to publish.
#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Site", namespaced, status = "SiteStatus")]
pub struct SiteSpec {
    /// The title of each page.
    pub title: String,
    /// The text of each page, by the name of the page.
    #[serde(default)]
    pub pages: BTreeMap<String, String>,
}

/// The state of a site.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteStatus {
    /// The generation that is published.
    pub observed_generation: Option<i64>,
    /// `Ready`: the pages are published.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// The state that all reconciles share.
struct Context {
    /// Refuses writes after the leadership is lost.
    client: Client,
    recorder: Recorder,
    /// The namespace of the index.
    namespace: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match &*std::env::args().skip(1).collect::<Vec<_>>() {
        [] => {}
        [argument] if argument == "crd" => {
            println!("{}", serde_json::to_string_pretty(&Site::crd())?);
            return Ok(());
        }
        other => anyhow::bail!(
            "unknown arguments {other:?}: the only argument is `crd`, which prints the definition"
        ),
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let pod = std::env::var("POD_NAME").unwrap_or_else(|_| NAME.to_owned());
    let manager = manager(&Client::try_default().await?, &pod)?;
    manager.listen("127.0.0.1:8080")?.listen_for_probes("0.0.0.0:8081")?.run().await?;
    Ok(())
}

/// Returns a manager that runs the controller. `pod` is the name of this replica.
pub(crate) fn manager(client: &Client, pod: &str) -> Result<Manager, InvalidConfig> {
    let namespace = client.default_namespace().to_owned();
    let mut manager = Manager::elected(LeaderElector::new(client.clone(), &namespace, NAME, pod))?;
    let reporter = Reporter { controller: format!("example.com/{NAME}"), instance: Some(pod.to_owned()) };
    let recorder = Recorder::new(manager.client(), reporter);
    let context = Arc::new(Context { client: manager.client(), recorder, namespace });
    let sites = Controller::new(Api::<Site>::all(client.clone()), watcher::Config::default())
        .owns(Api::<ConfigMap>::all(client.clone()), watcher::Config::default());
    manager.controller(sites, reconcile, backoff_on_error, context);
    Ok(manager)
}

async fn reconcile(
    site: Arc<Site>,
    context: Arc<Context>,
) -> Result<Action, finalizer::Error<kube_client::Error>> {
    let sites = Api::<Site>::namespaced(context.client.clone(), &site.namespace().unwrap_or_default());
    let step = async |event| match event {
        finalizer::Event::Apply(site) => publish_site(&site, &sites, &context).await,
        finalizer::Event::Cleanup(site) => context.set_index_entry(&site, None).await,
    };
    finalizer(&sites, FINALIZER, site, step).await
}

/// Publishes a site. Each write is idempotent, and a status that is equal to the stored status is not written. The
/// reconcile of a site that is already published therefore does not trigger another reconcile.
async fn publish_site(site: &Site, sites: &Api<Site>, context: &Context) -> kube_client::Result<Action> {
    let name = format!("pages-{}", site.name_any());
    let pages = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "ownerReferences": [site.controller_owner_ref(&())]},
        "data": site.spec.pages.iter().map(|(page, text)| (format!("{page}.html"), html_page(&site.spec.title, text)))
            .collect::<BTreeMap<_, _>>(),
    });
    let maps = Api::<ConfigMap>::namespaced(context.client.clone(), &site.namespace().unwrap_or_default());
    maps.patch(&name, &PatchParams::apply(NAME).force(), &Patch::Apply(pages)).await?;
    context.set_index_entry(site, Some(&site.spec.title)).await?;

    let mut status = site.status.clone().unwrap_or_default();
    let message = format!("{} pages in {name}", site.spec.pages.len());
    set_condition(&mut status.conditions, condition("Ready", true, "Published", &message));
    status.observed_generation = site.meta().generation;
    if write_status(sites, site, &status).await?.is_none() {
        // The status has not changed: emit no event.
        return Ok(Action::await_change());
    }
    let event = Event {
        type_: EventType::Normal,
        reason: "Published".to_owned(),
        note: Some(message),
        action: "Publish".to_owned(),
        secondary: None,
    };
    // The reconcile must not fail because of a lost event.
    if let Err(error) = context.recorder.publish(&event, &site.object_ref(&())).await {
        tracing::warn!("cannot publish an event: {error}");
    }
    Ok(Action::await_change())
}

impl Context {
    /// Sets the title of a site in the index; `None` removes the site.
    async fn set_index_entry(&self, site: &Site, title: Option<&str>) -> kube_client::Result<Action> {
        // Each site has its own field manager, so server-side apply does not change the entries of other sites.
        let key = format!("{}.{}", site.namespace().unwrap_or_default(), site.name_any());
        let mut index = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": INDEX}});
        // For a deleted site, set no `data`. With an empty `data`, the field manager of the site would still
        // own the field `data`, and would remain in `managedFields`.
        if let Some(title) = title {
            index["data"] = json!({(key.as_str()): title});
        }
        let owner = PatchParams::apply(&format!("{NAME}/{}", site.uid().unwrap_or(key))).force();
        let maps = Api::<ConfigMap>::namespaced(self.client.clone(), &self.namespace);
        maps.patch(INDEX, &owner, &Patch::Apply(index)).await?;
        Ok(Action::await_change())
    }
}

/// Returns a page of HTML with a title and a text.
fn html_page(title: &str, text: &str) -> String {
    let [title, text] = [title, text].map(|text| text.replace('&', "&amp;").replace('<', "&lt;"));
    format!("<!doctype html><title>{title}</title><h1>{title}</h1><p>{text}</p>")
}
