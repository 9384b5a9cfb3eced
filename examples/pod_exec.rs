//! Runs a command in a pod, prints the output of the command, and ends with the exit code of the command.
//!
//! With `-i`, the command reads the standard input of this program.
//!
//! ```sh
//! cargo run -p examples --example pod_exec -- web -- sh -c 'echo hello; exit 3'
//! ```

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use kube_client::{Api, Client, api::AttachParams};
use tokio::io::{copy, stderr, stdin, stdout};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut pod = arguments.next().context("usage: pod_exec [-i] POD -- COMMAND...")?;
    let mut params = AttachParams::default();
    if pod == "-i" {
        params = params.stdin(true);
        pod = arguments.next().context("the name of the pod is missing")?;
    }
    let command: Vec<String> = arguments.skip_while(|argument| argument == "--").collect();

    let pods: Api<Pod> = Api::default_namespaced(Client::try_default().await?);
    let mut process = pods.exec(&pod, command, &params).await?;
    if let Some(mut to_process) = process.stdin() {
        // Dropping `to_process` closes the standard input of the command. The task ends with the program.
        tokio::spawn(async move { copy(&mut stdin(), &mut to_process).await });
    }
    let (mut output, mut error) = (process.stdout().context("stdout")?, process.stderr().context("stderr")?);
    let status = process.take_status().context("status")?;
    // Both outputs share one connection, so the program must read both.
    let (mut to_stdout, mut to_stderr) = (stdout(), stderr());
    tokio::try_join!(copy(&mut output, &mut to_stdout), copy(&mut error, &mut to_stderr))?;
    process.join().await?;
    let status = status.await.context("the server has sent no status")?;
    let code = status.exit_code().with_context(|| format!("the command did not run: {status}"))?;
    // Exit immediately: a return from `main` would wait for the thread that reads the standard input.
    std::process::exit(code)
}
