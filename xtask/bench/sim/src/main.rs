//! `bench-sim`: the program with which `cargo xtask bench sim` measures kube-sim. It prints the figures as JSON. It has
//! three subcommands:
//!
//! - `start N` measures the first start of a server, and then N further starts.
//! - `pods N` measures the memory of N pods.
//! - `requests KUBECONFIG SECONDS` measures the rate of requests to a running server: kube-sim or kube-apiserver.

mod pods;
mod requests;
mod start;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = runtime
        .context("cannot start threads")
        .and_then(|runtime| runtime.block_on(run_subcommand(&arguments)));
    match outcome {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the subcommand that the arguments name, and returns the figures.
async fn run_subcommand(arguments: &[String]) -> anyhow::Result<Value> {
    let number = |text: &str| text.parse::<u32>().with_context(|| format!("{text:?} is not a number"));
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["start", count] => start::measure(number(count)?).await,
        ["pods", count] => pods::measure(number(count)?),
        ["requests", kubeconfig, seconds] => {
            requests::measure(Path::new(kubeconfig), Duration::from_secs(number(seconds)?.into())).await
        }
        _ => anyhow::bail!("usage: bench-sim start N | pods N | requests KUBECONFIG SECONDS"),
    }
}
