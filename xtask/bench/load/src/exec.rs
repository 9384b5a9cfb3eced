//! The mock API server's response to an exec request, over a WebSocket with the protocol `v5.channel.k8s.io`. No
//! process runs: the server sends the block of `stream_data` repeatedly as standard output, or compares the
//! standard input with repetitions of the same block and reports the number of bytes.

use std::io::{self, BufReader, Write};
use std::net::TcpStream;

use bytes::Bytes;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Message, WebSocket};

use crate::http::{WebSocketOffer, respond};
use crate::serve::Query;
use crate::stream_data::{BLOCK_LEN, MIB, StreamChecker, data_block};

/// The only protocol that this server accepts: earlier protocols cannot close the standard input.
const PROTOCOL: &str = "v5.channel.k8s.io";

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
/// The channel of the final `Status`. The `Status` reports success or failure.
const ERROR: u8 = 3;
/// The channel whose messages close another channel. The data of such a message is the number of the closed channel.
const CLOSE: u8 = 255;

/// Accepts the WebSocket, simulates the command of the query, and closes the connection. A client that does not offer
/// [`PROTOCOL`] receives the status 400.
pub(crate) fn run(
    mut reader: BufReader<TcpStream>,
    offer: &WebSocketOffer,
    query: &Query<'_>,
) -> io::Result<()> {
    let stream = reader.get_mut();
    if !offer.protocols.iter().any(|protocol| protocol == PROTOCOL) {
        return respond(stream, "400 Bad Request", &[b"the client does not offer ", PROTOCOL.as_bytes()]);
    }
    let accept = derive_accept_key(offer.key.as_bytes());
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n"
    )?;
    let received = reader.buffer().to_vec();
    let mut socket = WebSocket::from_partially_read(reader.into_inner(), received, Role::Server, None);
    let commands: Vec<_> = query.all_values("command").collect();
    let status = match commands.as_slice() {
        ["send", mib] => send_output(&mut socket, mib),
        ["receive"] => receive_input(&mut socket),
        other => Ok(failure_status(&format!("no such command: {other:?}"))),
    };
    let ended = status.and_then(|status| {
        socket.send(channel_message(ERROR, status.as_bytes()))?;
        socket.close(None)?;
        // Wait for the client's close frame.
        while socket.read().is_ok() {}
        Ok(())
    });
    ended.map_err(io::Error::other)
}

type StatusResult = tokio_tungstenite::tungstenite::Result<String>;

/// Sends `mib` MiB as standard output.
fn send_output(socket: &mut WebSocket<TcpStream>, mib: &str) -> StatusResult {
    let Ok(mib) = mib.parse::<usize>() else {
        return Ok(failure_status("the number of MiB is not a number"));
    };
    let block = Bytes::from([&[STDOUT], data_block().as_slice()].concat());
    for _ in 0..mib * MIB / BLOCK_LEN {
        socket.write(Message::Binary(block.clone()))?;
    }
    Ok(success_status())
}

/// Reads the standard input to its end, and sends the number of its bytes as standard output. Returns a failure
/// status if the standard input does not consist of repetitions of the block.
fn receive_input(socket: &mut WebSocket<TcpStream>) -> StatusResult {
    let mut checker = StreamChecker::default();
    loop {
        let Message::Binary(data) = socket.read()? else { continue };
        match data.split_first() {
            Some((&STDIN, data)) if checker.check_next(data) => {}
            Some((&STDIN, _)) => return Ok(failure_status("other data arrived than the client should send")),
            Some((&CLOSE, [STDIN])) => break,
            _ => {}
        }
    }
    socket.write(channel_message(STDOUT, checker.compared_bytes().to_string().as_bytes()))?;
    Ok(success_status())
}

fn channel_message(channel: u8, data: &[u8]) -> Message {
    Message::binary([&[channel], data].concat())
}

fn success_status() -> String {
    r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"}"#.to_owned()
}

fn failure_status(message: &str) -> String {
    format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":{message:?},"reason":"InternalError","code":500}}"#
    )
}
