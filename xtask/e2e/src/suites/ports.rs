//! Forwarded ports: concurrent connections over one WebSocket, half-close and errors. One case uses the older WebSocket
//! subprotocol `v4.channel.k8s.io`.

use std::io::ErrorKind;

use anyhow::Context;
use kube_client::api::{ForwardedStream, Portforwarder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::running_pod::{api_with_old_protocol, create_running_pod};
use crate::case::suite;
use crate::env::Env;
use crate::failure::{Outcome, check, check_eq, refused};

suite!("ports":
    connections_to_two_ports_run_concurrently [Processes],
    a_pod_can_answer_after_the_end_of_the_input [Processes],
    a_refused_port_fails_only_its_own_connection [Processes],
    ports_are_forwarded_over_the_subprotocol_v4 [Processes],
);

/// A port of the pod that refuses connections.
const REFUSED_PORT: u16 = 1;
/// A port of the pod. The port echoes its input after the end of the input. The other ports, except [`REFUSED_PORT`], echo
/// each message when it arrives.
const ECHO_AT_END_PORT: u16 = 2;

/// Sends `text`, and checks that the pod sends the same bytes back.
async fn check_echo(stream: &mut ForwardedStream, text: &str) -> Outcome {
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).await?;
    check_eq!(String::from_utf8_lossy(&answer), text);
    Ok(())
}

/// Ends the input, and reads the rest of the answer.
async fn finish(mut stream: ForwardedStream) -> Outcome<Vec<u8>> {
    stream.shutdown().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

async fn connections_to_two_ports_run_concurrently(env: Env) -> Outcome {
    let pods = create_running_pod(&env).await?;
    let mut forwarder: Portforwarder = pods.portforward("web", &[80, 81]).await?;
    let mut streams = Vec::new();
    for port in [80, 81] {
        streams.push(forwarder.take_stream(port).context("the stream of a requested port")?);
        check!(forwarder.take_stream(port).is_none());
    }
    // The case opens further connections, one of them to a port that the request did not name.
    for port in [80, 80, 81, 82] {
        streams.push(forwarder.connect(port).await?);
    }
    for round in 0..3 {
        for (index, stream) in streams.iter_mut().enumerate() {
            check_echo(stream, &format!("round {round} of connection {index}\n")).await?;
        }
    }
    // A closed connection does not affect the others.
    drop(streams.swap_remove(0));
    let large: Vec<u8> = (0..1 << 20).map(|n: u32| n.to_le_bytes()[n as usize % 3]).collect();
    let (mut reader, mut writer) = tokio::io::split(streams.swap_remove(0));
    let mut copy = vec![0; large.len()];
    let written = async {
        writer.write_all(&large).await?;
        writer.shutdown().await
    };
    tokio::try_join!(written, reader.read_exact(&mut copy))?;
    check!(copy == large);
    check_eq!(reader.read(&mut [0]).await?, 0);
    for mut stream in streams {
        check_echo(&mut stream, "last").await?;
        check_eq!(finish(stream).await?, b"");
    }
    drop((reader, writer));
    forwarder.join().await?;
    Ok(())
}

async fn a_pod_can_answer_after_the_end_of_the_input(env: Env) -> Outcome {
    let pods = create_running_pod(&env).await?;
    let forwarder = pods.portforward("web", &[ECHO_AT_END_PORT]).await?;
    let (mut first, mut second) =
        (forwarder.connect(ECHO_AT_END_PORT).await?, forwarder.connect(ECHO_AT_END_PORT).await?);
    second.write_all(b"second").await?;
    first.write_all(b"first").await?;
    check_eq!(finish(first).await?, b"first");
    check_eq!(finish(second).await?, b"second");
    forwarder.join().await?;
    Ok(())
}

async fn a_refused_port_fails_only_its_own_connection(env: Env) -> Outcome {
    let pods = create_running_pod(&env).await?;
    let mut forwarder = pods.portforward("web", &[REFUSED_PORT, 80]).await?;
    let error = forwarder.take_error(REFUSED_PORT).context("the error of a requested port")?;
    let mut refused = forwarder.take_stream(REFUSED_PORT).context("the stream of a requested port")?;
    let failure = refused!(refused.read_u8().await);
    check!(failure.to_string().contains("connection refused"), "{failure}");
    check!(error.await.is_some_and(|error| error.contains("connection refused")));
    check_echo(&mut forwarder.take_stream(80).context("the stream of the other port")?, "hello").await?;
    check!(refused!(pods.portforward("missing", &[80]).await).is_not_found());
    Ok(())
}

async fn ports_are_forwarded_over_the_subprotocol_v4(env: Env) -> Outcome {
    create_running_pod(&env).await?;
    let mut forwarder = api_with_old_protocol(&env)?.portforward("web", &[80, 81, REFUSED_PORT]).await?;
    let mut streams = Vec::new();
    for port in [80, 81] {
        streams.push(forwarder.take_stream(port).context("the stream of a requested port")?);
    }
    for stream in &mut streams {
        check_echo(stream, "hello").await?;
        // This protocol has no half-close.
        check!(stream.shutdown().await.is_err_and(|error| error.kind() == ErrorKind::Unsupported));
    }
    let mut stream = forwarder.take_stream(REFUSED_PORT).context("the stream of a requested port")?;
    let failure = refused!(stream.read_u8().await);
    check!(failure.to_string().contains("connection refused"), "{failure}");
    check!(refused!(forwarder.connect(80).await).to_string().contains("port 80"));
    Ok(())
}
