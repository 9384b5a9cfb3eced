//! The protocol `v4.channel.k8s.io` of port-forward. Each port in the query of the request has two channels: one for
//! data, one for an error.
//!
//! The first message of each channel is the port as a little-endian number of 16 bits. The protocol has no message for
//! the end of a channel.

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::{BoxFuture, join_all};
use futures::stream::SplitStream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, WriteHalf, split};
use tokio::sync::mpsc;

use super::WebSocket;
use super::channels::{self, MAX_DATA, message};
use crate::containers::{ContainerError, PortConnection, new_port_connection};

/// The served subprotocols; `""` stands for a client that offers none.
pub(crate) const PROTOCOLS: &[&str] = &["v4.channel.k8s.io", ""];

/// Runs `handler` once for each port, then closes the connection. `handler` is the port-forward handler that
/// the test has set, or the default handler. `describe` returns the text of an error.
pub(crate) async fn forward_channels<F, D>(socket: WebSocket, ports: Vec<u16>, handler: F, describe: D)
where
    F: Fn(u16, PortConnection) -> BoxFuture<'static, Result<(), ContainerError>>,
    D: Fn(u16, ContainerError) -> String,
{
    let (mut sink, received) = socket.split();
    let (messages, mut outgoing) = mpsc::channel::<Bytes>(1);
    let mut inputs = Vec::new();
    let mut forwards = Vec::new();
    for (index, port) in ports.into_iter().enumerate() {
        let Ok(channel) = u8::try_from(index * 2) else { break };
        let (connection, server) = new_port_connection();
        let (mut output, input) = split(server);
        inputs.push(Some(input));
        let (messages, describe, process) = (messages.clone(), &describe, handler(port, connection));
        forwards.push(async move {
            let number = port.to_le_bytes();
            for channel in [channel, channel + 1] {
                messages.send(message(channel, &number)).await.ok()?;
            }
            let copy = async {
                let mut buffer = vec![0; MAX_DATA];
                while let Ok(n @ 1..) = output.read(&mut buffer).await {
                    messages.send(message(channel, &buffer[..n])).await.ok()?;
                }
                Some(())
            };
            let (result, _) = futures::join!(process, copy);
            if let Err(error) = result {
                messages.send(message(channel + 1, describe(port, error).as_bytes())).await.ok()?;
            }
            Some(())
        });
    }
    drop(messages);
    let send = async {
        while let Some(message) = outgoing.recv().await {
            if channels::send(&mut sink, message).await.is_err() {
                return;
            }
        }
        channels::close(&mut sink).await;
    };
    let run = async {
        // Only the futures in `forwards` own senders of `outgoing`. When all these futures have ended,
        // `outgoing` is closed, and `send` ends.
        futures::join!(join_all(forwards), send);
    };
    tokio::select! {
        () = run => {}
        () = forward_input(received, inputs) => {}
    }
}

/// Passes the data of the client to the handlers of the ports, until [`channels::receive`] returns `None`.
async fn forward_input(
    mut received: SplitStream<WebSocket>,
    mut inputs: Vec<Option<WriteHalf<DuplexStream>>>,
) {
    while let Some(data) = channels::receive(&mut received).await {
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
