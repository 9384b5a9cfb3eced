//! A server that accepts one connection, performs the handshake of a WebSocket, and passes the connection to a test.

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use std::future::Future;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

use crate::{Api, Client, Config};

/// Reads the head of a request.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// The value of a header. `name` ends with a colon, and is in lower case, as the client writes it.
fn header<'a>(head: &'a str, name: &str) -> &'a str {
    head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name} in {head}")).trim()
}

/// Starts a server that reads the head of one request. The server passes the head and the connection to `respond`. Returns
/// the API of the server's pods, and the task of the server.
pub(super) async fn serve_request<F, R>(respond: F) -> (Api<Pod>, JoinHandle<()>)
where
    F: FnOnce(String, TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = read_head(&mut stream).await;
        respond(head, stream).await;
    });
    let config = Config::new(format!("http://{address}").parse().unwrap());
    (Api::namespaced(Client::try_from(config).unwrap(), "web"), server)
}

/// As [`serve_request`], but accepts the handshake with `protocol`, and passes only the connection to `respond`.
pub(super) async fn serve_tcp<F, R>(protocol: &'static str, respond: F) -> (Api<Pod>, JoinHandle<()>)
where
    F: FnOnce(TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    serve_request(move |head, mut stream| async move {
        assert!(header(&head, "sec-websocket-protocol:").split(',').any(|name| name.trim() == protocol));
        let accept = derive_accept_key(header(&head, "sec-websocket-key:").as_bytes());
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
        );
        stream.write_all(response.as_bytes()).await.unwrap();
        respond(stream).await;
    })
    .await
}

/// The server's side of a WebSocket.
pub(super) struct Socket(pub(super) WebSocketStream<TcpStream>);

impl Socket {
    /// Sends a binary message.
    pub(super) async fn send(&mut self, message: impl AsRef<[u8]>) {
        self.0.send(Message::Binary(Bytes::copy_from_slice(message.as_ref()))).await.unwrap();
    }

    /// The next binary message; `None` at the end of the WebSocket.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            match self.0.next().await? {
                Ok(Message::Binary(bytes)) => return Some(bytes),
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                _ => return None,
            }
        }
    }

    /// Sends the result of the process, and closes the WebSocket.
    pub(super) async fn finish(mut self, status: &str) {
        self.send([b"\x03", status.as_bytes()].concat()).await;
        let _ = self.0.close(None).await;
        while self.next().await.is_some() {}
    }
}

/// As [`serve_tcp`], but passes the WebSocket to `respond`.
pub(super) async fn serve_websocket<F, R>(protocol: &'static str, respond: F) -> (Api<Pod>, JoinHandle<()>)
where
    F: FnOnce(Socket) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    serve_tcp(protocol, |stream| async move {
        respond(Socket(WebSocketStream::from_raw_socket(stream, Role::Server, None).await)).await;
    })
    .await
}
