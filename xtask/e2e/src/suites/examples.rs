//! The example programs, run as child processes against the server.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_client::Api;
use kube_client::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube_client::core::{ApiResource, DynamicObject, GroupVersionKind};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check};
use crate::support::{deployment, eventually, idle_pod, named};

suite!("examples":
    pod_informer_prints_added_and_deleted_pods [Examples],
    pod_reflector_prints_existing_pods [Examples],
    deployment_reflector_prints_replicas [Examples],
    crd_reflector_prints_created_and_changed_objects [Examples],
    node_reflector_prints_nodes [Examples, NewNodes],
    node_informer_reports_an_unhealthy_node [Examples, NewNodes],
);

/// The time limit for a line of output. It is longer than two poll intervals of an example.
const TIMEOUT: Duration = Duration::from_secs(45);

/// The lines that an example has written to stdout or stderr. A task appends the lines.
type Lines = Arc<Mutex<Vec<String>>>;

/// A running example and its captured output.
struct RunningExample {
    child: Child,
    stdout: Lines,
    stderr: Lines,
    readers: [JoinHandle<()>; 2],
}

impl RunningExample {
    /// Starts the example as a child process, with tasks that read its output.
    fn start(env: &Env, name: &str) -> Outcome<Self> {
        let mut command = Command::new(env.example(name)?);
        if let Some(kubeconfig) = env.server().kubeconfig() {
            command.env("KUBECONFIG", kubeconfig);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start the example {name}"))?;
        let (stdout_pipe, stderr_pipe) =
            (child.stdout.take().context("no stdout")?, child.stderr.take().context("no stderr")?);
        let (stdout, stderr) = (Lines::default(), Lines::default());
        let readers = [read_lines(stdout_pipe, stdout.clone()), read_lines(stderr_pipe, stderr.clone())];
        Ok(Self { child, stdout, stderr, readers })
    }

    /// Waits for a line of stdout that contains all of `parts`.
    async fn wait_for_line(&self, parts: &[&str]) -> Outcome {
        eventually(&format!("the example prints a line with {parts:?}"), TIMEOUT, async || {
            let lines = self.stdout.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.iter().any(|line| parts.iter().all(|part| line.contains(part))) {
                return Ok(Some(()));
            }
            let stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
            Err(anyhow!(
                "last lines of stdout {:?}, stderr {stderr:?}",
                &lines[lines.len().saturating_sub(10)..]
            ))
        })
        .await
    }

    /// Sends SIGTERM and checks that the example exits with status 0.
    async fn terminate(mut self) -> Outcome {
        let id = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        kill_process(id.context("the example has already exited")?, Signal::TERM)?;
        let status: ExitStatus = timeout(Duration::from_secs(10), self.child.wait()).await??;
        check!(status.success(), "{status}; stderr {:?}", self.stderr);
        Ok(())
    }
}

impl Drop for RunningExample {
    fn drop(&mut self) {
        self.readers.iter().for_each(JoinHandle::abort);
    }
}

/// Appends the lines of `from` to `into` until the end of the file.
fn read_lines(from: impl AsyncRead + Unpin + Send + 'static, into: Lines) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            into.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    })
}

async fn pod_informer_prints_added_and_deleted_pods(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    let running = RunningExample::start(&env, "pod_informer")?;
    let pods: Api<Pod> = env.api();
    pods.create(&PostParams::default(), &idle_pod("web")?).await?;
    let name = format!("{}/web", env.namespace());
    running.wait_for_line(&["added", &name, "Pending"]).await?;
    pods.delete("web", &DeleteParams::default()).await?;
    running.wait_for_line(&["deleted", &name]).await?;
    running.terminate().await
}

async fn pod_reflector_prints_existing_pods(env: Env) -> Outcome {
    env.wait_until_pods_can_be_created().await?;
    env.api::<Pod>().create(&PostParams::default(), &idle_pod("web")?).await?;
    let running = RunningExample::start(&env, "pod_reflector")?;
    running.wait_for_line(&[&format!("{}/web", env.namespace()), "Pending", "1 containers"]).await?;
    running.terminate().await
}

async fn deployment_reflector_prints_replicas(env: Env) -> Outcome {
    env.api::<Deployment>().create(&PostParams::default(), &deployment("web", 0)?).await?;
    let running = RunningExample::start(&env, "deployment_reflector")?;
    running.wait_for_line(&[&format!("{}/web", env.namespace()), "0 desired"]).await?;
    running.terminate().await
}

async fn crd_reflector_prints_created_and_changed_objects(env: Env) -> Outcome {
    // The example installs a CRD with a fixed name. This case deletes it only if it did not exist before.
    let crds: Api<CustomResourceDefinition> = Api::all(env.client());
    if crds.get_opt("foos.clux.dev").await?.is_none() {
        env.delete_at_end(&crds, "foos.clux.dev");
    }
    let running = RunningExample::start(&env, "crd_reflector")?;
    running.wait_for_line(&["0 foos"]).await?;
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("clux.dev", "v1", "Foo"), "foos");
    let foos: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let object = DynamicObject::new("baz", &resource).data(json!({"spec": {"name": "baz", "info": "first"}}));
    foos.create(&PostParams::default(), &object).await?;
    let name = format!("{}/baz", env.namespace());
    running.wait_for_line(&[&name, "first"]).await?;
    let edited = Patch::Merge(json!({"spec": {"info": "second"}}));
    foos.patch("baz", &PatchParams::default(), &edited).await?;
    running.wait_for_line(&[&name, "second"]).await?;
    foos.delete("baz", &DeleteParams::default()).await?;
    running.terminate().await
}

/// Creates an unschedulable node and returns its name.
async fn create_node(env: &Env) -> Outcome<String> {
    let nodes: Api<Node> = Api::all(env.client());
    let name = env.unique_name("node");
    env.delete_at_end(&nodes, &name);
    let mut node = Node { metadata: named(&name), ..Node::default() };
    node.metadata.labels = Some([("kubernetes.io/os".to_owned(), "linux".to_owned())].into());
    node.spec.get_or_insert_default().unschedulable = Some(true);
    nodes.create(&PostParams::default(), &node).await?;
    Ok(name)
}

async fn node_reflector_prints_nodes(env: Env) -> Outcome {
    let name = create_node(&env).await?;
    let running = RunningExample::start(&env, "node_reflector")?;
    running.wait_for_line(&[&name, "kubelet"]).await?;
    running.terminate().await
}

async fn node_informer_reports_an_unhealthy_node(env: Env) -> Outcome {
    let running = RunningExample::start(&env, "node_informer")?;
    let name = create_node(&env).await?;
    let condition = json!({"type": "DiskPressure", "status": "True", "reason": "Full"});
    let unhealthy = Patch::Strategic(json!({"status": {"conditions": [condition]}}));
    let nodes: Api<Node> = Api::all(env.client());
    // The node lifecycle controller may overwrite the condition: the case writes it repeatedly.
    let keep_unhealthy = async {
        loop {
            if let Err(error) = nodes.patch_status(&name, &PatchParams::default(), &unhealthy).await {
                tracing::debug!("{error}");
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let parts = [name.as_str(), "is unhealthy", "DiskPressure is True (Full)"];
    tokio::select! {
        found = running.wait_for_line(&parts) => found?,
        () = keep_unhealthy => {}
    }
    running.terminate().await
}
