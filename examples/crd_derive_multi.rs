//! Defines two versions of one kind in one CRD.
//!
//! If a CRD has no conversion webhook, the server converts an object by a change of `apiVersion` only. The versions may
//! therefore differ only in optional fields.
//!
//! ```sh
//! cargo run -p examples --example crd_derive_multi
//! ```

use kube_client::{
    Api, Client, CustomResourceExt,
    api::{DeleteParams, PostParams},
    core::crd::merge_crds,
};
use std::{
    io::{self, Write},
    process::ExitCode,
};

mod v1 {
    use kube_derive::CustomResource;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    #[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
    #[kube(group = "examples.dev", version = "v1", kind = "Backup", namespaced)]
    #[kube(deprecated = "use examples.dev/v2")]
    pub(super) struct BackupSpec {
        pub(super) volume: String,
    }
}

mod v2 {
    use kube_derive::CustomResource;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    #[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
    #[kube(group = "examples.dev", version = "v2", kind = "Backup", namespaced)]
    pub(super) struct BackupSpec {
        pub(super) volume: String,
        pub(super) schedule: Option<String>,
    }
}

fn main() -> ExitCode {
    examples::run(use_both_versions())
}

async fn use_both_versions() -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    let crd = merge_crds(vec![v1::Backup::crd(), v2::Backup::crd()], "v2")?;
    examples::install_crd::<v2::Backup>(&client, &crd).await?;

    let old: Api<v1::Backup> = Api::default_namespaced(client.clone());
    let new: Api<v2::Backup> = Api::default_namespaced(client);
    let backup = v1::Backup::new("nightly", v1::BackupSpec { volume: "data".to_owned() });
    old.create(&PostParams::default(), &backup).await?;
    let mut backup = new.get("nightly").await?;
    writeln!(io::stdout(), "created as v1, read as v2: {:?}", backup.spec)?;
    backup.spec.schedule = Some("0 3 * * *".to_owned());
    new.replace("nightly", &PostParams::default(), &backup).await?;
    writeln!(io::stdout(), "replaced as v2, read as v1: {:?}", old.get("nightly").await?.spec)?;
    new.delete("nightly", &DeleteParams::default()).await?;
    Ok(())
}
