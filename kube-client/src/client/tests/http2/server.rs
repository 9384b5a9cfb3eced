//! An HTTP/2 server over TLS. A handler responds to each request.

use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use http::{Request, Response};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    client::tests::server::{Authority, tls_acceptor},
    config::{Config, RetryPolicy},
};

/// The future of a handler.
pub(in crate::client::tests) type HandlerFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A request as an HTTP/2 server received it.
pub(in crate::client::tests) struct ReceivedRequest {
    /// The number of the connection, from 0.
    pub(in crate::client::tests) connection: u32,
    pub(in crate::client::tests) request: Request<RecvStream>,
    pub(in crate::client::tests) respond: SendResponse<Bytes>,
}

impl ReceivedRequest {
    /// Responds with the number of the connection, and with the method, URI and headers of the request.
    pub(in crate::client::tests) fn echo(mut self) {
        let (connection, request) = (self.connection, &self.request);
        let text = format!("{connection} {} {}\n{:?}", request.method(), request.uri(), request.headers());
        let mut body = self.respond.send_response(Response::new(()), false).unwrap();
        body.send_data(text.into(), true).unwrap();
    }

    /// Responds with the number of the connection, and keeps the body open until the client resets the stream.
    pub(in crate::client::tests) async fn hold_response(mut self) {
        let mut body = self.respond.send_response(Response::new(()), false).unwrap();
        body.send_data(self.connection.to_string().into(), false).unwrap();
        let _ = std::future::poll_fn(|cx| body.poll_reset(cx)).await;
    }
}

/// An HTTP/2 server over TLS. Dropping it closes its connections.
pub(in crate::client::tests) struct Http2Server {
    pub(in crate::client::tests) config: Config,
    /// The number of accepted connections.
    pub(in crate::client::tests) accepted: Arc<AtomicU32>,
    /// Receives one message per closed connection.
    pub(in crate::client::tests) closed: mpsc::UnboundedReceiver<()>,
    _tasks: JoinSet<()>,
}

/// Starts a server that accepts TLS connections. `serve` receives each connection and the number of the connection.
pub(in crate::client::tests) async fn start_server<F>(
    serve: impl Fn(TlsStream<TcpStream>, u32) -> F + Send + Sync + 'static,
) -> Http2Server
where
    F: Future<Output = ()> + Send + 'static,
{
    let authority = Authority::new("ca");
    let tls: TlsAcceptor = tls_acceptor(&authority.issue(&["127.0.0.1"], |_| {}), None, &[b"h2"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = Config::new(format!("https://{}", listener.local_addr().unwrap()).parse().unwrap());
    config.root_cert = Some(vec![authority.der()]);
    config.retry = RetryPolicy::never();
    let accepted = Arc::new(AtomicU32::new(0));
    let (counter, (on_close, closed)) = (accepted.clone(), mpsc::unbounded_channel());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let connection = counter.fetch_add(1, SeqCst);
            let Ok(stream) = tls.accept(stream).await else { continue };
            let (serving, on_close) = (serve(stream, connection), on_close.clone());
            connections.spawn(async move {
                serving.await;
                let _ = on_close.send(());
            });
        }
    });
    Http2Server { config, accepted, closed, _tasks: tasks }
}

/// Starts a server with at most `max_streams` concurrent streams per connection. It passes each request to `handler`.
pub(in crate::client::tests) async fn serve(
    max_streams: u32,
    handler: impl Fn(ReceivedRequest) -> HandlerFuture + Send + Sync + 'static,
) -> Http2Server {
    let handler = Arc::new(handler);
    start_server(move |stream, connection| serve_connection(stream, connection, max_streams, handler.clone()))
        .await
}

pub(in crate::client::tests) async fn serve_connection(
    stream: TlsStream<TcpStream>,
    connection: u32,
    max_streams: u32,
    handler: Arc<dyn Fn(ReceivedRequest) -> HandlerFuture + Send + Sync>,
) {
    let mut builder = h2::server::Builder::new();
    let Ok(mut http2) = builder.max_concurrent_streams(max_streams).handshake(stream).await else { return };
    let mut requests = JoinSet::new();
    while let Some(Ok((request, respond))) = http2.accept().await {
        requests.spawn(handler(ReceivedRequest { connection, request, respond }));
    }
}

/// Calls [`ReceivedRequest::hold_response`] for a watch, and [`ReceivedRequest::echo`] for any other request.
pub(in crate::client::tests) fn echo_or_hold(received: ReceivedRequest) -> HandlerFuture {
    Box::pin(async move {
        match received.request.uri().query() {
            Some(query) if query.contains("watch") => received.hold_response().await,
            _ => received.echo(),
        }
    })
}
