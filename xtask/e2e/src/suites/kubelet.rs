//! Requests to the kubelet of a node, without the API server in between.

use anyhow::Context;
use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Node;
use kube_client::api::{AttachParams, LogParams, LogStream};
use kube_client::core::kubelet_debug::KubeletDebugParams;
use kube_client::{Api, Client, ResourceExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use xtask_control_plane::Identity;

use super::auth::{certificate_auth, client_as};
use super::running_pod::{create_running_pod, wait_with_output};
use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};

suite!("kubelet":
    a_kubelet_serves_processes_ports_and_logs [Processes, Certificates],
    a_kubelet_refuses_the_administrators_certificate [Processes, Certificates],
);

/// A client for the kubelet of the first node.
async fn kubelet_client(env: &Env, identity: &Identity) -> Outcome<Client> {
    let node = Api::<Node>::all(env.client()).get("node-0").await?;
    let status = node.status.context("the node has a status")?;
    let port = status.daemon_endpoints.and_then(|endpoints| endpoints.kubelet_endpoint);
    let port = port.context("the node names the port of its kubelet")?.port;
    let mut config = env.config();
    config.cluster_url = format!("https://127.0.0.1:{port}").parse()?;
    config.auth_info = certificate_auth(identity)?;
    Ok(Client::try_from(config)?)
}

async fn a_kubelet_serves_processes_ports_and_logs(env: Env) -> Outcome {
    let uid = create_running_pod(&env).await?.get("web").await?.uid();
    let client = kubelet_client(&env, &env.cluster()?.kubelet_client_certificate()?).await?;
    let pod = KubeletDebugParams { name: "web", namespace: env.namespace(), pod_uid: uid.as_deref() };
    for pod in [KubeletDebugParams { pod_uid: None, ..pod }, pod] {
        let ap = AttachParams::default();
        let script = ["sh", "-c", "echo out; echo err >&2; exit 3"];
        let process = client.kubelet_node_exec(&pod, "main", script, &ap).await?;
        let (stdout, stderr, status) = wait_with_output(process).await?;
        check_eq!((stdout.as_str(), stderr.as_str()), ("out\n", "err\n"));
        check_eq!(status.exit_code(), Some(3));

        let mut process = client.kubelet_node_attach(&pod, "main", &ap.stdin(true)).await?;
        let (mut input, mut output) =
            (process.stdin().context("stdin")?, process.stdout().context("stdout")?);
        input.write_all(b"hello").await?;
        input.flush().await?;
        let mut answer = [0; 5];
        output.read_exact(&mut answer).await?;
        check_eq!(&answer, b"hello");

        let mut forwarder = client.kubelet_node_portforward(&pod, &[80, 81]).await?;
        for port in [80, 81] {
            let mut stream = forwarder.take_stream(port).context("the stream of a requested port")?;
            stream.write_all(b"hello").await?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer).await?;
            check_eq!(&answer, b"hello");
        }

        let lp = LogParams { stream: Some(LogStream::Stderr), ..LogParams::default() };
        let logs = client.kubelet_node_logs(&pod, "main", &lp).await?;
        check_eq!(logs.lines().try_collect::<Vec<_>>().await?, ["stderr 1", "stderr 2"]);
    }
    Ok(())
}

async fn a_kubelet_refuses_the_administrators_certificate(env: Env) -> Outcome {
    let admin = env.cluster()?.client_certificate("admin", Some("system:masters"))?;
    let pod = KubeletDebugParams { name: "web", namespace: env.namespace(), pod_uid: None };
    let client = kubelet_client(&env, &admin).await?;
    let error = refused!(client.kubelet_node_exec(&pod, "main", ["true"], &AttachParams::default()).await);
    check!(matches!(error, kube_client::Error::Transport { .. }), "{error:?}");
    // The API server accepts the same certificate.
    check!(client_as(&env, certificate_auth(&admin)?)?.apiserver_version().await.is_ok());
    Ok(())
}
