//! `Client::connect`: requests that switch an HTTP/1.1 connection to a WebSocket (RFC 6455).
//!
//! This module performs the handshake. It must not interpret the messages: `streams` does.

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::fmt;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::{client::generate_key, derive_accept_key},
        protocol::{Role, WebSocketConfig},
    },
};

use super::{Client, body::Body, long_running::is_upgrade, request_line::RequestLine, response};
use crate::error::{BoxError, Error, Result};

/// The maximum size in bytes of a received frame and of a received message. Servers send messages of at most 32 KiB.
const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// The maximum size in bytes of the WebSocket's write buffer. A message that does not fit into the buffer is an error. While
/// the buffer contains more than `WRITE_THRESHOLD_BYTES`, the WebSocket accepts no messages. Only the answers to pings then
/// enlarge the buffer.
const MAX_UNWRITTEN_BYTES: usize = 4 << 20;
/// A threshold for the size of the write buffer in bytes. If the buffer is larger, the WebSocket writes it to
/// the connection immediately, and does not wait for a flush.
const WRITE_THRESHOLD_BYTES: usize = 64 << 10;

/// A WebSocket subprotocol of Kubernetes. It defines the meaning of the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamProtocol {
    /// `v5.channel.k8s.io`: the first byte of a message is its channel, and a channel can be closed (KEP-4006).
    V5,
    /// `v4.channel.k8s.io`: the first byte of a message is its channel.
    V4,
    /// `SPDY/3.1+portforward.k8s.io`: messages contain the bytes of a SPDY/3.1 connection (KEP-4006).
    PortForward,
}

impl StreamProtocol {
    /// The name in `Sec-WebSocket-Protocol`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::V5 => "v5.channel.k8s.io",
            Self::V4 => "v4.channel.k8s.io",
            Self::PortForward => "SPDY/3.1+portforward.k8s.io",
        }
    }

    /// Whether one stream, such as stdin, can be closed while the other streams and the WebSocket remain open.
    pub const fn supports_stream_close(&self) -> bool {
        !matches!(self, Self::V4)
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::V5, Self::V4, Self::PortForward].into_iter().find(|protocol| protocol.as_str() == name)
    }
}

/// The reason that a successful response does not switch to a WebSocket. It is the source of the [`Error`] of
/// [`Client::connect`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeConnectionError {
    /// The status code is not 101 (`Switching Protocols`).
    #[error(
        "the server answered with {0} instead of 101: does a proxy or gateway on the way not support WebSockets?"
    )]
    ProtocolSwitch(StatusCode),
    /// The header `Upgrade` is missing, or is not `websocket`.
    #[error("the response has no header `Upgrade: websocket`")]
    MissingUpgradeWebSocketHeader,
    /// The header `Connection` is missing, or is not `Upgrade`.
    #[error("the response has no header `Connection: Upgrade`")]
    MissingConnectionUpgradeHeader,
    /// `Sec-WebSocket-Accept` is missing, or is not derived from the `Sec-WebSocket-Key` of the request.
    #[error("the header `Sec-WebSocket-Accept` of the response does not belong to the request")]
    SecWebSocketAcceptKeyMismatch,
    /// `Sec-WebSocket-Protocol` is missing, or is not a [`StreamProtocol`] that the request offers.
    #[error("the server selected none of the offered subprotocols ({0})")]
    SecWebSocketProtocolMismatch(String),
    /// The connection cannot be switched: it broke, or a custom service does not pass on hyper's `OnUpgrade`.
    #[error("the connection cannot be switched")]
    GetPendingUpgrade(#[source] BoxError),
}

/// A WebSocket, and the protocol of its messages.
pub struct Connection {
    stream: WebSocketStream<TokioIo<Upgraded>>,
    protocol: StreamProtocol,
    request_line: RequestLine,
}

impl Connection {
    /// The protocol that the server selected.
    pub fn protocol(&self) -> StreamProtocol {
        self.protocol
    }

    /// Whether one stream, such as stdin, can be closed while the other streams and the WebSocket remain open.
    pub fn supports_stream_close(&self) -> bool {
        self.protocol.supports_stream_close()
    }

    /// The WebSocket. It accepts frames and messages of at most 4 MiB, answers pings while it is read or written, and
    /// sends no pings.
    pub fn into_stream(self) -> WebSocketStream<TokioIo<Upgraded>> {
        self.stream
    }

    /// The method and path of the request, for error texts.
    pub(crate) fn request_line(&self) -> String {
        self.request_line.to_string()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

impl Client {
    /// Sends a request over a separate HTTP/1.1 connection, and switches this connection to a WebSocket.
    ///
    /// The request is a GET, such as [`Request::exec`](crate::core::Request::exec). This method adds the headers of the
    /// handshake. If the request has no `Sec-WebSocket-Protocol`, this method offers `v5.channel.k8s.io` and
    /// `v4.channel.k8s.io`. A request that may have taken effect is not retried.
    ///
    /// Use [`Api::exec`](crate::Api::exec), [`Api::attach`](crate::Api::attach) and
    /// [`Api::portforward`](crate::Api::portforward) unless you interpret the messages yourself.
    ///
    /// # Errors
    /// - [`Error::Api`] if the server rejects the request.
    /// - [`Error::Request`] if a header of the request cannot be used.
    /// - [`Error::Request`] with an [`UpgradeConnectionError`] as its source if the server does not switch to a WebSocket.
    /// - Another variant if no response arrives.
    ///
    /// # Cancel safety
    /// See [`Client`]. The server may already have started a command of `exec`.
    pub async fn connect(&self, request: Request<Vec<u8>>) -> Result<Connection> {
        let request_line = RequestLine::of(&request);
        let mut request = request.map(Body::from);
        let key = generate_key();
        let offered =
            add_handshake_headers(request.headers_mut(), &key).map_err(|source| Error::Request {
                what: format!("the headers of {request_line} cannot be used for a WebSocket"),
                source: Some(source),
            })?;
        let response = self.send(request).await?;
        let mut response = response::error_for_status(&request_line, response).await?;
        let refused = |error: UpgradeConnectionError| Error::Request {
            what: format!("the server does not switch {request_line} to a WebSocket"),
            source: Some(error.into()),
        };
        let protocol = check_response(&response, &key, &offered).map_err(refused)?;
        let upgraded = hyper::upgrade::on(&mut response)
            .await
            .map_err(|error| refused(UpgradeConnectionError::GetPendingUpgrade(error.into())))?;
        let config = WebSocketConfig::default()
            .write_buffer_size(WRITE_THRESHOLD_BYTES)
            .max_write_buffer_size(MAX_UNWRITTEN_BYTES)
            .max_frame_size(Some(MAX_MESSAGE_BYTES))
            .max_message_size(Some(MAX_MESSAGE_BYTES));
        let stream =
            WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, Some(config)).await;
        Ok(Connection { stream, protocol, request_line })
    }
}

/// Adds the headers of the handshake (RFC 6455, 4.1). Returns the offered subprotocols.
fn add_handshake_headers(headers: &mut HeaderMap, key: &str) -> Result<String, BoxError> {
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_str(key)?);
    if !headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
        // Both names are in one header: Kubernetes servers read only the first `Sec-WebSocket-Protocol`.
        let both = format!("{}, {}", StreamProtocol::V5.as_str(), StreamProtocol::V4.as_str());
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(&both)?);
    }
    Ok(headers[header::SEC_WEBSOCKET_PROTOCOL].to_str()?.to_owned())
}

/// Checks the server's part of the handshake (RFC 6455, 4.1). Returns the selected subprotocol.
fn check_response<B>(
    response: &Response<B>,
    key: &str,
    offered: &str,
) -> Result<StreamProtocol, UpgradeConnectionError> {
    use UpgradeConnectionError as Problem;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(Problem::ProtocolSwitch(response.status()));
    }
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if !header(header::UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case("websocket")) {
        return Err(Problem::MissingUpgradeWebSocketHeader);
    }
    if !is_upgrade(response.headers()) {
        return Err(Problem::MissingConnectionUpgradeHeader);
    }
    if header(header::SEC_WEBSOCKET_ACCEPT) != Some(derive_accept_key(key.as_bytes()).as_str()) {
        return Err(Problem::SecWebSocketAcceptKeyMismatch);
    }
    header(header::SEC_WEBSOCKET_PROTOCOL)
        .filter(|selected| offered.split(',').any(|name| name.trim() == *selected))
        .and_then(StreamProtocol::from_name)
        .ok_or_else(|| Problem::SecWebSocketProtocolMismatch(offered.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_response_must_complete_the_handshake() {
        let key = generate_key();
        let accept = derive_accept_key(key.as_bytes());
        let response = |changed: &str, value: &str| {
            let mut response = Response::builder().status(101);
            for (name, complete) in [
                ("upgrade", "WebSocket"),
                ("connection", "upgrade"),
                ("sec-websocket-accept", accept.as_str()),
                ("sec-websocket-protocol", "v5.channel.k8s.io"),
            ] {
                response = response.header(name, if name == changed { value } else { complete });
            }
            response.body(()).unwrap()
        };
        let check = |changed: &str, value: &str| {
            check_response(&response(changed, value), &key, "v5.channel.k8s.io, v4.channel.k8s.io")
                .map_err(|error| error.to_string())
        };
        assert_eq!(check("", ""), Ok(StreamProtocol::V5));
        assert_eq!(check("connection", "keep-alive, Upgrade"), Ok(StreamProtocol::V5));
        assert_eq!(check("sec-websocket-protocol", "v4.channel.k8s.io"), Ok(StreamProtocol::V4));
        for (name, part) in [
            ("upgrade", "`Upgrade: websocket`"),
            ("connection", "`Connection: Upgrade`"),
            ("sec-websocket-accept", "`Sec-WebSocket-Accept`"),
            ("sec-websocket-protocol", "v4.channel.k8s.io"),
        ] {
            let error = check(name, "other").unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        // This protocol is known, but the request did not offer it.
        assert!(check("sec-websocket-protocol", StreamProtocol::PortForward.as_str()).is_err());
        let mut success = response("", "");
        *success.status_mut() = StatusCode::OK;
        assert!(check_response(&success, &key, "").unwrap_err().to_string().contains("200 OK"));
    }
}
