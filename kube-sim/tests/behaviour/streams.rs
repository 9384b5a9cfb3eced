//! Tests of exec, attach, port-forward and watches over WebSocket, and of logs. The client runs in the same process.

use crate::common;
use crate::common::{PODS, config_map, get, pod, post};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use kube_sim::containers::{AttachRequest, ExecRequest};
use kube_sim::{Sim, SimError};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Sends a WebSocket request. Returns the connection and the selected subprotocol, or the `Status` of the response.
async fn try_connect(sim: &Sim, path: &str, protocols: &str) -> Result<(Socket, String), Value> {
    let mut request = Request::get(path)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("origin", "http://localhost");
    if !protocols.is_empty() {
        request = request.header("sec-websocket-protocol", protocols);
    }
    let request = request.body(Full::<Bytes>::default()).unwrap();
    let response = tower::ServiceExt::oneshot(sim.service(), request).await.unwrap();
    if response.status() != 101 {
        let body = response.into_body().collect().await.unwrap().to_bytes();
        return Err(serde_json::from_slice(&body).unwrap());
    }
    assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let protocol = response.headers().get("sec-websocket-protocol");
    let protocol = protocol.map_or("", |p| p.to_str().unwrap()).to_owned();
    let upgraded = hyper::upgrade::on(response).await.unwrap();
    Ok((WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await, protocol))
}

async fn connect(sim: &Sim, path: &str, protocols: &str) -> (Socket, String) {
    try_connect(sim, path, protocols).await.unwrap_or_else(|status| panic!("{status}"))
}

/// Reads all messages until the server closes the connection. Returns the data of each channel.
async fn read_channels(socket: &mut Socket) -> Vec<Vec<u8>> {
    let mut channels = vec![Vec::new(); 5];
    let mut code = None;
    while let Some(message) = socket.next().await {
        match message.unwrap() {
            Message::Binary(data) => channels[usize::from(data[0])].extend_from_slice(&data[1..]),
            Message::Close(frame) => code = frame.map(|f| u16::from(f.code)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(code, Some(1000));
    channels
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn parse_status(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// Builds a simulation with a node, and creates the pod `p` on this node.
async fn sim_with_pod(builder: kube_sim::SimBuilder) -> Sim {
    let sim = builder.nodes(1).build();
    let mut running = pod("p");
    running["spec"]["nodeName"] = "node-0".into();
    post(&sim, PODS, running).await.ok();
    sim
}

fn exec_path(options: &str, command: &[&str]) -> String {
    let mut path = format!("{PODS}/p/exec?{options}");
    for word in command {
        path.push_str("&command=");
        path.extend(form_urlencoded::byte_serialize(word.as_bytes()));
    }
    path
}

#[tokio::test]
async fn exec_sends_output_and_exit_code() {
    let sim = sim_with_pod(Sim::builder()).await;
    let path = exec_path("stdout=true&stderr=true", &["sh", "-c", "echo out; echo err >&2; exit 3"]);
    let (mut socket, protocol) = connect(&sim, &path, "v4.channel.k8s.io, v5.channel.k8s.io").await;
    assert_eq!(protocol, "v5.channel.k8s.io");
    let channels = read_channels(&mut socket).await;
    assert_eq!((text(&channels[1]), text(&channels[2])), ("out\n", "err\n"));
    let status = parse_status(&channels[3]);
    assert_eq!(status["status"], "Failure");
    assert_eq!(status["reason"], "NonZeroExitCode");
    assert_eq!(status["details"]["causes"], json!([{"reason": "ExitCode", "message": "3"}]));
}

#[tokio::test]
async fn only_version_5_of_the_protocol_can_close_the_input() {
    let sim = sim_with_pod(Sim::builder()).await;
    let path = exec_path("stdin=true&stdout=true", &["cat"]);
    let (mut socket, _) = connect(&sim, &path, "v5.channel.k8s.io").await;
    for message in [&b"\x00hello"[..], b"\xff\x00"] {
        socket.send(Message::Binary(Bytes::copy_from_slice(message))).await.unwrap();
    }
    let channels = read_channels(&mut socket).await;
    assert_eq!(text(&channels[1]), "hello");
    assert_eq!(parse_status(&channels[3]), json!({"metadata": {}, "status": "Success"}));

    let (mut socket, protocol) = connect(&sim, &path, "v4.channel.k8s.io").await;
    assert_eq!(protocol, "v4.channel.k8s.io");
    // The message `ff 00` closes the input in version 5. In version 4, the message is data for the unknown channel 255.
    for message in [&b"\xff\x00"[..], b"\x00hello"] {
        socket.send(Message::Binary(Bytes::copy_from_slice(message))).await.unwrap();
    }
    let mut received = Vec::new();
    while received != b"hello" {
        let Some(Ok(Message::Binary(data))) = socket.next().await else { panic!("the connection ended") };
        assert_eq!(data[0], 1);
        received.extend_from_slice(&data[1..]);
    }
}

#[tokio::test]
async fn exec_transfers_input_and_output_that_are_larger_than_its_buffers() {
    let sim = sim_with_pod(Sim::builder()).await;
    let path = exec_path("stdin=true&stdout=true", &["cat"]);
    let (socket, _) = connect(&sim, &path, "v5.channel.k8s.io").await;
    let (mut sink, mut stream) = socket.split();
    let input: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let send = async {
        for part in input.chunks(30_000) {
            sink.send(Message::Binary([&[0], part].concat().into())).await.unwrap();
        }
        sink.send(Message::Binary(Bytes::from_static(&[255, 0]))).await.unwrap();
    };
    let receive = async {
        let mut received = Vec::new();
        while let Some(Ok(Message::Binary(data))) = stream.next().await {
            if data[0] == 1 {
                received.extend_from_slice(&data[1..]);
            }
        }
        received
    };
    let ((), received) = futures::join!(send, receive);
    assert!(received == input, "{} of {} bytes", received.len(), input.len());
}

#[tokio::test]
async fn an_exec_handler_receives_the_request_and_the_terminal_sizes_and_can_fail() {
    let builder = Sim::builder().on_exec(|request: ExecRequest, mut streams| async move {
        assert_eq!((request.pod.as_str(), request.container.as_str(), request.tty), ("p", "main", true));
        let size = streams.terminal_sizes.next().await.unwrap();
        streams.stdout.write_all(format!("{}x{}", size.width, size.height).as_bytes()).await?;
        streams.stderr.write_all(b"!").await?;
        Err("the disk is full".into())
    });
    let sim = sim_with_pod(builder).await;
    let path = exec_path("stdin=true&stdout=true&stderr=true&tty=true", &["top"]);
    let (mut socket, _) = connect(&sim, &path, "v5.channel.k8s.io").await;
    let resize = Bytes::from_static(b"\x04{\"Width\":80,\"Height\":24}");
    socket.send(Message::Binary(resize)).await.unwrap();
    let channels = read_channels(&mut socket).await;
    let mut output = text(&channels[1]).to_owned();
    output.retain(|c| c != '!');
    assert_eq!((output.as_str(), channels[1].len(), channels[2].len()), ("80x24", 6, 0));
    let status = parse_status(&channels[3]);
    assert_eq!(status["reason"], "InternalError");
    assert!(status["message"].as_str().unwrap().ends_with("in container: the disk is full"), "{status}");
}

#[tokio::test]
async fn an_exec_handler_ends_when_the_client_closes_the_connection() {
    struct SignalOnDrop(tokio::sync::mpsc::UnboundedSender<()>);
    impl Drop for SignalOnDrop {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    let (sender, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let builder = Sim::builder().on_exec(move |_, _| {
        let running = SignalOnDrop(sender.clone());
        async move {
            let _running = running;
            std::future::pending().await
        }
    });
    let sim = sim_with_pod(builder).await;
    let (mut socket, _) = connect(&sim, &exec_path("stdout=true", &["x"]), "v5.channel.k8s.io").await;
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Binary(Bytes::from_static(&[1])));
    drop(socket);
    ended.recv().await.unwrap();
}

#[tokio::test]
async fn attach_echoes_its_input() {
    let sim = sim_with_pod(Sim::builder()).await;
    let path = format!("{PODS}/p/attach?stdin=true&stdout=true&container=main");
    let (mut socket, _) = connect(&sim, &path, "v5.channel.k8s.io").await;
    for message in [&b"\x00hello"[..], b"\xff\x00"] {
        socket.send(Message::Binary(Bytes::copy_from_slice(message))).await.unwrap();
    }
    assert_eq!(text(&read_channels(&mut socket).await[1]), "hello");

    let builder = Sim::builder().on_attach(|request: AttachRequest, mut streams| async move {
        streams.stdout.write_all(request.container.as_bytes()).await?;
        Ok(())
    });
    let sim = sim_with_pod(builder).await;
    let (mut socket, _) = connect(&sim, &format!("{PODS}/p/attach?stdout=true"), "v4.channel.k8s.io").await;
    assert_eq!(text(&read_channels(&mut socket).await[1]), "main");
}

#[tokio::test]
async fn requests_that_cannot_be_upgraded_are_refused() {
    let sim = sim_with_pod(Sim::builder()).await;
    post(&sim, PODS, pod("waiting")).await.ok();
    let path = exec_path("stdout=true", &["true"]);
    let message = get(&sim, &path).await.fails(400, "BadRequest");
    assert!(message.starts_with("Upgrade request required"), "{message}");
    for (path, protocols, code, part) in [
        (path.as_str(), "v9.channel.k8s.io", 403, "v9.channel.k8s.io"),
        (&exec_path("stdout=false", &["true"]), "v5.channel.k8s.io", 400, "at least 1 of stdin"),
        (
            &exec_path("stdout=true&container=no", &["true"]),
            "v5.channel.k8s.io",
            400,
            "container no is not valid",
        ),
        (&path.replace("/p/", "/waiting/"), "v5.channel.k8s.io", 400, "does not have a host assigned"),
        (&path.replace("/p/", "/missing/"), "v5.channel.k8s.io", 404, "\"missing\" not found"),
        (&format!("{PODS}/p/portforward"), "v4.channel.k8s.io", 400, "\"ports\" is required"),
        (&format!("{PODS}/p/portforward?ports=0"), "v4.channel.k8s.io", 400, "\"0\" as a port"),
    ] {
        let status =
            try_connect(&sim, path, protocols).await.err().unwrap_or_else(|| panic!("{path} is served"));
        assert_eq!(status["code"], code, "{status}");
        assert!(status["message"].as_str().unwrap().contains(part), "{status}");
    }
}

#[tokio::test]
async fn each_forwarded_port_has_a_data_channel_and_an_error_channel() {
    let builder = Sim::builder().on_port_forward(|request, mut connection| async move {
        if request.port == 81 {
            return Err("refused".into());
        }
        let mut word = [0; 4];
        connection.read_exact(&mut word).await?;
        connection.write_all(&word).await?;
        Ok(())
    });
    let sim = sim_with_pod(builder).await;
    let path = format!("{PODS}/p/portforward?ports=80,81&ports=82");
    let (mut socket, protocol) = connect(&sim, &path, "v4.channel.k8s.io").await;
    assert_eq!(protocol, "v4.channel.k8s.io");
    for message in [&b"\x00ping"[..], b"\x04pong"] {
        socket.send(Message::Binary(Bytes::copy_from_slice(message))).await.unwrap();
    }
    let mut channels = vec![Vec::new(); 6];
    while let Some(Ok(Message::Binary(data))) = socket.next().await {
        channels[usize::from(data[0])].extend_from_slice(&data[1..]);
    }
    let port = |channel: usize| channels[channel][0];
    assert_eq!([0, 1, 2, 3, 4, 5].map(port), [80, 80, 81, 81, 82, 82]);
    assert_eq!((text(&channels[0][2..]), text(&channels[4][2..])), ("ping", "pong"));
    assert!(text(&channels[3][2..]).starts_with("error forwarding port 81 to pod p, uid "), "{channels:?}");
    assert!(text(&channels[3][2..]).ends_with(": refused"));
}

#[tokio::test]
async fn a_watch_over_websocket_sends_each_event_as_a_message() {
    let sim = Sim::new();
    let path = "/api/v1/namespaces/default/configmaps?watch=true&timeoutSeconds=1";
    let (mut socket, protocol) = connect(&sim, path, "").await;
    assert_eq!(protocol, "");
    post(&sim, common::CONFIG_MAPS, config_map("a")).await.ok();
    let Some(Ok(Message::Text(event))) = socket.next().await else { panic!("no event") };
    let event: Value = serde_json::from_str(event.as_str()).unwrap();
    assert_eq!((&event["type"], &event["object"]["metadata"]["name"]), (&json!("ADDED"), &json!("a")));
    let end = socket.next().await;
    assert!(matches!(end, Some(Ok(Message::Close(_)))), "{end:?}");
}

#[tokio::test]
async fn logs_are_sent_as_the_handler_produces_them() {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
    let receiver = std::sync::Mutex::new(Some(receiver));
    let builder = Sim::builder().on_logs(move |request| {
        if request.previous {
            return Err(SimError::new(http::StatusCode::BAD_REQUEST, "BadRequest", "no previous container"));
        }
        let receiver = receiver.lock().unwrap().take();
        Ok(futures::stream::unfold(receiver, |receiver| async {
            let mut receiver = receiver?;
            Some((receiver.recv().await?, Some(receiver)))
        }))
    });
    let sim = sim_with_pod(builder).await;
    let message = get(&sim, &format!("{PODS}/p/log?previous=true")).await.fails(400, "BadRequest");
    assert_eq!(message, "no previous container");
    let request =
        Request::get(format!("{PODS}/p/log?follow=true&limitBytes=5")).body(Full::<Bytes>::default());
    let response = tower::ServiceExt::oneshot(sim.service(), request.unwrap()).await.unwrap();
    let mut body = response.into_body();
    for (line, expected) in [("abc", "abc"), ("defg", "de")] {
        sender.send(Bytes::from(line)).unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), expected);
    }
    assert!(body.frame().await.is_none());
}
