//! The protocol `v4.channel.k8s.io` of port-forward: two channels for each port of the query, for data and for an error.
//!
//! The first message of each channel is the port as a little-endian number of 16 bits. The protocol has no message for
//! the end of a channel.

use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use futures::stream::SplitStream;
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, WriteHalf, split};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{IDLE_TIMEOUT, WebSocket};
use crate::containers::{ContainerError, PortConnection, new_port_connection};

/// The served subprotocols.
pub(crate) const PROTOCOLS: &[&str] = &["v4.channel.k8s.io", ""];

/// The maximum size of the data in one message to the client.
const MAX_DATA: usize = 32 * 1024;

/// Runs the handler of a test for each port, then closes the connection. `describe` is the text of an error.
pub(crate) async fn forward_channels<F, D>(socket: WebSocket, ports: Vec<u16>, handler: F, describe: D)
where
    F: Fn(u16, PortConnection) -> BoxFuture<'static, Result<(), ContainerError>>,
    D: Fn(u16, ContainerError) -> String,
{
    let (mut sink, received) = socket.split();
    let (frames, mut outgoing) = mpsc::channel::<Bytes>(1);
    let mut inputs = Vec::new();
    let mut forwards = Vec::new();
    for (index, port) in ports.into_iter().enumerate() {
        let Ok(channel) = u8::try_from(index * 2) else { break };
        let (connection, server) = new_port_connection();
        let (mut output, input) = split(server);
        inputs.push(Some(input));
        let (frames, describe, process) = (frames.clone(), &describe, handler(port, connection));
        forwards.push(async move {
            let number = port.to_le_bytes();
            for channel in [channel, channel + 1] {
                frames.send(frame(channel, &number)).await.ok()?;
            }
            let copy = async {
                let mut buffer = vec![0; MAX_DATA];
                while let Ok(n @ 1..) = output.read(&mut buffer).await {
                    frames.send(frame(channel, &buffer[..n])).await.ok()?;
                }
                Some(())
            };
            let (result, _) = futures::join!(process, copy);
            if let Err(error) = result {
                frames.send(frame(channel + 1, describe(port, error).as_bytes())).await.ok()?;
            }
            Some(())
        });
    }
    drop(frames);
    let send = async {
        while let Some(frame) = outgoing.recv().await {
            if !matches!(timeout(IDLE_TIMEOUT, sink.send(Message::Binary(frame))).await, Ok(Ok(()))) {
                return;
            }
        }
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        // An error means that the client has closed the connection.
        let _ = timeout(IDLE_TIMEOUT, sink.send(Message::Close(Some(frame)))).await;
    };
    let run = async {
        // `send` ends after all forwards, which own the senders of its channel.
        futures::join!(join_all(forwards), send);
    };
    tokio::select! {
        () = run => {}
        () = receive(received, inputs) => {}
    }
}

/// The message of a channel.
fn frame(channel: u8, data: &[u8]) -> Bytes {
    let mut message = Vec::with_capacity(data.len() + 1);
    message.push(channel);
    message.extend_from_slice(data);
    message.into()
}

/// Passes the data of the client to the connections of the ports, until the client closes the connection.
async fn receive(mut received: SplitStream<WebSocket>, mut inputs: Vec<Option<WriteHalf<DuplexStream>>>) {
    loop {
        let Ok(Some(Ok(message))) = timeout(IDLE_TIMEOUT, received.next()).await else { return };
        let data = match message {
            Message::Binary(data) => data,
            Message::Text(text) => Bytes::from(text),
            Message::Close(_) => return,
            _ => continue,
        };
        let Some((channel, data)) = data.split_first() else { continue };
        if channel % 2 != 0 {
            continue;
        }
        let Some(input) = inputs.get_mut(usize::from(channel / 2)) else { continue };
        if let Some(pipe) = input
            && pipe.write_all(data).await.is_err()
        {
            // The handler has dropped the connection.
            *input = None;
        }
    }
}
