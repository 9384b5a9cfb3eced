//! Clients of other languages. Each case runs a program in the folder `xtask/e2e/languages`. The program lists, watches
//! and patches objects, and runs a small operator. All programs except `kopf_operator.py` also execute a command in a pod.
//! A program fails if a response is wrong.

use std::path::Path;
use std::time::Duration;

use anyhow::anyhow;
use k8s_openapi::api::core::v1::Pod;
use kube_client::Api;
use kube_client::api::PostParams;
use kube_client::config::Kubeconfig;
use kube_runtime::wait::{await_condition_within, conditions};
use tokio::process::Command;

use crate::case::suite;
use crate::env::Env;
use crate::failure::Outcome;
use crate::languages::{run_to_end, source_folder};
use crate::support::pod;

suite!("languages":
    the_go_library_client_go_works [GoProgram, Pods, Echo],
    the_python_client_kubernetes_works [Python, Pods, Echo],
    the_python_client_kr8s_works [Python, Pods, Echo],
    the_python_client_lightkube_works [Python, Pods, Echo],
    a_python_operator_with_kopf_works [Python, Pods, Echo],
);

/// The time limit of a program.
const TIMEOUT: Duration = Duration::from_secs(90);

async fn the_go_library_client_go_works(env: Env) -> Outcome {
    let program = env.server().languages().go_program().map_err(|reason| anyhow!("{reason}"))?;
    run_program(&env, Command::new(program)).await
}

async fn the_python_client_kubernetes_works(env: Env) -> Outcome {
    run_python(&env, "kubernetes_client.py").await
}

async fn the_python_client_kr8s_works(env: Env) -> Outcome {
    run_python(&env, "kr8s_client.py").await
}

async fn the_python_client_lightkube_works(env: Env) -> Outcome {
    run_python(&env, "lightkube_client.py").await
}

async fn a_python_operator_with_kopf_works(env: Env) -> Outcome {
    run_python(&env, "kopf_operator.py").await
}

async fn run_python(env: &Env, program: &str) -> Outcome {
    let python: &Path =
        env.server().languages().python_interpreter().map_err(|reason| anyhow!("{reason}"))?;
    let mut command = Command::new(python);
    // Without this option, Python writes compiled modules next to the sources.
    command.arg("-B").arg(source_folder("python").join(program));
    run_program(env, command).await
}

/// Runs a program. The program's arguments are the namespace of the case and the name of a running pod in this namespace.
/// The program's kubeconfig has this namespace as its default namespace.
async fn run_program(env: &Env, mut command: Command) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    let pods: Api<Pod> = env.api();
    pods.create(&PostParams::default(), &pod("web")?).await?;
    await_condition_within(pods, "web", conditions::is_pod_running(), Duration::from_secs(60)).await?;
    let mut kubeconfig = match env.server().kubeconfig() {
        Some(path) => Kubeconfig::read_from(path)?,
        None => Kubeconfig::read()?,
    };
    for context in kubeconfig.contexts.iter_mut().filter_map(|named| named.context.as_mut()) {
        context.namespace = Some(env.namespace().to_owned());
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("kubeconfig");
    kubeconfig.write_to(&path)?;
    command.args([env.namespace(), "web"]);
    command.env("KUBECONFIG", path).env("HOME", folder.path()).current_dir(folder.path());
    run_to_end(&mut command, TIMEOUT).await?;
    Ok(())
}
