//! One HTTP/1.1 request over a new TLS connection.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{Either, select};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::{Endpoint, RESPONSE_LIMIT, tls};

/// Sends `review` to `url` on the server `endpoint`. Returns the status code and the body of the response.
///
/// # Errors
/// The error text, if the connection or the handshake fails, or if the response breaks off or is too large.
pub(super) async fn send(
    endpoint: &Endpoint,
    url: &str,
    review: &Value,
) -> Result<(StatusCode, Bytes), String> {
    let request = build_request(endpoint, url, review)?;
    let stream = connect(endpoint).await?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|e| error_text(&e))?;
    let exchange = pin!(async move {
        let response = sender.send_request(request).await.map_err(|e| error_text(&e))?;
        read_response(response).await
    });
    // The connection may end before the exchange has read all received bytes.
    match select(exchange, pin!(connection)).await {
        Either::Left((result, _)) => result,
        Either::Right((_, exchange)) => exchange.await,
    }
}

fn build_request(endpoint: &Endpoint, url: &str, review: &Value) -> Result<Request<Full<Bytes>>, String> {
    let target = url.parse::<http::Uri>().map_err(|e| format!("parse {url:?}: {e}"))?;
    let path = target.path_and_query().map_or("/", |path| path.as_str());
    let authority = endpoint.uri.authority().map_or_else(String::new, ToString::to_string);
    Request::post(path)
        .header(header::HOST, authority)
        .header(header::ACCEPT, "application/json, */*")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, "kube-apiserver-admission")
        .body(Full::new(Bytes::from(review.to_string())))
        .map_err(|e| e.to_string())
}

async fn connect(endpoint: &Endpoint) -> Result<TlsStream<TcpStream>, String> {
    let config = tls::config(&endpoint.authorities)?;
    let stream = match &endpoint.backend {
        Some((host, port)) => dial_host(host, *port).await?,
        None => dial_host(endpoint.host(), endpoint.port()).await?,
    };
    // TCP_NODELAY sends small requests without delay. An error is ignored, because the connection also works without
    // this option.
    let _ = stream.set_nodelay(true);
    let host = endpoint.host().to_owned();
    let name =
        ServerName::try_from(host.clone()).map_err(|_| format!("{host:?} is not the name of a server"))?;
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await.map_err(|e| tls::error_text(&e))
}

/// Tries the addresses of the host in order, until one accepts the connection.
async fn dial_host(host: &str, port: u16) -> Result<TcpStream, String> {
    let unknown = || format!("dial tcp: lookup {host}: no such host");
    let addresses = tokio::net::lookup_host((host, port)).await.map_err(|_| unknown())?;
    let mut failure = None;
    for address in addresses {
        match dial(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    Err(failure.unwrap_or_else(unknown))
}

async fn dial(address: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(address).await.map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
            io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
            io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
            _ => error.to_string(),
        };
        format!("dial tcp {address}: connect: {why}")
    })
}

async fn read_response(response: http::Response<Incoming>) -> Result<(StatusCode, Bytes), String> {
    let (parts, body) = response.into_parts();
    match Limited::new(body, RESPONSE_LIMIT).collect().await {
        Ok(body) => Ok((parts.status, body.to_bytes())),
        Err(e) if e.is::<LengthLimitError>() => {
            Err(format!("the response is larger than {RESPONSE_LIMIT} bytes"))
        }
        Err(e) => Err(e.downcast_ref::<hyper::Error>().map_or_else(|| e.to_string(), error_text)),
    }
}

fn error_text(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_closed() {
        return "EOF".to_owned();
    }
    error.to_string()
}
