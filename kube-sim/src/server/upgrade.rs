//! The upgrade of connections to WebSocket (RFC 6455).

use std::error::Error;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Limited};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::body::SimBody;
use super::service::{BODY_LIMIT, SimService};
use super::{Protocol, serve_connection};
use crate::handler::reply::{Content, Reply};
use crate::status::SimError;
use crate::streams::{self, Offer, Session};

/// The capacity in bytes of the pipe to a client in the same process.
const PIPE_CAPACITY: usize = 64 * 1024;

/// Whether a request is for an upgrade to WebSocket.
pub(super) fn is_requested(headers: &HeaderMap) -> bool {
    let has = |name: HeaderName, wanted: &str| {
        let values = headers.get_all(name);
        values
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|item| item.trim().eq_ignore_ascii_case(wanted)))
    };
    has(header::UPGRADE, "websocket") && has(header::CONNECTION, "upgrade")
}

/// The subprotocols that a request for an upgrade offers; `None` if the request is not for an upgrade.
pub(super) fn read_offer(headers: &HeaderMap) -> Option<Offer> {
    is_requested(headers).then(|| Offer {
        protocols: headers
            .get_all(header::SEC_WEBSOCKET_PROTOCOL)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect(),
        has_origin: headers.contains_key(header::ORIGIN),
    })
}

/// If the reply is an upgrade, returns the headers of the response and the session of the reply. Replaces the reply with
/// an error if the request is not a valid WebSocket handshake.
pub(super) fn take_session(reply: &mut Reply, request: &HeaderMap) -> Option<(HeaderMap, Session)> {
    if !matches!(reply.content, Content::Upgrade(_)) {
        return None;
    }
    let Content::Upgrade(upgrade) = std::mem::replace(&mut reply.content, Content::Whole(Bytes::new()))
    else {
        return None;
    };
    let key = request.get(header::SEC_WEBSOCKET_KEY);
    let version = request.get(header::SEC_WEBSOCKET_VERSION).and_then(|value| value.to_str().ok());
    let (Some(key), Some("13")) = (key, version) else {
        let message =
            "unable to upgrade: the handshake needs Sec-WebSocket-Key, and Sec-WebSocket-Version 13";
        *reply = Reply::error(&SimError::bad_request(message));
        return None;
    };
    reply.code = StatusCode::SWITCHING_PROTOCOLS;
    let mut headers = HeaderMap::new();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if !upgrade.protocol.is_empty() {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(upgrade.protocol));
    }
    Some((headers, upgrade.session))
}

/// Runs a session on a connection as soon as the response is sent.
pub(super) async fn run_session(upgrade: OnUpgrade, session: Session) {
    match upgrade.await {
        Ok(connection) => session(streams::accept_web_socket(Box::new(TokioIo::new(connection))).await).await,
        Err(error) => tracing::debug!(%error, "the connection was not upgraded"),
    }
}

/// Handles a request for an upgrade from a client in the same process. Sends the request with HTTP/1.1 over a pipe, so
/// that the client gets the connection from `hyper::upgrade::on`, as after a request over a network.
pub(super) async fn respond_in_process<B>(service: SimService, request: Request<B>) -> Response<SimBody>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    match send_over_pipe(service, request).await {
        Ok(response) => response,
        Err(error) => {
            let error = SimError::bad_request(format!("the upgrade in the process failed: {error}"));
            let mut response = Response::new(SimBody::new(Reply::error(&error).content, None, None));
            *response.status_mut() = error.code();
            response
        }
    }
}

async fn send_over_pipe<B>(
    service: SimService,
    request: Request<B>,
) -> Result<Response<SimBody>, Box<dyn Error + Send + Sync>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (client, server) = tokio::io::duplex(PIPE_CAPACITY);
    // Nothing has to abort the two tasks below: they stop when the client's side of the pipe is dropped.
    // A response 101 contains this side.
    tokio::spawn(serve_connection(server, Protocol::Http1, service, None));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(client)).await?;
    tokio::spawn(connection.with_upgrades());
    let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        Bytes::new()
    } else {
        Limited::new(body, BODY_LIMIT).collect().await?.to_bytes()
    };
    Ok(Response::from_parts(parts, SimBody::new(Content::Whole(body), None, None)))
}
