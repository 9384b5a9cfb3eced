//! Opens an interactive shell in a pod. The environment variables `COLUMNS` and `LINES` set the size of the terminal in
//! the pod.
//!
//! This example leaves the mode of the local terminal unchanged. For full support of terminals, a program must set the
//! local terminal to raw mode, for example with crossterm.
//!
//! ```sh
//! cargo run -p examples --example pod_shell -- web
//! ```

use anyhow::Context;
use futures::SinkExt;
use k8s_openapi::api::core::v1::Pod;
use kube_client::{
    Api, Client,
    api::{AttachParams, TerminalSize},
};
use std::env;
use tokio::io::{copy, stdin, stdout};

/// Returns the number in an environment variable, or `default` if the variable does not contain a number.
fn number_from_env(variable: &str, default: u16) -> u16 {
    env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let pod = env::args().nth(1).context("usage: pod_shell POD [SHELL]")?;
    let shell = env::args().nth(2).unwrap_or_else(|| "sh".to_owned());
    let pods: Api<Pod> = Api::default_namespaced(Client::try_default().await?);
    let mut process = pods.exec(&pod, [shell], &AttachParams::interactive_tty()).await?;
    let size = TerminalSize { width: number_from_env("COLUMNS", 80), height: number_from_env("LINES", 24) };
    process.terminal_size().context("a terminal was requested")?.send(size).await?;
    let (mut to_shell, mut output) = (process.stdin().context("stdin")?, process.stdout().context("stdout")?);
    let status = process.take_status().context("status")?;
    tokio::spawn(async move { copy(&mut stdin(), &mut to_shell).await });
    copy(&mut output, &mut stdout()).await?;
    process.join().await?;
    let status = status.await.context("the server has sent no status")?;
    let code = status.exit_code().with_context(|| format!("the shell did not run: {status}"))?;
    // Exit immediately: a return from `main` would wait for the thread that reads the standard input.
    std::process::exit(code)
}
