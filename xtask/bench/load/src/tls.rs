//! The listener over TLS, for HTTP/2 and HTTP/1.1. It sends the same bodies over both protocols, so that two
//! measurements (rows of the bench's table) that differ only in the protocol transfer the same data.
//!
//! All responses are JSON. A watch of pods over TLS receives only bookmarks. A watch of another kind receives nothing.
//! All watches end when the session ends.

use std::convert::Infallible;
use std::future::{pending, ready};
use std::io;
use std::net::TcpListener;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use futures::stream;
use http::{Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::format::Format;
use crate::pod_changes::LIST_VERSION;
use crate::serve::{ApiRequest, Query, Server};
use crate::session::Session;

/// The maximum number of concurrent streams of an HTTP/2 connection, as in kube-apiserver.
const MAX_STREAMS: u32 = 100;
/// The pause between two bookmarks of a watch.
const BOOKMARK_PAUSE: Duration = Duration::from_secs(1);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Serves all connections forever, with a new self-signed certificate.
///
/// # Errors
/// If the certificate or the runtime cannot be created, or a connection cannot be accepted.
pub(crate) fn serve(server: &Arc<Server>, listener: TcpListener) -> io::Result<()> {
    let acceptor = acceptor()?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        for number in 0.. {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (server, acceptor) = (server.clone(), acceptor.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service =
                    service_fn(move |request| ready(Ok::<_, Infallible>(respond(&server, number, &request))));
                let mut builder = auto::Builder::new(TokioExecutor::new());
                builder.http2().max_concurrent_streams(MAX_STREAMS);
                // A contender closes its connections at the end of a run, even in the middle of a response.
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
        Ok(())
    })
}

/// Creates a TLS acceptor for HTTP/2 and HTTP/1.1, with a new self-signed certificate.
fn acceptor() -> io::Result<TlsAcceptor> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).map_err(io::Error::other)?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(io::Error::other)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .map_err(io::Error::other)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The response to a request for Kubernetes objects. `connection` is the number of the connection that carries the request.
fn respond(server: &Server, connection: u64, request: &Request<Incoming>) -> Response<Body> {
    let query = Query(request.uri().query().unwrap_or_default());
    let mut path = request.uri().path().trim_start_matches('/').split('/');
    let session = server.session(path.next().unwrap_or_default());
    session.record_connection(connection);
    let path: Vec<_> = path.collect();
    if query.get("watch").is_some_and(|watch| watch != "false") {
        return watch_response(&session, path.last() == Some(&"pods"));
    }
    let mut out = Vec::new();
    // Writing to memory cannot fail.
    let request = ApiRequest { path: &path, query, format: Format::Json };
    let _ = server.handle_api(&mut out, &session, &request);
    convert_response(out)
}

/// The response to a watch request. The response ends when the session ends. A watch of pods receives a bookmark at its
/// start and after each [`BOOKMARK_PAUSE`]. A watch of another kind receives nothing.
fn watch_response(session: &Session, is_of_pods: bool) -> Response<Body> {
    let bookmark = format!(
        r#"{{"type":"BOOKMARK","object":{{"kind":"Pod","apiVersion":"v1","metadata":{{"resourceVersion":"{LIST_VERSION}","creationTimestamp":null}}}}}}"#
    );
    let bookmark = Bytes::from(bookmark + "\n");
    let ticks = is_of_pods.then(|| tokio::time::interval(BOOKMARK_PAUSE));
    let frames = stream::unfold((session.end_receiver(), ticks), move |(mut over, mut ticks)| {
        let bookmark = bookmark.clone();
        async move {
            let is_over = {
                let tick = pin!(async {
                    match &mut ticks {
                        Some(ticks) => drop(ticks.tick().await),
                        None => pending().await,
                    }
                });
                let ended = pin!(over.wait_for(|is_over| *is_over));
                matches!(select(ended, tick).await, Either::Left(_))
            };
            (!is_over).then(|| (Ok::<_, Infallible>(Frame::data(bookmark)), (over, ticks)))
        }
    });
    json_response(StatusCode::OK, StreamBody::new(frames).boxed_unsync())
}

/// Converts the bytes of an HTTP/1.1 response with `Content-Length` to a [`Response`].
fn convert_response(response: Vec<u8>) -> Response<Body> {
    let code = response.get(9..12).and_then(|code| StatusCode::from_bytes(code).ok());
    let head =
        response.windows(4).position(|window| window == b"\r\n\r\n").map_or(response.len(), |at| at + 4);
    let body = Full::new(Bytes::from(response).slice(head..));
    json_response(code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), body.boxed_unsync())
}

fn json_response(code: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_and_the_body_are_converted() {
        let response = convert_response(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}".to_vec());
        assert_eq!(response.status(), 404);
        assert_eq!(http_body::Body::size_hint(response.body()).exact(), Some(2));
    }
}
