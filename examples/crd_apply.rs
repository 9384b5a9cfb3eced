//! Applies a custom resource with server-side apply as two field managers. Shows a conflict between the managers, and
//! resolves the conflict.
//!
//! ```sh
//! cargo run -p examples --example crd_apply
//! ```

use kube_client::{
    Api, Client, ResourceExt,
    api::{DeleteParams, PatchParams},
};
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// All fields are optional, and serialization skips fields that are `None`. The request of a field manager therefore
/// contains only the fields that the manager sets.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[kube(group = "examples.dev", version = "v1", kind = "Site", namespaced)]
struct SiteSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replicas: Option<i32>,
}

fn main() -> ExitCode {
    examples::run(apply_as_two_managers())
}

async fn apply_as_two_managers() -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    examples::install_derived_crd::<Site>(&client).await?;
    let sites: Api<Site> = Api::default_namespaced(client);
    let (editor, scaler) = (PatchParams::apply("editor"), PatchParams::apply("scaler"));
    let mut out = io::stdout();

    let title = Site::new("example", SiteSpec { title: Some("Home".to_owned()), ..SiteSpec::default() });
    let created = sites.apply(&editor, &title).await?;
    let replicas = Site::new("example", SiteSpec { replicas: Some(3), ..SiteSpec::default() });
    let merged = sites.apply(&scaler, &replicas).await?;
    writeln!(out, "merged: {}", serde_json::to_string(&merged.spec)?)?;
    let again = sites.apply(&scaler, &replicas).await?;
    let unchanged = again.resource_version() == merged.resource_version();
    writeln!(out, "applied again, unchanged: {unchanged}")?;

    let both = Site::new("example", SiteSpec { title: Some("Start".to_owned()), replicas: Some(3) });
    match sites.apply(&scaler, &both).await {
        Err(error) if error.is_conflict() => writeln!(out, "conflict: {error}")?,
        other => writeln!(out, "unexpected: {other:?}")?,
    }
    let forced = sites.apply(&scaler.clone().force(), &both).await?;
    writeln!(out, "forced: {}", serde_json::to_string(&forced.spec)?)?;

    // `scaler` no longer applies `title`. The server removes the field, because no other manager owns the field.
    let removed = sites.apply(&scaler, &replicas).await?;
    writeln!(
        out,
        "removed: {}, uid unchanged: {}",
        serde_json::to_string(&removed.spec)?,
        removed.uid() == created.uid()
    )?;
    sites.delete("example", &DeleteParams::default()).await?;
    Ok(())
}
