//! Tests of responses of a broken or hostile server: each leads to a typed error that names the request, after a
//! bounded number of bytes and a bounded time.

use flate2::{Compression, write::GzEncoder};
use futures::{StreamExt, TryStreamExt, future::BoxFuture};
use http::Request;
use k8s_openapi::api::core::v1::ConfigMap;
use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::http2::server::{ReceivedRequest, serve};
use super::server::{Authority, Server};
use crate::{
    api::Api,
    client::Client,
    config::{Config, RetryPolicy},
    core::{ListParams, WatchParams},
    error::{Error, TransportKind, Wait},
};

/// The time limit of each step of a test.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);
/// The maximum size of an object in these tests, in bytes.
const MAX_OBJECT_BYTES: usize = 1 << 20;
/// The maximum number of bytes that a server can write before the client closes the connection: `MAX_OBJECT_BYTES`,
/// and the buffers of both sockets.
const MAX_WRITTEN_BYTES: usize = 16 << 20;

/// The input of the client: what a server sends as a response.
enum Input {
    /// The server sends these bytes, and then closes the connection.
    Bytes(Vec<u8>),
    /// The server sends the first value once, and then repeats the second value until the client disconnects.
    Endless(&'static [u8], &'static [u8]),
    /// The server sends these bytes, and then keeps the connection open.
    Stalled(&'static [u8]),
}

/// The part of an [`Error`] that the tests compare.
#[derive(Debug, PartialEq)]
enum ErrorClass {
    Api(u16),
    Decode,
    Timeout(Wait),
    Transport(TransportKind),
    Other,
}

fn error_class(error: &Error) -> ErrorClass {
    match error {
        Error::Api(status) => ErrorClass::Api(status.code),
        Error::Decode { .. } => ErrorClass::Decode,
        Error::Timeout { wait, .. } => ErrorClass::Timeout(*wait),
        Error::Transport { kind, .. } => ErrorClass::Transport(*kind),
        _ => ErrorClass::Other,
    }
}

/// `config` without retries, and with small limits on the size of objects and on the wait for a chunk of a body.
fn with_small_limits(mut config: Config) -> Config {
    config.retry = RetryPolicy::never();
    config.max_object_bytes = MAX_OBJECT_BYTES;
    config.read_timeout = Some(Duration::from_millis(100));
    config
}

/// Sends a request to a server that answers with `input`. Returns the error of the request, and the number of bytes
/// that the server has repeated (0 without [`Input::Endless`]).
async fn send_to_bad_server<F>(name: &str, input: Input, request: F) -> (Error, usize)
where
    F: FnOnce(Client) -> BoxFuture<'static, Result<(), Error>>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
    let client = Client::try_from(with_small_limits(config)).unwrap();
    let written = Arc::new(AtomicUsize::new(0));
    let counter = written.clone();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
        match input {
            Input::Bytes(bytes) => stream.write_all(&bytes).await.unwrap(),
            Input::Endless(first, rest) => {
                stream.write_all(first).await.unwrap();
                while stream.write_all(rest).await.is_ok() {
                    counter.fetch_add(rest.len(), SeqCst);
                }
            }
            Input::Stalled(bytes) => {
                stream.write_all(bytes).await.unwrap();
                read_to_end(&mut stream).await;
            }
        }
    });
    let error = timeout(TEST_TIMEOUT, request(client)).await.expect(name).unwrap_err();
    timeout(TEST_TIMEOUT, server).await.expect(name).unwrap();
    (error, written.load(SeqCst))
}

async fn read_to_end(stream: &mut TcpStream) {
    while stream.read(&mut [0; 4096]).await.unwrap_or(0) > 0 {}
}

fn get(client: Client) -> BoxFuture<'static, Result<(), Error>> {
    Box::pin(async move { Api::<ConfigMap>::default_namespaced(client).get("a").await.map(drop) })
}

fn list(client: Client) -> BoxFuture<'static, Result<(), Error>> {
    Box::pin(async move {
        let api = Api::<ConfigMap>::default_namespaced(client);
        api.list(&ListParams::default()).await.map(drop)
    })
}

/// Reads a watch up to its first error.
fn watch(client: Client) -> BoxFuture<'static, Result<(), Error>> {
    Box::pin(async move {
        let api = Api::<ConfigMap>::default_namespaced(client);
        let events = api.watch(&WatchParams::default(), "0").await?;
        events.boxed().try_for_each(|_| std::future::ready(Ok(()))).await
    })
}

/// A response without `Content-Length`: the body ends when the server closes the connection.
macro_rules! ok_response {
    ($body:expr) => {
        concat!("HTTP/1.1 200 OK\r\n\r\n", $body).as_bytes()
    };
}

/// A response with a small gzip body that decompresses to more than 64 MiB.
fn compression_bomb() -> Vec<u8> {
    let mut response = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n".to_vec();
    let mut encoder = GzEncoder::new(&mut response, Compression::best());
    encoder.write_all(br#"{"metadata":{"name":""#).unwrap();
    for _ in 0..64 {
        encoder.write_all(&vec![b'x'; 1 << 20]).unwrap();
    }
    encoder.finish().unwrap();
    response
}

#[tokio::test]
async fn each_bad_response_to_a_get_causes_a_short_error_that_names_the_request() {
    let broken = || ErrorClass::Transport(TransportKind::Broken);
    for (name, input, expected) in [
        (
            "endless headers",
            Input::Endless(b"HTTP/1.1 200 OK\r\n", b"x: aaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"),
            broken(),
        ),
        ("an endless header", Input::Endless(b"HTTP/1.1 200 OK\r\nx: ", &[b'a'; 4096]), broken()),
        ("no HTTP", Input::Bytes(b"SSH-2.0-x\r\n".to_vec()), broken()),
        ("half a head", Input::Bytes(b"HTTP/1.1 200 OK\r\ncontent-".to_vec()), broken()),
        (
            "an endless object",
            Input::Endless(ok_response!(r#"{"metadata":{"name":""#), &[b'x'; 16384]),
            ErrorClass::Decode,
        ),
        (
            "an announced gigabyte",
            Input::Stalled(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n{"),
            ErrorClass::Decode,
        ),
        (
            "a truncated body",
            Input::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec()),
            broken(),
        ),
        (
            "half a chunk",
            Input::Bytes(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{".to_vec()),
            broken(),
        ),
        (
            "a chunk of a false length",
            Input::Bytes(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec()),
            broken(),
        ),
        ("a compression bomb", Input::Bytes(compression_bomb()), ErrorClass::Decode),
        (
            "no gzip",
            Input::Bytes(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n{}".to_vec()),
            ErrorClass::Decode,
        ),
        (
            "invalid UTF-8",
            Input::Bytes(b"HTTP/1.1 200 OK\r\n\r\n{\"metadata\":{\"name\":\"\xff\"}}".to_vec()),
            ErrorClass::Decode,
        ),
        ("HTML", Input::Bytes(ok_response!("<html>").to_vec()), ErrorClass::Decode),
        (
            "a redirect",
            Input::Bytes(
                b"HTTP/1.1 302 Found\r\nlocation: http://10.0.0.1/\r\ncontent-length: 0\r\n\r\n".to_vec(),
            ),
            ErrorClass::Api(302),
        ),
        (
            "500 with HTML",
            Input::Bytes(b"HTTP/1.1 500 Oops\r\n\r\n<html><h1>Oops</h1></html>".to_vec()),
            ErrorClass::Api(500),
        ),
        ("an endless 500", Input::Endless(b"HTTP/1.1 500 Oops\r\n\r\n", &[b'<'; 4096]), ErrorClass::Api(500)),
        (
            "a stalled body",
            Input::Stalled(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"),
            ErrorClass::Timeout(Wait::Body),
        ),
    ] {
        let (error, written) = send_to_bad_server(name, input, get).await;
        assert_eq!(error_class(&error), expected, "{name}: {error:?}");
        let text = error.to_string();
        assert!(
            text.contains("GET ") && text.contains("/api/v1/namespaces/default/configmaps/a"),
            "{name}: {text}"
        );
        assert!(text.len() < 1000 && written < MAX_WRITTEN_BYTES, "{name}: {written} {text}");
    }
}

#[tokio::test]
async fn each_bad_list_or_watch_response_causes_a_short_error_that_names_the_request() {
    let item = r#"{"kind":"ConfigMapList","apiVersion":"v1","metadata":{},"items":[{"metadata":{"name":""#;
    let item: &'static [u8] =
        Box::leak(format!("HTTP/1.1 200 OK\r\n\r\n{item}").into_bytes().into_boxed_slice());
    let event = ok_response!(r#"{"type":"ADDED","object":{"metadata":{"name":""#);
    for (name, input, request, expected) in [
        ("an endless item", Input::Endless(item, &[b'x'; 16384]), list as fn(_) -> _, ErrorClass::Decode),
        ("endless white space", Input::Endless(ok_response!("{"), &[b' '; 16384]), list, ErrorClass::Decode),
        ("a truncated list", Input::Bytes(item.to_vec()), list, ErrorClass::Transport(TransportKind::Broken)),
        ("an endless event", Input::Endless(event, &[b'x'; 16384]), watch, ErrorClass::Decode),
        ("an endless line", Input::Endless(ok_response!("x"), &[b'x'; 16384]), watch, ErrorClass::Decode),
        (
            "nesting",
            Input::Endless(ok_response!(r#"{"type":"ADDED","object":"#), &[b'['; 16384]),
            watch,
            ErrorClass::Decode,
        ),
        ("half an event", Input::Bytes(event.to_vec()), watch, ErrorClass::Transport(TransportKind::Broken)),
        (
            "invalid UTF-8",
            Input::Bytes(b"HTTP/1.1 200 OK\r\n\r\n\xff\xfe\n".to_vec()),
            watch,
            ErrorClass::Decode,
        ),
        ("HTML", Input::Bytes(ok_response!("<html>").to_vec()), list, ErrorClass::Decode),
        ("a compressed endless item", Input::Bytes(compression_bomb()), list, ErrorClass::Decode),
        (
            "a redirect",
            Input::Bytes(b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n".to_vec()),
            watch,
            ErrorClass::Api(302),
        ),
        (
            "a stalled list",
            Input::Stalled(ok_response!("{\"items\":[")),
            list,
            ErrorClass::Timeout(Wait::Body),
        ),
    ] {
        let (error, written) = send_to_bad_server(name, input, request).await;
        assert_eq!(error_class(&error), expected, "{name}: {error:?}");
        let text = error.to_string();
        assert!(
            text.contains("GET ") && text.contains("/api/v1/namespaces/default/configmaps"),
            "{name}: {text}"
        );
        assert!(text.len() < 1000 && written < MAX_WRITTEN_BYTES, "{name}: {written} {text}");
    }
}

#[tokio::test]
async fn each_bad_http2_response_causes_an_error_that_names_the_request() {
    /// A handler that sends a bad response.
    type BadHandler = fn(ReceivedRequest) -> BoxFuture<'static, ()>;
    let broken = || ErrorClass::Transport(TransportKind::Broken);
    let rows: [(&str, BadHandler, ErrorClass); 4] = [
        (
            "a huge head",
            |mut received| {
                Box::pin(async move {
                    let mut response = http::Response::new(());
                    for number in 0..200 {
                        let name = http::HeaderName::try_from(format!("x-{number}")).unwrap();
                        response.headers_mut().insert(name, "a".repeat(1000).parse().unwrap());
                    }
                    let _ = received.respond.send_response(response, true);
                })
            },
            broken(),
        ),
        (
            "a reset in the body",
            |mut received| {
                Box::pin(async move {
                    let mut body = received.respond.send_response(http::Response::new(()), false).unwrap();
                    body.send_data("{".into(), false).unwrap();
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    body.send_reset(h2::Reason::CANCEL);
                })
            },
            broken(),
        ),
        ("a stalled body", |received| Box::pin(received.hold_response()), ErrorClass::Timeout(Wait::Body)),
        (
            "an endless body",
            |mut received| {
                Box::pin(async move {
                    let mut body = received.respond.send_response(http::Response::new(()), false).unwrap();
                    body.reserve_capacity(65536);
                    while let Some(Ok(capacity)) = std::future::poll_fn(|cx| body.poll_capacity(cx)).await {
                        let _ = body.send_data(vec![b'x'; capacity].into(), false);
                        body.reserve_capacity(65536);
                    }
                })
            },
            ErrorClass::Decode,
        ),
    ];
    for (name, handler, expected) in rows {
        let server = serve(100, handler).await;
        let client = Client::try_from(with_small_limits(server.config.clone())).unwrap();
        let error = timeout(TEST_TIMEOUT, get(client)).await.unwrap().unwrap_err();
        assert_eq!(error_class(&error), expected, "{name}: {error:?}");
        let text = error.to_string();
        assert!(
            text.contains("GET ") && text.contains("/api/v1/namespaces/default/configmaps/a"),
            "{name}: {text}"
        );
    }
}

#[tokio::test]
async fn a_new_connection_to_a_server_with_an_expired_certificate_fails_with_a_tls_error() {
    let authority = Authority::new("ca");
    let server = Server::https(&authority.issue(&["127.0.0.1"], |_| {}), None).await;
    let mut config = with_small_limits(server.config(&authority));
    config.max_connection_age = Some(Duration::ZERO);
    let client = Client::try_from(config).unwrap();
    let version = || client.request_text(Request::get("/version").body(Vec::new()).unwrap());
    version().await.unwrap();
    let expired = authority.issue(&["127.0.0.1"], |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 2);
    });
    server.rotate_certificates(&expired, None);
    let error = version().await.unwrap_err();
    assert_eq!(error_class(&error), ErrorClass::Transport(TransportKind::Tls), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("expired") && text.contains("(GET /version)"), "{text}");
}
