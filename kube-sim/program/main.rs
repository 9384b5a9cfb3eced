//! The program `kube-sim`: serves a simulated cluster, and stands in for the binaries that envtest starts.
//!
//! The program parses arguments and reads and writes files. The library has the behaviour of the API server.

mod api_server;
mod assets;
mod etcd;
mod flags;
mod serve;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

/// An error of the program: the failed operation, and its cause.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// A simulated Kubernetes API server for tests, without a container or a download.
#[derive(Debug, Parser)]
#[command(name = "kube-sim", version)]
enum Command {
    /// Serve a simulated cluster until interrupted.
    Serve(serve::Args),
    /// Create a folder with stand-ins for kube-apiserver and etcd, which envtest starts, and print the path of the folder.
    Assets(assets::Args),
}

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let name = arguments.first().map(Path::new).and_then(Path::file_stem).unwrap_or_default().to_owned();
    // `kube-sim assets` creates links to this program. Each link has the name of the binary that this program replaces.
    let outcome = match name.to_str() {
        Some("kube-apiserver") => block_on(api_server::run(arguments.split_off(1))),
        Some("etcd") => block_on(etcd::run(arguments.split_off(1))),
        _ => match Command::parse() {
            Command::Serve(args) => block_on(serve::run(args)),
            Command::Assets(args) => assets::run(&args),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            eprintln!("{}: {text}", name.display());
            ExitCode::FAILURE
        }
    }
}

fn block_on(future: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(future)
}

/// Waits for the signal `SIGINT` (an interrupt) or `SIGTERM`.
async fn wait_for_interrupt() -> Result<(), Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
