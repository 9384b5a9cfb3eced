//! Checks the CA bundle that Kubernetes publishes in each namespace. The program declares its own type for config maps,
//! with only the fields that it reads.
//!
//! Kubernetes keeps a config map `kube-root-ca.crt` in each namespace, with the authorities of the API server's
//! certificate. The program fails if the content of one of these config maps differs from the others.
//!
//! ```sh
//! cargo run -p examples --example cert_check
//! ```

use anyhow::{bail, ensure};
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube_client::{Api, Client, ResourceExt, api::ListParams};
use serde::Deserialize;
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// A config map with the key `ca.crt`. For an object without the key, decoding fails with an error that names the
/// object.
#[derive(kube_derive::Resource, Clone, Debug, Deserialize)]
#[resource(inherit = ConfigMap)]
struct CaConfigMap {
    metadata: ObjectMeta,
    data: CaData,
}

#[derive(Clone, Debug, Deserialize)]
struct CaData {
    #[serde(rename = "ca.crt")]
    ca: String,
}

fn main() -> ExitCode {
    examples::run(compare_ca_bundles())
}

async fn compare_ca_bundles() -> anyhow::Result<()> {
    let bundles: Api<CaConfigMap> = Api::all(Client::try_default().await?);
    let named = ListParams::default().fields("metadata.name=kube-root-ca.crt");
    let bundles = bundles.list(&named).await?.items;
    let Some(first) = bundles.first() else { bail!("no namespace has a config map kube-root-ca.crt") };
    let mut differing = 0;
    for bundle in &bundles {
        let certificates = bundle.data.ca.matches("-----BEGIN CERTIFICATE-----").count();
        let is_same = bundle.data.ca == first.data.ca;
        differing += usize::from(!is_same);
        let verdict = if is_same { "same content" } else { "DIFFERENT content" };
        let namespace = bundle.namespace().unwrap_or_default();
        writeln!(io::stdout(), "{namespace}: {certificates} certificates, {verdict}")?;
    }
    ensure!(differing == 0, "{differing} of {} bundles differ from the first", bundles.len());
    Ok(())
}
