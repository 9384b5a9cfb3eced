//! The protocol of exec and attach, in the versions `v5.channel.k8s.io`, `v4.channel.k8s.io` and `channel.k8s.io`
//! (KEP-4006).
//!
//! The first byte of each binary message is the number of its channel. After the command, the server sends a `Status`.
//! Version 5 adds the message `[255, channel]`, which closes a channel. In version 1 (`channel.k8s.io`), the server sends
//! only the `message` field of the `Status`, and no status after a successful command.

use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::{SplitSink, SplitStream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::channels::{self, ConnectionClosed, MAX_DATA, close, message, send};
use super::{Offer, WebSocket};
use crate::containers::{Streams, TerminalSize, new_streams};
use crate::status::SimError;

/// The served subprotocols; `""` stands for a client that offers none.
const PROTOCOLS: &[&str] = &[V5, V4, V1, ""];
const V5: &str = "v5.channel.k8s.io";
const V4: &str = "v4.channel.k8s.io";
const V1: &str = "channel.k8s.io";

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// The time limit on the client's half of the closing handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// The streams that a client requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the fields of PodExecOptions")]
pub(crate) struct RequestedStreams {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    pub(crate) tty: bool,
}

/// Selects the subprotocol: version 5 if the client offers it, otherwise the client's first subprotocol that is served.
///
/// # Errors
/// 403 if none of the client's subprotocols is served.
pub(crate) fn select_command_protocol(offer: &Offer) -> Result<&'static str, SimError> {
    offer.select(&[V5]).or_else(|_| offer.select(PROTOCOLS))
}

/// Runs `handler` with the streams of a client. Then sends the status, and closes the connection. `handler` is
/// the exec or attach handler of the simulation. It stands for the process in the container.
pub(crate) async fn run_process<F>(
    socket: WebSocket,
    protocol: &'static str,
    requested: RequestedStreams,
    handler: F,
) where
    F: FnOnce(Streams) -> BoxFuture<'static, Result<i32, String>>,
{
    let (streams, server) = new_streams();
    let (mut sink, received) = socket.split();
    // This message tells the client that the command runs.
    let first = match requested {
        RequestedStreams { stdout: true, .. } => STDOUT,
        RequestedStreams { stderr: true, .. } => STDERR,
        _ => STATUS,
    };
    if send(&mut sink, message(first, &[])).await.is_err() {
        return;
    }
    let stdin = requested.stdin.then_some(server.stdin);
    let receive = handle_messages(received, protocol, stdin, server.terminal_sizes);
    let run = async {
        let stderr_channel = if requested.tty { STDOUT } else { STDERR };
        let outputs = [
            (requested.stdout.then_some(STDOUT), server.stdout),
            ((requested.stderr || requested.tty).then_some(stderr_channel), server.stderr),
        ];
        let process = async { Ok(handler(streams).await) };
        let Ok((result, ())) = futures::try_join!(process, forward_output(&mut sink, outputs)) else {
            return;
        };
        // With version 5, the API server translates between the client's WebSocket and the SPDY connection to
        // the kubelet. It adds a prefix to the kubelet's error.
        let result = result.map_err(|error| match protocol {
            V5 => format!("Internal error occurred: {error}"),
            _ => error,
        });
        let status = process_status(result);
        let text = match (protocol, status["message"].as_str()) {
            (V4 | V5, _) => status.to_string(),
            (_, message) => message.unwrap_or_default().to_owned(),
        };
        if text.is_empty() || send(&mut sink, message(STATUS, text.as_bytes())).await.is_ok() {
            close(&mut sink).await;
        }
    };
    tokio::pin!(receive);
    tokio::select! {
        // Wait for the client's half of the closing handshake. If the server dropped the connection before
        // that, the client would fail to write its half.
        () = run => drop(timeout(CLOSE_TIMEOUT, receive).await),
        // The client has closed the connection, has violated the protocol, or is idle: the command ends.
        () = &mut receive => {}
    }
}

/// Sends the outputs of the process until both have ended. Discards the bytes of an output without a channel.
async fn forward_output(
    sink: &mut SplitSink<WebSocket, Message>,
    [mut first, mut second]: [(Option<u8>, DuplexStream); 2],
) -> Result<(), ConnectionClosed> {
    let (mut first_open, mut second_open) = (true, true);
    let (mut first_data, mut second_data) = (vec![0; MAX_DATA], vec![0; MAX_DATA]);
    while first_open || second_open {
        let (channel, data) = tokio::select! {
            data = read_available(&mut first.1, &mut first_data), if first_open => {
                first_open = data.is_some();
                (first.0, data)
            }
            data = read_available(&mut second.1, &mut second_data), if second_open => {
                second_open = data.is_some();
                (second.0, data)
            }
        };
        if let (Some(channel), Some(data)) = (channel, data) {
            send(sink, message(channel, data)).await?;
        }
    }
    Ok(())
}

/// Reads the available bytes; `None` at the end of the stream.
async fn read_available<'a>(from: &mut (impl AsyncRead + Unpin), buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    match from.read(buffer).await {
        Ok(0) | Err(_) => None,
        Ok(n) => Some(&buffer[..n]),
    }
}

/// Handles messages until [`channels::receive`] returns `None`, or the client violates the protocol.
async fn handle_messages(
    mut received: SplitStream<WebSocket>,
    protocol: &str,
    mut stdin: Option<DuplexStream>,
    sizes: mpsc::Sender<TerminalSize>,
) {
    while let Some(data) = channels::receive(&mut received).await {
        match data.as_ref() {
            [CLOSE, rest @ ..] if protocol == V5 => match rest {
                [STDIN] => stdin = None,
                [STDOUT..=RESIZE] => {}
                _ => return,
            },
            [STDIN, data @ ..] => {
                if let Some(pipe) = &mut stdin
                    && pipe.write_all(data).await.is_err()
                {
                    // The process has closed its input.
                    stdin = None;
                }
            }
            [RESIZE, data @ ..] => {
                if let Ok(size) = serde_json::from_slice::<ResizeMessage>(data) {
                    // The queue `sizes` is bounded: if the handler does not read it, later sizes are dropped.
                    let _ = sizes.try_send(TerminalSize::new(size.width, size.height));
                }
            }
            // As in the API server, an empty message and data for other channels are ignored.
            _ => {}
        }
    }
}

/// A message of the channel `RESIZE`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResizeMessage {
    width: u16,
    height: u16,
}

/// The `Status` of a finished process.
fn process_status(result: Result<i32, String>) -> Value {
    match result {
        Ok(0) => json!({"metadata": {}, "status": "Success"}),
        Ok(code) => json!({
            "metadata": {},
            "status": "Failure",
            "message": format!("command terminated with non-zero exit code: exit status {code}"),
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        Err(error) => json!({
                "metadata": {},
                "status": "Failure",
                "message": format!("Internal error occurred: {error}"),
                "reason": "InternalError",
                "details": {"causes": [{"message": error}]},
                "code": 500,
        }),
    }
}
