//! Exec, attach, logs and port-forward, against the handlers of a simulated server.

use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube_client::api::{AttachParams, LogParams};
use kube_client::{Api, Client};
use kube_sim::{Sim, SimBuilder};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The API of the pods in a simulation. The simulation has the pod `web`, which is on a node.
fn pods(builder: SimBuilder) -> Api<Pod> {
    let sim = builder.nodes(1).build();
    sim.create(&json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
        "spec": {"nodeName": "node-0", "containers": [{"name": "main", "image": "web:1"}]},
    }))
    .unwrap();
    Api::default_namespaced(Client::new(sim.service(), "default"))
}

#[tokio::test]
async fn exec_passes_input_and_output_and_the_exit_code() {
    let pods = pods(Sim::builder().on_exec(|request, mut streams| async move {
        assert_eq!((request.container.as_str(), request.command.join(" ")), ("main", "greet -l en".into()));
        let mut name = String::new();
        streams.stdin.read_to_string(&mut name).await?;
        streams.stdout.write_all(format!("hello {name}").as_bytes()).await?;
        streams.stderr.write_all(b"no locale").await?;
        Ok(3)
    }));
    let params = AttachParams::default().stdin(true);
    let mut process = pods.exec("web", ["greet", "-l", "en"], &params).await.unwrap();
    let mut stdin = process.stdin().unwrap();
    stdin.write_all(b"ada").await.unwrap();
    stdin.shutdown().await.unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    process.stdout().unwrap().read_to_string(&mut out).await.unwrap();
    process.stderr().unwrap().read_to_string(&mut err).await.unwrap();
    assert_eq!((out.as_str(), err.as_str()), ("hello ada", "no locale"));
    let status = process.take_status().unwrap().await.unwrap();
    assert_eq!(status.exit_code(), Some(3));
}

#[tokio::test]
async fn attach_ends_when_the_process_ends() {
    let pods = pods(Sim::builder().on_attach(|request, mut streams| async move {
        streams.stdout.write_all(request.container.as_bytes()).await?;
        Ok(())
    }));
    let mut process = pods.attach("web", &AttachParams::default()).await.unwrap();
    let mut out = String::new();
    process.stdout().unwrap().read_to_string(&mut out).await.unwrap();
    assert_eq!(out, "main");
    process.join().await.unwrap();
}

#[tokio::test]
async fn a_followed_log_arrives_line_by_line() {
    let (sender, receiver) = tokio::sync::broadcast::channel(4);
    let pods = pods(Sim::builder().on_logs(move |request| {
        assert!(request.follow && request.tail_lines == Some(1));
        let lines = receiver.resubscribe();
        Ok(futures::stream::unfold(lines, |mut lines| async move { Some((lines.recv().await.ok()?, lines)) }))
    }));
    let params = LogParams { follow: true, tail_lines: Some(1), ..LogParams::default() };
    let mut lines = pods.log_stream("web", &params).await.unwrap().lines();
    for line in ["started", "ready"] {
        sender.send(format!("{line}\n").into()).unwrap();
        assert_eq!(lines.try_next().await.unwrap().unwrap(), line);
    }
    drop(sender);
    assert_eq!(lines.try_next().await.unwrap(), None);
}

#[tokio::test]
async fn each_connection_to_a_forwarded_port_is_independent() {
    let pods = pods(Sim::builder().on_port_forward(|request, mut connection| async move {
        if request.port == 81 {
            return Err("connection refused".into());
        }
        let mut text = String::new();
        connection.read_to_string(&mut text).await?;
        connection.write_all(format!("{}: {text}", request.port).as_bytes()).await?;
        Ok(())
    }));
    let mut forwarder = pods.portforward("web", &[80, 81]).await.unwrap();
    let first = forwarder.take_stream(80).unwrap();
    let second = forwarder.connect(80).await.unwrap();
    for (mut connection, text) in [(first, "a"), (second, "b")] {
        connection.write_all(text.as_bytes()).await.unwrap();
        connection.shutdown().await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, format!("80: {text}"));
    }
    // The forwarder opens the first connection to a port when `take_stream` is called.
    let mut refused = forwarder.take_stream(81).unwrap();
    let failure = refused.read_to_string(&mut String::new()).await.unwrap_err();
    assert!(failure.to_string().ends_with("connection refused"), "{failure}");
    let error = forwarder.take_error(81).unwrap().await.unwrap();
    assert!(error.ends_with("connection refused"), "{error}");
}
