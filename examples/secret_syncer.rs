//! A controller with a finalizer: copies secrets to another namespace, and deletes a copy when its original is deleted.
//!
//! The label `examples.dev/copy-to` of a secret names the namespace that receives the copy.
//!
//! ```sh
//! cargo run -p examples --example secret_syncer
//! kubectl label secret my-secret examples.dev/copy-to=other
//! ```

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube_client::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use kube_runtime::controller::{Action, Controller, backoff_on_error};
use kube_runtime::finalizer::{self, Event, finalizer};
use kube_runtime::watcher;
use serde_json::json;
use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};
use tracing::{info, warn};

const COPY_TO_LABEL: &str = "examples.dev/copy-to";

fn main() -> ExitCode {
    examples::run(run_controller())
}

async fn run_controller() -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    // Watch only secrets with the label. If a secret loses its label, the finalizer stays and the copy is not deleted.
    // To handle this case, watch all secrets, and check the label in the reconciler.
    let secrets = watcher::Config::default().labels(COPY_TO_LABEL);
    info!("copying secrets");
    Controller::new(Api::<Secret>::all(client.clone()), secrets)
        .run(reconcile, backoff_on_error, Arc::new(client))
        .for_each(async |result| {
            if let Err(error) = result {
                warn!("{error}");
            }
        })
        .await;
    Ok(())
}

async fn reconcile(
    secret: Arc<Secret>,
    client: Arc<Client>,
) -> Result<Action, finalizer::Error<kube_client::Error>> {
    let own: Api<Secret> = Api::namespaced((*client).clone(), &secret.namespace().unwrap_or_default());
    let target = secret.labels().get(COPY_TO_LABEL).cloned().unwrap_or_default();
    let copies: Api<Secret> = Api::namespaced((*client).clone(), &target);
    finalizer(&own, "examples.dev/secret-copy", secret, async |event| match event {
        Event::Apply(secret) => copy_secret(&secret, &copies).await,
        Event::Cleanup(secret) => delete_copy(&secret, &copies).await,
    })
    .await
}

async fn copy_secret(secret: &Secret, copies: &Api<Secret>) -> kube_client::Result<Action> {
    let name = secret.name_any();
    let copy = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
        "type": secret.type_, "data": secret.data,
    });
    copies.patch(&name, &PatchParams::apply("secret-syncer").force(), &Patch::Apply(copy)).await?;
    println(&format!("copied {name}"));
    Ok(Action::await_change())
}

/// Deletes the copy. The copy may already be deleted, because the finalizer calls this function again after a failure.
async fn delete_copy(secret: &Secret, copies: &Api<Secret>) -> kube_client::Result<Action> {
    let name = secret.name_any();
    match copies.delete(&name, &DeleteParams::default()).await {
        Err(error) if !error.is_not_found() => return Err(error),
        _ => println(&format!("deleted the copy of {name}")),
    }
    Ok(Action::await_change())
}

/// Prints a line. Ignores a closed stdout: the reconcile must not fail for this reason.
fn println(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
