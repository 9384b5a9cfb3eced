//! Installs the CRD of a kind. Creates, lists, changes and deletes objects of the kind, and writes the status and the
//! scale of an object.
//!
//! ```sh
//! cargo run -p examples --example crd_api
//! ```

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_client::{
    Api, Client, CustomResourceExt, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use kube_derive::CustomResource;
use kube_runtime::wait::{await_condition_within, conditions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

/// A lamp of a house.
#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[kube(group = "examples.dev", version = "v1", kind = "Lamp", namespaced, status = "LampStatus")]
#[kube(scale(spec_replicas_path = ".spec.bulbs", status_replicas_path = ".status.lit"))]
struct LampSpec {
    room: String,
    #[schemars(range(min = 1))]
    bulbs: i32,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
struct LampStatus {
    lit: i32,
}

fn main() -> ExitCode {
    examples::run(use_lamps())
}

async fn use_lamps() -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    examples::install_derived_crd::<Lamp>(&client).await?;
    writeln!(io::stdout(), "installed {}", Lamp::crd_name())?;
    let lamps: Api<Lamp> = Api::default_namespaced(client.clone());

    let pp = PostParams::default();
    let kitchen = Lamp::new("kitchen", LampSpec { room: "kitchen".to_owned(), bulbs: 3 });
    writeln!(io::stdout(), "created {}", lamps.create(&pp, &kitchen).await?.name_any())?;
    // The server validates objects against the schema of the CRD.
    let dark = Lamp::new("cellar", LampSpec { room: "cellar".to_owned(), bulbs: 0 });
    if let Err(error) = lamps.create(&pp, &dark).await {
        writeln!(
            io::stdout(),
            "refused: {}",
            if error.is_invalid() { "a lamp needs a bulb".to_owned() } else { error.to_string() }
        )?;
    }

    let patch = Patch::Merge(json!({"spec": {"room": "dining room"}}));
    let changed = lamps.patch("kitchen", &PatchParams::default(), &patch).await?;
    writeln!(io::stdout(), "moved to the {}", changed.spec.room)?;
    let status = Patch::Merge(json!({"status": LampStatus { lit: 2 }}));
    let lit = lamps.patch_status("kitchen", &PatchParams::default(), &status).await?;
    writeln!(io::stdout(), "{} of {} bulbs are lit", lit.status.unwrap_or_default().lit, lit.spec.bulbs)?;
    let scale = Patch::Merge(json!({"spec": {"replicas": 4}}));
    lamps.patch_scale("kitchen", &PatchParams::default(), &scale).await?;
    for lamp in lamps.list(&ListParams::default()).await? {
        writeln!(io::stdout(), "{}: {} bulbs", lamp.name_any(), lamp.spec.bulbs)?;
    }

    lamps.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
    writeln!(io::stdout(), "{} lamps are left", lamps.list(&ListParams::default()).await?.items.len())?;
    let crds: Api<CustomResourceDefinition> = Api::all(client);
    let uid = crds.get(Lamp::crd_name()).await?.uid().unwrap_or_default();
    crds.delete(Lamp::crd_name(), &DeleteParams::default()).await?;
    let limit = Duration::from_secs(30);
    await_condition_within(crds, Lamp::crd_name(), conditions::is_deleted(&uid), limit).await?;
    writeln!(io::stdout(), "deleted {}", Lamp::crd_name())?;
    Ok(())
}
