//! A controller that creates owned objects and restores them after changes.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube_client::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube_client::core::{ApiResource, Object};
use kube_client::{Api, Client, Resource, ResourceExt};
use kube_runtime::Controller;
use kube_runtime::controller::{self, Action};
use kube_runtime::watcher::Config;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::widget::{WidgetSpec, WidgetStatus, install};
use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq};
use crate::support::{config_map, eventually, names};

suite!("controller":
    owned_objects_are_created_and_restored,
    owned_objects_of_a_deleted_owner_are_deleted [Controllers],
    graceful_shutdown_completes_in_flight_reconciles,
);

/// The time limit of each wait. The garbage collector takes half a minute to discover a new kind.
const TIMEOUT: Duration = Duration::from_secs(90);

/// The custom resource of this suite. Each case installs the CRD in an API group of its own.
type Widget = Object<WidgetSpec, WidgetStatus>;

/// The context of the reconciler.
struct Context {
    client: Client,
    resource: ApiResource,
}

#[derive(Debug, thiserror::Error)]
enum ReconcileError {
    #[error("the widget has no namespace or uid")]
    Incomplete,
    #[error("cannot write the config maps or the status of the widget")]
    Client(#[from] kube_client::Error),
}

/// Applies `spec.size` config maps for the widget, and sets `status.replicas` to their number.
async fn reconcile(widget: Arc<Widget>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let namespace = widget.namespace().ok_or(ReconcileError::Incomplete)?;
    let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), &namespace);
    let owner = widget.controller_owner_ref(&context.resource).ok_or(ReconcileError::Incomplete)?;
    for n in 0..widget.spec.size {
        let name = format!("{}-{n}", widget.name_any());
        let desired = Patch::Apply(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "ownerReferences": [owner], "labels": {"topic": "controller"}},
            "data": {"size": widget.spec.size.to_string()},
        }));
        maps.patch(&name, &PatchParams::apply("widgets").force(), &desired).await?;
    }
    let widgets: Api<Widget> = Api::namespaced_with(context.client.clone(), &namespace, &context.resource);
    let status = Patch::Merge(json!({"status": {"ready": true, "replicas": widget.spec.size}}));
    widgets.patch_status(&widget.name_any(), &PatchParams::default(), &status).await?;
    Ok(Action::await_change())
}

/// Installs the CRD of [`Widget`] and starts the controller of the widgets. Dropping the returned `AbortOnDrop` stops the
/// controller.
async fn start_controller(env: &Env) -> Outcome<(Api<Widget>, ApiResource, AbortOnDrop)> {
    let resource = install(env).await?;
    let widgets: Api<Widget> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let maps: Api<ConfigMap> = env.api();
    let context = Context { client: env.client(), resource: resource.clone() };
    let run = Controller::new_with(widgets.clone(), Config::default(), resource.clone())
        .owns(maps, Config::default())
        .run(reconcile, controller::backoff_on_error, Arc::new(context))
        .for_each(|_| std::future::ready(()));
    Ok((widgets, resource, AbortOnDrop(tokio::spawn(run))))
}

/// A task that is aborted when this value is dropped.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits until the names of the controller's config maps are `expected`.
async fn wait_for_maps(maps: &Api<ConfigMap>, expected: &[&str]) -> Outcome {
    let lp = ListParams::default().labels("topic=controller");
    eventually(&format!("the config maps are {expected:?}"), TIMEOUT, async || {
        let found = names::<ConfigMap>(maps.list(&lp).await?.items);
        if found == expected { Ok(Some(())) } else { Err(anyhow::anyhow!("they are {found:?}")) }
    })
    .await
}

async fn owned_objects_are_created_and_restored(env: Env) -> Outcome {
    let (widgets, resource, running) = start_controller(&env).await?;
    let maps: Api<ConfigMap> = env.api();
    let widget = Object::new("w", &resource, WidgetSpec { size: 2, ..WidgetSpec::default() });
    widgets.create(&PostParams::default(), &widget).await?;
    wait_for_maps(&maps, &["w-0", "w-1"]).await?;
    // The controller restores config maps that another client deletes or changes.
    maps.delete("w-0", &DeleteParams::default()).await?;
    wait_for_maps(&maps, &["w-0", "w-1"]).await?;
    let wrong = Patch::Merge(json!({"data": {"size": "9"}}));
    maps.patch("w-1", &PatchParams::default(), &wrong).await?;
    eventually("the config map is restored", TIMEOUT, async || {
        let size = maps.get("w-1").await?.data.and_then(|mut data| data.remove("size"));
        Ok((size.as_deref() == Some("2")).then_some(()))
    })
    .await?;
    let three = Patch::Merge(json!({"spec": {"size": 3}}));
    widgets.patch("w", &PatchParams::default(), &three).await?;
    wait_for_maps(&maps, &["w-0", "w-1", "w-2"]).await?;
    eventually("the status reports three replicas", TIMEOUT, async || {
        let status = widgets.get_status("w").await?.status;
        Ok(status.is_some_and(|status| status.ready && status.replicas == 3).then_some(()))
    })
    .await?;
    check!(!running.0.is_finished());
    Ok(())
}

async fn owned_objects_of_a_deleted_owner_are_deleted(env: Env) -> Outcome {
    let (widgets, resource, _running) = start_controller(&env).await?;
    let maps: Api<ConfigMap> = env.api();
    for name in ["v", "w"] {
        let widget = Object::new(name, &resource, WidgetSpec { size: 1, ..WidgetSpec::default() });
        widgets.create(&PostParams::default(), &widget).await?;
    }
    wait_for_maps(&maps, &["v-0", "w-0"]).await?;
    widgets.delete("v", &DeleteParams::background()).await?;
    wait_for_maps(&maps, &["w-0"]).await
}

async fn graceful_shutdown_completes_in_flight_reconciles(env: Env) -> Outcome {
    async fn slow_reconcile(
        map: Arc<ConfigMap>,
        secrets: Arc<Api<Secret>>,
    ) -> Result<Action, kube_client::Error> {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut marker = Secret::default();
        marker.metadata.name = Some(map.name_any());
        secrets.create(&PostParams::default(), &marker).await?;
        Ok(Action::await_change())
    }
    let (maps, secrets): (Api<ConfigMap>, Api<Secret>) = (env.api(), env.api());
    for n in 0..3 {
        maps.create(&PostParams::default(), &config_map(&format!("m{n}"), "1")).await?;
    }
    let (shutdown, requested) = oneshot::channel::<()>();
    let run = Controller::new(maps, Config::default().fields("metadata.name!=kube-root-ca.crt"))
        .graceful_shutdown_on(async { drop(requested.await) })
        .run(slow_reconcile, controller::backoff_on_error, Arc::new(secrets.clone()))
        .collect::<Vec<_>>();
    let stop = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        drop(shutdown);
    };
    let (results, ()) = timeout(TIMEOUT, futures::future::join(run, stop)).await?;
    // Every started reconcile has completed without an error.
    check!(results.iter().all(Result::is_ok), "{results:?}");
    check_eq!(secrets.list(&ListParams::default()).await?.items.len(), results.len());
    Ok(())
}
