//! A complete controller: each `Site` is published as a `ConfigMap` with a page of HTML for each of its texts, and is
//! listed in a shared index.
//!
//! - `pages-NAME`, the owned config map, is written by server-side apply. It is repaired if it is changed or deleted.
//! - The index is a config map in the namespace of the controller. A finalizer removes the entry of a deleted site.
//! - The status has the condition `Ready`, and each publication is an event (`kubectl describe site`).
//! - Replicas elect a leader. The manager serves metrics and a status page on 127.0.0.1:8080, and probes on port 8081.
//!
//! ```sh
//! cargo run -p examples --example site_controller -- crd | kubectl apply -f -
//! cargo run -p examples --example site_controller
//! kubectl apply -f examples/site.yaml
//! ```
//!
//! `examples/site_controller.yaml` deploys it, with the permissions that it needs.

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

/// The name of the controller and of its lease. Its field managers and the reporter of its events contain the name.
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

/// The manager with the controller. `pod` is the name of this replica.
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
        finalizer::Event::Apply(site) => publish(&site, &sites, &context).await,
        finalizer::Event::Cleanup(site) => context.set_index_entry(&site, None).await,
    };
    finalizer(&sites, FINALIZER, site, step).await
}

/// Publishes a site. Each write is idempotent, and the status is written only if it changes, so a reconcile
/// does not trigger another one.
async fn publish(site: &Site, sites: &Api<Site>, context: &Context) -> kube_client::Result<Action> {
    let name = format!("pages-{}", site.name_any());
    let pages = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "ownerReferences": [site.controller_owner_ref(&())]},
        "data": site.spec.pages.iter().map(|(page, text)| (format!("{page}.html"), html(&site.spec.title, text)))
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
        // Nothing has changed.
        return Ok(Action::await_change());
    }
    let event = Event {
        type_: EventType::Normal,
        reason: "Published".to_owned(),
        note: Some(message),
        action: "Publish".to_owned(),
        secondary: None,
    };
    // A lost event must not fail the reconcile.
    if let Err(error) = context.recorder.publish(&event, &site.object_ref(&())).await {
        tracing::warn!("cannot publish an event: {error}");
    }
    Ok(Action::await_change())
}

impl Context {
    /// Sets the title of a site in the index; `None` removes the site.
    async fn set_index_entry(&self, site: &Site, title: Option<&str>) -> kube_client::Result<Action> {
        // Server-side apply with one field manager per site: no write changes the entry of another site.
        let key = format!("{}.{}", site.namespace().unwrap_or_default(), site.name_any());
        let mut index = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": INDEX}});
        // An empty `data` would remain in `managedFields` as a field of the deleted site.
        if let Some(title) = title {
            index["data"] = json!({(key.as_str()): title});
        }
        let owner = PatchParams::apply(&format!("{NAME}/{}", site.uid().unwrap_or(key))).force();
        let maps = Api::<ConfigMap>::namespaced(self.client.clone(), &self.namespace);
        maps.patch(INDEX, &owner, &Patch::Apply(index)).await?;
        Ok(Action::await_change())
    }
}

/// A page of HTML.
fn html(title: &str, text: &str) -> String {
    let [title, text] = [title, text].map(|text| text.replace('&', "&amp;").replace('<', "&lt;"));
    format!("<!doctype html><title>{title}</title><h1>{title}</h1><p>{text}</p>")
}
