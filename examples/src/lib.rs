//! Shared code of the examples: logging, shutdown by signal, error reports, and the installation of CRDs.
//!
//! Except for the installation of CRDs, this crate must not send requests to a cluster: the file of each example must
//! show the requests of the example.

use anyhow::Context;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_client::{
    Api, Client, CustomResourceExt, Resource,
    api::{ListParams, Patch, PatchParams},
};
use kube_runtime::{
    wait::{await_condition, conditions},
    watcher,
};
use serde::de::DeserializeOwned;
use std::{
    future::Future,
    io::{self, ErrorKind, IsTerminal, Write as _},
    process::ExitCode,
    time::Duration,
};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

/// Runs an example until it ends or fails, or until SIGINT or SIGTERM ends it successfully.
///
/// Logs go to stderr, filtered by `RUST_LOG`, with the default `info`. A failure is written to stderr as one message
/// with all of its causes. If the example returns the I/O error of a closed stdout, the exit code is success.
pub fn run(example: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    match try_run(example) {
        Err(error) if !is_closed_pipe(&error) => {
            // Ignore a closed stderr: the exit code still reports the failure.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Like [`run`], but returns the error.
fn try_run(example: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::INFO.into()).from_env();
    let filter = filter.with_context(|| {
        let value = std::env::var_os("RUST_LOG").unwrap_or_default();
        format!("RUST_LOG={} is not a list of filters such as info,kube_runtime=debug", value.display())
    })?;
    let colours = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colours).init();

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        tokio::select! {
            signal = termination_signal() => {
                info!("{}: ending", signal?);
                Ok(())
            }
            result = example => result,
        }
    });
    // Do not wait for blocking tasks: a DNS lookup or a file system may hang.
    runtime.shutdown_background();
    result
}

/// Waits for SIGINT or SIGTERM, and returns a description of the signal.
async fn termination_signal() -> io::Result<&'static str> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = interrupt.recv() => Ok("interrupted"),
            _ = terminate.recv() => Ok("terminated"),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.map(|()| "interrupted")
}

/// Whether the error is a broken pipe: the reader of stdout or stderr has closed the pipe.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Decides whether a failed poll ends the program.
///
/// An object that does not decode is logged. Any other failure before the first successful poll ends the program,
/// because the cause is probably permanent, such as a wrong address or certificate, or a resource that the server does
/// not serve. A later failure is logged, and the next poll retries after a backoff.
#[derive(Debug, Default)]
pub struct PollChecker {
    succeeded: bool,
}

impl PollChecker {
    /// Logs a failure after which the program continues. Returns a failure that ends the program.
    ///
    /// # Errors
    ///
    /// Returns the failure if no earlier poll has succeeded. A failure to decode an object is never returned.
    pub fn check_result(&mut self, poll: watcher::Result<()>) -> watcher::Result<()> {
        let Err(error) = poll else {
            self.succeeded = true;
            return Ok(());
        };
        if error.undecodable().is_some() {
            warn!("skipped: {}", format_with_causes(error));
            return Ok(());
        }
        if !self.succeeded {
            return Err(error);
        }
        warn!("trying again: {}", format_with_causes(error));
        Ok(())
    }
}

/// A kind that `derive(CustomResource)` has generated.
pub trait DerivedKind:
    Resource<DynamicType = ()> + CustomResourceExt + DeserializeOwned + Clone + std::fmt::Debug + Send + 'static
{
}

impl<K> DerivedKind for K where
    K: Resource<DynamicType = ()>
        + CustomResourceExt
        + DeserializeOwned
        + Clone
        + std::fmt::Debug
        + Send
        + 'static
{
}

/// Installs or updates the CRD of `K`, and waits until the server serves the kind.
///
/// # Errors
///
/// Fails if the server refuses the CRD, or does not serve the kind within 30 s.
pub async fn install_derived_crd<K: DerivedKind>(client: &Client) -> anyhow::Result<()> {
    install_crd::<K>(client, &K::crd()).await
}

/// Like [`install_derived_crd`], but uses `crd` as the CRD of `K`.
///
/// # Errors
///
/// The errors of [`install_derived_crd`].
pub async fn install_crd<K: DerivedKind>(
    client: &Client,
    crd: &CustomResourceDefinition,
) -> anyhow::Result<()> {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    crds.patch(K::crd_name(), &PatchParams::apply("examples").force(), &Patch::Apply(crd)).await?;
    wait_until_served::<K>(client).await
}

/// Waits until the CRD of `K` is established and the server serves the kind.
///
/// # Errors
///
/// Fails if the server does not serve the kind within 30 s, or if a request fails.
pub async fn wait_until_served<K: DerivedKind>(client: &Client) -> anyhow::Result<()> {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let objects: Api<K> = Api::all(client.clone());
    let served = async {
        await_condition(crds, K::crd_name(), conditions::is_crd_established()).await?;
        // For a moment after the condition is set, an API server may still return 404.
        loop {
            match objects.list(&ListParams::default().limit(1)).await {
                Err(error) if error.is_not_found() => tokio::time::sleep(Duration::from_millis(100)).await,
                listed => return anyhow::Ok(listed.map(drop)?),
            }
        }
    };
    let timed_out = || format!("{} was not served within 30 s", K::crd_name());
    tokio::time::timeout(Duration::from_secs(30), served).await.with_context(timed_out)?
}

/// Formats an error and its causes on one line.
pub fn format_with_causes(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}

/// Runs the code of the README of the repository as doc tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
