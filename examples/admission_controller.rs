//! An admission controller: a validating and a mutating webhook for config maps with the label
//! `examples.dev/admission`.
//!
//! The mutating webhook records the user of each write in an annotation. The validating webhook refuses values that
//! look like private keys, and warns about empty config maps. The program makes a certificate for the run, and registers
//! both webhooks with this certificate and the address of the program. An API server on the same machine can then call
//! the webhooks:
//!
//! ```sh
//! cargo xtask cluster -- bash
//! cargo run -p examples --example admission_controller &
//! kubectl create configmap a --from-literal=v=1 --dry-run=client -o yaml |
//!     kubectl label --local -f - examples.dev/admission=on -o yaml | kubectl create -f - -o yaml
//! ```
//!
//! In a cluster, mount the certificate of a service, and pass the files of the certificate and the URL of the service:
//! `--certificate tls.crt --key tls.key --authority ca.crt --address 0.0.0.0:9443 --url
//! https://admission.default.svc:9443`. The program does not delete the webhook configurations when it ends. With
//! `failurePolicy: Ignore`, the API server then admits writes without the webhooks. To delete the configurations, use
//! `kubectl delete` with the name `examples-admission`.

use anyhow::Context;
use clap::Parser;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
    core::admission::AdmissionRequest,
};
use kube_runtime::{
    Manager,
    webhook::{Rejection, Server},
};
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};
use tempfile::TempDir;

/// The label of the config maps that the webhooks receive.
const LABEL: &str = "examples.dev/admission";
/// The name of both webhook configurations.
const NAME: &str = "examples-admission";

#[derive(Parser)]
struct Args {
    /// The address to listen on; port 0 selects a free port
    #[arg(long, default_value = "127.0.0.1:0")]
    address: String,
    /// The URL at which API servers call the program [default: the URL of the address]
    #[arg(long)]
    url: Option<String>,
    /// The certificate chain in PEM format [default: a self-signed certificate for this run]
    #[arg(long, requires = "key", requires = "authority")]
    certificate: Option<PathBuf>,
    /// The private key of the certificate
    #[arg(long, requires = "certificate")]
    key: Option<PathBuf>,
    /// The authority with which API servers verify the certificate
    #[arg(long, requires = "certificate")]
    authority: Option<PathBuf>,
}

/// The files of the webhook server's certificate and key. `authority` is the CA certificate with which API servers verify
/// the webhook server.
struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    authority: Vec<u8>,
    /// Deletes the generated files on drop; `None` if the arguments name the files.
    _folder: Option<TempDir>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    examples::run(serve(args))
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let certificate = args.certificate()?;
    let server = Server::from_files(&certificate.chain, &certificate.key)?.listen(&args.address)?;
    let address = server.address().context("the server has no address")?;
    let server = server.validate("/validate", validate).mutate("/mutate", annotate_with_user);
    let client = Client::try_default().await?;
    let mut manager = Manager::new(client.clone()).without_server();
    manager.webhooks(server);
    // The manager starts this task after the server. API servers therefore call the webhooks only when the server
    // responds.
    let url = args.url.unwrap_or_else(|| format!("https://{address}"));
    manager.task("registration", async move {
        match register_webhooks(client, &url, &certificate.authority).await {
            Ok(()) => drop(writeln!(io::stdout(), "serving on {url}")),
            Err(error) => tracing::error!("cannot register the webhooks: {error:#}"),
        }
    });
    manager.run().await?;
    Ok(())
}

/// Refuses private keys, and warns about empty config maps.
async fn validate(request: AdmissionRequest<ConfigMap>) -> Result<Vec<String>, Rejection> {
    let Some(map) = request.object else { return Ok(vec![]) };
    let data = map.data.unwrap_or_default();
    if let Some(key) = data.iter().find(|(_, value)| value.contains("PRIVATE KEY-----")).map(|(key, _)| key) {
        return Err(Rejection::new(format!("data.{key} has a private key: use a Secret")));
    }
    Ok(if data.is_empty() { vec!["the config map is empty".to_owned()] } else { vec![] })
}

/// Records the user of the write in an annotation.
async fn annotate_with_user(
    mut map: ConfigMap,
    request: AdmissionRequest<ConfigMap>,
) -> Result<ConfigMap, Rejection> {
    let user = request.user_info.username.unwrap_or_default();
    map.annotations_mut().insert("examples.dev/written-by".to_owned(), user);
    Ok(map)
}

/// Registers both webhooks with the API server.
async fn register_webhooks(client: Client, url: &str, authority: &[u8]) -> anyhow::Result<()> {
    let webhook = |path: &str| -> anyhow::Result<Value> {
        let client = WebhookClientConfig {
            ca_bundle: Some(ByteString(authority.to_vec())),
            url: Some(format!("{url}{path}")),
            service: None,
        };
        Ok(json!({
            "name": "config-maps.examples.dev",
            "clientConfig": serde_json::to_value(client)?,
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Ignore",
            "objectSelector": {"matchExpressions": [{"key": LABEL, "operator": "Exists"}]},
            "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
                "operations": ["CREATE", "UPDATE"],
            }],
        }))
    };
    let apply = PatchParams::apply("examples").force();
    let configuration = |kind: &str, path: &str| -> anyhow::Result<Patch<Value>> {
        Ok(Patch::Apply(json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": NAME},
            "webhooks": [webhook(path)?],
        })))
    };
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    mutating.patch(NAME, &apply, &configuration("MutatingWebhookConfiguration", "/mutate")?).await?;
    let validating: Api<ValidatingWebhookConfiguration> = Api::all(client);
    validating.patch(NAME, &apply, &configuration("ValidatingWebhookConfiguration", "/validate")?).await?;
    Ok(())
}

impl Args {
    /// Returns the certificate that the arguments name. Without these arguments, generates a self-signed certificate
    /// for the host of the URL or, if the URL is not set, for the host of the address.
    fn certificate(&self) -> anyhow::Result<Certificate> {
        if let (Some(certificate), Some(key), Some(authority)) =
            (&self.certificate, &self.key, &self.authority)
        {
            let authority =
                std::fs::read(authority).with_context(|| format!("read {}", authority.display()))?;
            return Ok(Certificate {
                chain: certificate.clone(),
                key: key.clone(),
                authority,
                _folder: None,
            });
        }
        let host = match &self.url {
            Some(url) => url.parse::<http::Uri>()?.host().context("the URL has no host")?.to_owned(),
            None => self.address.rsplit_once(':').map_or(&*self.address, |(host, _)| host).to_owned(),
        };
        let pair = rcgen::generate_simple_self_signed([host])?;
        let folder = tempfile::tempdir()?;
        let (chain, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        std::fs::write(&chain, pair.cert.pem())?;
        std::fs::write(&key, pair.signing_key.serialize_pem())?;
        Ok(Certificate { chain, key, authority: pair.cert.pem().into_bytes(), _folder: Some(folder) })
    }
}
