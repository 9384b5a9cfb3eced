//! The examples, run as programs against the server.

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
    pod_informer_prints_events [Examples],
    pod_reflector_prints_the_present_state [Examples],
    deployment_reflector_prints_what_it_names [Examples],
    crd_reflector_follows_its_objects [Examples],
    node_reflector_prints_nodes [Examples, NewNodes],
    node_informer_finds_a_broken_node [Examples, NewNodes],
);

/// More than two polls of an example.
const PATIENCE: Duration = Duration::from_secs(45);

type Lines = Arc<Mutex<Vec<String>>>;

/// An example that runs.
struct Running {
    child: Child,
    out: Lines,
    err: Lines,
    readers: [JoinHandle<()>; 2],
}

impl Running {
    fn start(env: &Env, name: &str) -> Outcome<Self> {
        let mut command = Command::new(env.example(name)?);
        if let Some(kubeconfig) = env.server().kubeconfig() {
            command.env("KUBECONFIG", kubeconfig);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start the example {name}"))?;
        let (stdout, stderr) =
            (child.stdout.take().context("no stdout")?, child.stderr.take().context("no stderr")?);
        let (out, err) = (Lines::default(), Lines::default());
        let readers = [read(stdout, out.clone()), read(stderr, err.clone())];
        Ok(Self { child, out, err, readers })
    }

    /// Waits for a line of stdout that holds all of `parts`.
    async fn says(&self, parts: &[&str]) -> Outcome {
        eventually(&format!("a line with {parts:?}"), PATIENCE, async || {
            let lines = self.out.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.iter().any(|line| parts.iter().all(|part| line.contains(part))) {
                return Ok(Some(()));
            }
            let err = self.err.lock().unwrap_or_else(PoisonError::into_inner);
            Err(anyhow!("it said {:?}, and on stderr {err:?}", &lines[lines.len().saturating_sub(10)..]))
        })
        .await
    }

    /// Sends SIGTERM, after which the example must exit with status 0.
    async fn ends(mut self) -> Outcome {
        let id = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        kill_process(id.context("it has ended by itself")?, Signal::TERM)?;
        let status: ExitStatus = timeout(Duration::from_secs(10), self.child.wait()).await??;
        check!(status.success(), "{status}; on stderr {:?}", self.err);
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.readers.iter().for_each(JoinHandle::abort);
    }
}

fn read(from: impl AsyncRead + Unpin + Send + 'static, into: Lines) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            into.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    })
}

async fn pod_informer_prints_events(env: Env) -> Outcome {
    env.until_pods_can_be_made().await?;
    let running = Running::start(&env, "pod_informer")?;
    let pods: Api<Pod> = env.api();
    pods.create(&PostParams::default(), &idle_pod("web")?).await?;
    let name = format!("{}/web", env.namespace());
    running.says(&["added", &name, "Pending"]).await?;
    pods.delete("web", &DeleteParams::default()).await?;
    running.says(&["deleted", &name]).await?;
    running.ends().await
}

async fn pod_reflector_prints_the_present_state(env: Env) -> Outcome {
    env.until_pods_can_be_made().await?;
    env.api::<Pod>().create(&PostParams::default(), &idle_pod("web")?).await?;
    let running = Running::start(&env, "pod_reflector")?;
    running.says(&[&format!("{}/web", env.namespace()), "Pending", "1 containers"]).await?;
    running.ends().await
}

async fn deployment_reflector_prints_what_it_names(env: Env) -> Outcome {
    env.api::<Deployment>().create(&PostParams::default(), &deployment("web", 0)?).await?;
    let running = Running::start(&env, "deployment_reflector")?;
    running.says(&[&format!("{}/web", env.namespace()), "0 desired"]).await?;
    running.ends().await
}

async fn crd_reflector_follows_its_objects(env: Env) -> Outcome {
    // The example installs its definition, under a name that is the same for everyone.
    let crds: Api<CustomResourceDefinition> = Api::all(env.client());
    if crds.get_opt("foos.clux.dev").await?.is_none() {
        env.deletes_at_end(&crds, "foos.clux.dev");
    }
    let running = Running::start(&env, "crd_reflector")?;
    running.says(&["0 foos"]).await?;
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("clux.dev", "v1", "Foo"), "foos");
    let foos: Api<DynamicObject> = Api::namespaced_with(env.client(), env.namespace(), &resource);
    let object = DynamicObject::new("baz", &resource).data(json!({"spec": {"name": "baz", "info": "first"}}));
    foos.create(&PostParams::default(), &object).await?;
    let name = format!("{}/baz", env.namespace());
    running.says(&[&name, "first"]).await?;
    let edited = Patch::Merge(json!({"spec": {"info": "second"}}));
    foos.patch("baz", &PatchParams::default(), &edited).await?;
    running.says(&[&name, "second"]).await?;
    foos.delete("baz", &DeleteParams::default()).await?;
    running.ends().await
}

/// Creates an unschedulable node.
async fn node(env: &Env) -> Outcome<String> {
    let nodes: Api<Node> = Api::all(env.client());
    let name = env.unique("node");
    env.deletes_at_end(&nodes, &name);
    let mut node = Node { metadata: named(&name), ..Node::default() };
    node.metadata.labels = Some([("kubernetes.io/os".to_owned(), "linux".to_owned())].into());
    node.spec.get_or_insert_default().unschedulable = Some(true);
    nodes.create(&PostParams::default(), &node).await?;
    Ok(name)
}

async fn node_reflector_prints_nodes(env: Env) -> Outcome {
    let name = node(&env).await?;
    let running = Running::start(&env, "node_reflector")?;
    running.says(&[&name, "kubelet"]).await?;
    running.ends().await
}

async fn node_informer_finds_a_broken_node(env: Env) -> Outcome {
    let running = Running::start(&env, "node_informer")?;
    let name = node(&env).await?;
    let condition = json!({"type": "DiskPressure", "status": "True", "reason": "Full"});
    let broken = Patch::Strategic(json!({"status": {"conditions": [condition]}}));
    let nodes: Api<Node> = Api::all(env.client());
    // A controller of the cluster may reset the condition, so the patch is repeated.
    let breaking = async {
        loop {
            if let Err(error) = nodes.patch_status(&name, &PatchParams::default(), &broken).await {
                tracing::debug!("{error}");
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let parts = [name.as_str(), "is unhealthy", "DiskPressure is True (Full)"];
    tokio::select! {
        said = running.says(&parts) => said?,
        () = breaking => {}
    }
    running.ends().await
}
