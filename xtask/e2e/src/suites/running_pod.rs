//! Helpers of the suites that use processes, logs or ports of a pod: a running pod, an `Api` whose client
//! offers only the WebSocket subprotocol `v4.channel.k8s.io`, and functions that read the outputs of a
//! process.

use std::time::Duration;

use anyhow::Context;
use http::{HeaderValue, Request, header};
use k8s_openapi::api::core::v1::Pod;
use kube_client::api::{AttachedProcess, PostParams};
use kube_client::client::{Body, ClientBuilder};
use kube_client::core::Status;
use kube_client::{Api, Client};
use kube_runtime::wait::{await_condition_within, conditions};
use tokio::io::{AsyncRead, AsyncReadExt};
use tower::util::MapRequestLayer;

use crate::env::Env;
use crate::failure::Outcome;
use crate::support::pod;

/// Creates the pod `web`, and waits until the pod runs. Needs [`Processes`](crate::case::Need::Processes).
pub(super) async fn create_running_pod(env: &Env) -> Outcome<Api<Pod>> {
    env.wait_until_pods_can_be_created().await?;
    let pods: Api<Pod> = env.api();
    pods.create(&PostParams::default(), &pod("web")?).await?;
    await_condition_within(pods.clone(), "web", conditions::is_pod_running(), Duration::from_secs(60))
        .await?;
    Ok(pods)
}

/// An `Api` whose streams offer only `v4.channel.k8s.io`. The server therefore uses this protocol, as servers before
/// Kubernetes 1.30 do.
pub(super) fn api_with_old_protocol(env: &Env) -> Outcome<Api<Pod>> {
    let layer = MapRequestLayer::new(|mut request: Request<Body>| {
        let headers = request.headers_mut();
        if headers.contains_key(header::UPGRADE) {
            let protocol = HeaderValue::from_static("v4.channel.k8s.io");
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        request
    });
    let client: Client = ClientBuilder::try_from(env.config())?.with_layer(&layer).build();
    Ok(Api::namespaced(client, env.namespace()))
}

/// Reads an output to its end, as text.
pub(super) async fn read_text(output: Option<impl AsyncRead + Unpin>) -> Outcome<String> {
    let mut text = String::new();
    output.context("the output was not requested")?.read_to_string(&mut text).await?;
    Ok(text)
}

/// Reads stdout and stderr of a process to the end, and waits for the final status of the process.
pub(super) async fn wait_with_output(mut process: AttachedProcess) -> Outcome<(String, String, Status)> {
    let status = process.take_status().context("the status was taken before")?;
    let (stdout, stderr) = (process.stdout(), process.stderr());
    let (stdout, stderr) = tokio::try_join!(read_text(stdout), read_text(stderr))?;
    process.join().await?;
    Ok((stdout, stderr, status.await.context("the server has sent no status")?))
}
