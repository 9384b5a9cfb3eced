//! A small controller: for each `ConfigMapGenerator`, the program writes a config map with the content from the spec of
//! the generator. The program restores the config map after a change or deletion.
//!
//! ```sh
//! cargo run -p examples --example configmapgen_controller
//! ```

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
};
use kube_derive::CustomResource;
use kube_runtime::controller::{Action, Controller, backoff_on_error};
use kube_runtime::watcher;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};
use tracing::{info, warn};

#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[kube(group = "examples.dev", version = "v1", kind = "ConfigMapGenerator", namespaced, shortname = "cmg")]
struct ConfigMapGeneratorSpec {
    /// The value of the key `content` in the config map.
    content: String,
}

fn main() -> ExitCode {
    examples::run(run_controller())
}

async fn run_controller() -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    examples::install_derived_crd::<ConfigMapGenerator>(&client).await?;
    info!("running the controller");
    Controller::new(Api::<ConfigMapGenerator>::all(client.clone()), watcher::Config::default())
        .owns(Api::<ConfigMap>::all(client.clone()), watcher::Config::default())
        .run(reconcile, backoff_on_error, Arc::new(client))
        .for_each(async |result| match result {
            // A closed stdout must not end the controller.
            Ok((generator, _)) => drop(writeln!(io::stdout(), "reconciled {generator}")),
            Err(error) => warn!("{error}"),
        })
        .await;
    Ok(())
}

async fn reconcile(generator: Arc<ConfigMapGenerator>, client: Arc<Client>) -> kube_client::Result<Action> {
    let name = generator.name_any();
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        // After the deletion of the owner, the garbage collector deletes the config map.
        "metadata": {"name": name, "ownerReferences": [generator.controller_owner_ref(&())]},
        "data": {"content": generator.spec.content},
    });
    let maps: Api<ConfigMap> = Api::namespaced((*client).clone(), &generator.namespace().unwrap_or_default());
    maps.patch(&name, &PatchParams::apply("configmapgen").force(), &Patch::Apply(map)).await?;
    Ok(Action::await_change())
}
