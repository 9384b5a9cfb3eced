//! Programs that run commands in pods, attach to pods, and forward ports of pods.

use futures::SinkExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Attach, AttachParams, AttachedProcess, Execute, Portforward, PostParams, TerminalSize};
use kube::core::kubelet_debug::KubeletDebugParams;
use kube::{Api, Client, core::Request};
use kube_sim::{Sim, SimBuilder};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Starts a simulated cluster, creates the pod `web` on the node of the cluster, and returns the API for pods.
async fn create_web_pod(sim: SimBuilder) -> anyhow::Result<Api<Pod>> {
    let pods: Api<Pod> = Api::default_namespaced(Client::new(sim.nodes(1).build().service(), "default"));
    let pod = json!({
        "metadata": { "name": "web" },
        "spec": { "nodeName": "node-0", "containers": [{ "name": "main", "image": "web:1" }] },
    });
    pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    Ok(pods)
}

/// Reads the stdout of a process to its end. Fails if the process fails.
async fn read_output(mut attached: AttachedProcess) -> anyhow::Result<String> {
    let mut text = String::new();
    attached.stdout().unwrap().read_to_string(&mut text).await?;
    attached.join().await?;
    Ok(text)
}

/// Runs a shell command in an object of any kind that implements [`Execute`], and returns the stdout.
async fn run_command<K>(api: &Api<K>, name: &str, command: &str) -> anyhow::Result<String>
where
    K: Clone + DeserializeOwned + Execute,
{
    let ap = AttachParams::default().stderr(false);
    read_output(api.exec(name, vec!["sh", "-c", command], &ap).await?).await
}

#[tokio::test]
async fn a_command_runs_in_a_pod() -> anyhow::Result<()> {
    let sim = Sim::builder().on_exec(|request, mut streams| async move {
        let mut input = String::new();
        streams.stdin.read_to_string(&mut input).await?;
        streams.stdout.write_all(format!("{} {input}", request.command.join(" ")).as_bytes()).await?;
        streams.stderr.write_all(b"careful").await?;
        Ok(i32::from(input == "fail"))
    });
    let pods = create_web_pod(sim).await?;
    assert_eq!(run_command(&pods, "web", "date").await?, "sh -c date ");

    let ap = AttachParams { stdin: true, container: Some("main".to_string()), ..AttachParams::default() }
        .max_stdin_buf_size(1024)
        .max_stdout_buf_size(1024);
    let mut process = pods.exec("web", ["cat"], &ap).await?;
    let (mut stdin, mut stdout) = (process.stdin().unwrap(), process.stdout().unwrap());
    let status = process.take_status().unwrap();
    stdin.write_all(b"fail").await?;
    stdin.shutdown().await?;
    let (mut out, mut err) = (String::new(), String::new());
    stdout.read_to_string(&mut out).await?;
    process.stderr().unwrap().read_to_string(&mut err).await?;
    assert_eq!((out.as_str(), err.as_str()), ("cat fail", "careful"));
    let status = status.await.unwrap();
    assert!(status.is_failure());
    assert_eq!(status.reason, "NonZeroExitCode");
    process.join().await?;
    Ok(())
}

#[tokio::test]
async fn a_process_receives_the_size_of_its_terminal() -> anyhow::Result<()> {
    let sim = Sim::builder().on_exec(|request, mut streams| async move {
        let size = streams.terminal_sizes.next().await.ok_or("no size")?;
        let text = format!("{} {}x{}", request.tty, size.width, size.height);
        streams.stdout.write_all(text.as_bytes()).await?;
        Ok(0)
    });
    let ap = AttachParams::interactive_tty();
    let pods = create_web_pod(sim).await?;
    let mut process = pods.exec("web", vec!["top"], &ap).await?;
    process.terminal_size().unwrap().send(TerminalSize { width: 80, height: 24 }).await?;
    assert_eq!(read_output(process).await?, "true 80x24");
    Ok(())
}

/// Attaches to an object of any kind that implements [`Attach`], reads the first five bytes of the stdout, and ends the
/// connection.
async fn read_five_bytes<K: Clone + DeserializeOwned + Attach>(
    api: &Api<K>,
    name: &str,
) -> anyhow::Result<String> {
    let mut attached = api.attach(name, &AttachParams::default().stdin(false)).await?;
    let mut line = vec![0; 5];
    attached.stdout().unwrap().read_exact(&mut line).await?;
    attached.abort();
    Ok(String::from_utf8(line)?)
}

#[tokio::test]
async fn a_program_attaches_to_a_container() -> anyhow::Result<()> {
    let sim = Sim::builder().on_attach(|_, mut streams| async move {
        streams.stdout.write_all(b"ready").await?;
        // This handler never returns: the client ends the connection.
        streams.stdin.read_to_end(&mut Vec::new()).await?;
        std::future::pending().await
    });
    let pods = create_web_pod(sim).await?;
    assert_eq!(read_five_bytes(&pods, "web").await?, "ready");
    Ok(())
}

/// Sends text to a port, and returns the answer.
async fn ask<K: Clone + DeserializeOwned + Portforward>(
    api: &Api<K>,
    name: &str,
    port: u16,
    text: &str,
) -> anyhow::Result<String> {
    let mut forwarder = api.portforward(name, &[port]).await?;
    let mut stream = forwarder.take_stream(port).unwrap();
    assert!(forwarder.take_stream(port).is_none());
    let error = forwarder.take_error(port).unwrap();
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await?;
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer).await;
    drop(stream);
    if let Err(failed) = read {
        anyhow::bail!("{failed}: {}", error.await.unwrap_or_default());
    }
    forwarder.join().await?;
    Ok(answer)
}

#[tokio::test]
async fn a_port_is_forwarded() -> anyhow::Result<()> {
    let sim = Sim::builder().on_port_forward(|request, mut connection| async move {
        if request.port == 81 {
            return Err("nothing listens".into());
        }
        let mut text = String::new();
        connection.read_to_string(&mut text).await?;
        connection.write_all(text.to_uppercase().as_bytes()).await?;
        Ok(())
    });
    let pods = create_web_pod(sim).await?;
    assert_eq!(ask(&pods, "web", 80, "hello").await?, "HELLO");
    let error = ask(&pods, "web", 81, "hello").await.unwrap_err();
    assert!(error.to_string().contains("nothing listens"), "{error}");
    Ok(())
}

#[test]
fn requests_to_a_kubelet_are_built_without_a_client() -> anyhow::Result<()> {
    let params = KubeletDebugParams { name: "web", namespace: "default", pod_uid: None };
    let ap = AttachParams::default().stderr(false);
    let exec = Request::kubelet_node_exec(&params, "main", ["date"], &ap)?;
    assert_eq!(exec.uri().path(), "/exec/default/web/main");
    let forward = Request::kubelet_node_portforward(&params, &[80])?;
    assert_eq!(forward.uri().path(), "/portForward/default/web");
    Ok(())
}
