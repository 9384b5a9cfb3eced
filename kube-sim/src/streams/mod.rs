//! Connections that a client upgrades to WebSocket: exec, attach, port-forward, watches and logs.
//!
//! A handler answers an upgrade request with an [`Upgrade`]: the negotiated subprotocol and a [`Session`]. The server
//! sends the response and runs the session on the upgraded connection. A session can run a handler that a test has
//! set. Dropping the future of the session also drops the future of that handler.

mod channels;
mod messages;
mod port_channels;
mod remote_command;
mod spdy;
mod tunnel;

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::status::SimError;

pub(crate) use messages::send_messages;
pub(crate) use port_channels::{PROTOCOLS as PORT_CHANNEL_PROTOCOLS, forward_channels};
pub(crate) use remote_command::{RequestedStreams, run_process, select_command_protocol};
pub(crate) use tunnel::{PROTOCOLS as TUNNEL_PROTOCOLS, forward_tunnel};

/// The time within which the client must read a message. For exec, attach and port-forward, the client must also send
/// its next message within this time. After this time, the connection ends, as in a kubelet.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4 * 3600);

/// Maximum size of a message from the client in bytes.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// The byte stream of a connection after the response 101 (Switching Protocols).
pub(crate) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// A WebSocket connection to a client.
pub(crate) type WebSocket = WebSocketStream<Box<dyn Connection>>;

/// The function that communicates over an upgraded connection until its end.
pub(crate) type Session = Box<dyn FnOnce(WebSocket) -> BoxFuture<'static, ()> + Send>;

/// Begins the WebSocket protocol on an upgraded connection.
pub(crate) async fn accept_web_socket(connection: Box<dyn Connection>) -> WebSocket {
    let config =
        WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    WebSocketStream::from_raw_socket(connection, Role::Server, Some(config)).await
}

/// The subprotocols that an upgrade request offers, and whether the request has the header `Origin`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offer {
    /// The WebSocket subprotocols in the order of the client.
    pub(crate) protocols: Vec<String>,
    /// Whether the request has the header `Origin`.
    pub(crate) has_origin: bool,
}

impl Offer {
    /// Selects the client's first subprotocol that `served` contains. If the client offers no subprotocol, selects `""`
    /// if `served` contains `""`.
    ///
    /// # Errors
    /// 403 if the client offers subprotocols, and `served` contains none of them. Also 403 if the client offers no
    /// subprotocol, and `served` does not contain `""`.
    pub(crate) fn select(&self, served: &[&'static str]) -> Result<&'static str, SimError> {
        let mut offered: Vec<&str> = self.protocols.iter().map(String::as_str).collect();
        if offered.is_empty() {
            offered.push("");
        }
        let found = offered.iter().find_map(|name| served.iter().find(|known| *known == name));
        found.copied().ok_or_else(|| {
            let message = format!(
                "requested protocol(s) are not supported: [{}]; supports [{}]",
                offered.join(" "),
                served.join(" ")
            );
            SimError::new(StatusCode::FORBIDDEN, "Forbidden", message)
        })
    }
}

/// The response to an upgrade request.
pub(crate) struct Upgrade {
    /// The subprotocol; empty for none.
    pub(crate) protocol: &'static str,
    pub(crate) session: Session,
}

impl Upgrade {
    /// A response with this subprotocol. Converts `session` into a [`Session`], which is a boxed function
    /// that returns a boxed future.
    pub(crate) fn new<F, R>(protocol: &'static str, session: F) -> Self
    where
        F: FnOnce(WebSocket) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self { protocol, session: Box::new(move |socket| Box::pin(session(socket))) }
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}
