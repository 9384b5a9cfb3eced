//! Prints the objects of a custom resource after each poll.
//!
//! The resource, `foos` in the group `clux.dev`, is derived from a Rust struct. The program installs the CRD if the CRD
//! does not exist. With `--no-install` the CRD must exist: `kubectl apply -f examples/foo.yaml`.
//!
//! ```sh
//! cargo run -p examples --example crd_reflector
//! kubectl apply -f examples/crd-baz.yaml -n kube-system
//! kubectl edit foos baz -n kube-system
//! kubectl delete -f examples/crd-baz.yaml -n kube-system
//! ```

use anyhow::{Context, bail};
use examples::PollChecker;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_client::{Api, Client, CustomResourceExt, ResourceExt, api::PostParams, core::Status};
use kube_derive::CustomResource;
use kube_runtime::Reflector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tracing::info;

/// An example resource.
#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[kube(group = "clux.dev", version = "v1", kind = "Foo", namespaced)]
struct FooSpec {
    /// The display name.
    name: String,
    /// A description.
    info: Option<String>,
}

fn main() -> ExitCode {
    examples::run(run_reflector())
}

async fn run_reflector() -> anyhow::Result<()> {
    let install_missing = wants_install(std::env::args().skip(1))?;
    let client = Client::try_default().await?;
    if install_missing {
        install_crd(&client).await?;
    }
    let foos: Api<Foo> = Api::all(client);
    // Each poll takes two seconds instead of the default of ten seconds, so that changes are printed sooner.
    let mut reflector = Reflector::new(foos).timeout(Duration::from_secs(2));
    let mut checker = PollChecker::default();
    info!("watching foos");
    loop {
        let poll = checker.check_result(reflector.poll().await);
        if let Err(error) = poll {
            let missing = error.status().is_some_and(Status::is_not_found);
            let advice = "foos.clux.dev is not installed: run `kubectl apply -f examples/foo.yaml` first";
            let error = anyhow::Error::new(error);
            return Err(if missing { error.context(advice) } else { error });
        }
        // If an object does not decode, the poll ends early, possibly before the initial list is complete.
        if reflector.store().is_ready() {
            print_foos(reflector.read())?;
        }
    }
}

/// Whether the program must install a missing CRD: false with the argument `--no-install`.
fn wants_install(mut args: impl Iterator<Item = String>) -> anyhow::Result<bool> {
    match (args.next().as_deref(), args.next()) {
        (None, _) => Ok(true),
        (Some("--no-install"), None) => Ok(false),
        _ => bail!("the only argument is --no-install, to use a CRD that was installed with kubectl"),
    }
}

/// Creates the CRD if it does not exist, and waits until the server serves the resource.
async fn install_crd(client: &Client) -> anyhow::Result<()> {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    match crds.create(&PostParams::default(), &Foo::crd()).await {
        Ok(_) => info!("installed {}", Foo::crd_name()),
        Err(error) if error.is_already_exists() => info!("{} is installed", Foo::crd_name()),
        Err(error) => {
            let advice =
                "run `kubectl apply -f examples/foo.yaml` as a user with permission, then use --no-install";
            return Err(error).with_context(|| format!("cannot install {}; {advice}", Foo::crd_name()));
        }
    }
    examples::wait_until_served::<Foo>(client).await
}

fn print_foos(mut foos: Vec<Arc<Foo>>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    foos.sort_by_key(|object| (object.namespace(), object.name_any()));
    writeln!(out, "{} foos", foos.len())?;
    for object in foos {
        let namespace = object.namespace().unwrap_or_default();
        let FooSpec { name, info } = &object.spec;
        let info = info.as_deref().unwrap_or("no info");
        writeln!(out, "  {namespace}/{}: {name}, {info}", object.name_any())?;
    }
    Ok(())
}
