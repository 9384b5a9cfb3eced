//! Tests of HTTP/2: the connections that requests share, and the negotiated version of HTTP.

mod bad_frames;
mod connection_sharing;
mod failures;
pub(super) mod server;

use futures::{StreamExt, future::join_all};
use http::{Request, Response, StatusCode, Version};
use http_body_util::Full;
use std::{sync::atomic::Ordering::SeqCst, time::Duration};
use tokio::{sync::mpsc, time::timeout};

use self::server::{echo_or_hold, serve};
use super::server::{Authority, Server};
use crate::{
    client::{Body, Client},
    config::{Config, HttpVersions, RetryPolicy},
    error::{Error, TransportKind},
};

/// The time limit of each step of a test.
const TEST_TIMEOUT: Duration = Duration::from_secs(10);

fn get(path: &str) -> Request<Vec<u8>> {
    Request::get(path).body(Vec::new()).unwrap()
}

fn post() -> Request<Vec<u8>> {
    Request::post("/x").body(b"once".to_vec()).unwrap()
}

/// Opens a watch. Returns its body, and the number of its connection.
async fn watch(client: &Client) -> (Body, u32) {
    let mut body = client.open(get("/x?watch=1")).await.unwrap().into_body();
    let frame = http_body_util::BodyExt::frame(&mut body).await.unwrap().unwrap();
    let number = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
    (body, number.parse().unwrap())
}

/// Sends a GET request. Returns the number of the connection that served it.
async fn call(client: &Client) -> u32 {
    let text = client.request_text(get("/x")).await.unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn concurrent_calls_share_one_connection_and_send_no_connection_headers() {
    let server = serve(100, echo_or_hold).await;
    let host = server.config.cluster_url.authority().unwrap().to_string();
    let client = Client::try_from(server.config.clone()).unwrap();
    let texts = join_all((0..50).map(|_| client.request_text(get("/api?x=1")))).await;
    for text in texts {
        let text = text.unwrap();
        assert!(text.starts_with(&format!("0 GET https://{host}/api?x=1\n")), "{text}");
        assert!(!text.contains("host") && !text.contains("connection"), "{text}");
    }
    assert_eq!(server.accepted.load(SeqCst), 1);
}

#[tokio::test]
async fn a_further_connection_is_opened_before_the_stream_limit_is_reached() {
    let server = serve(10, echo_or_hold).await;
    let client = Client::try_from(server.config.clone()).unwrap();
    // The client uses nine of the ten streams of each connection.
    let mut watches = Vec::new();
    for _ in 0..27 {
        watches.push(watch(&client).await);
    }
    let on = |number: u32| watches.iter().filter(|(_, connection)| *connection == number).count();
    assert_eq!([on(0), on(1), on(2)], [9, 9, 9]);
    // A watch is dropped: its connection has capacity for one stream again, and the next watch uses this connection.
    watches.remove(12);
    let (_body, connection) = watch(&client).await;
    assert_eq!(connection, 1);
    assert_eq!(server.accepted.load(SeqCst), 3);
}

#[tokio::test]
async fn a_burst_of_watches_opens_few_connections() {
    let server = serve(10, echo_or_hold).await;
    let client = Client::try_from(server.config.clone()).unwrap();
    let watches = timeout(TEST_TIMEOUT, join_all((0..45).map(|_| watch(&client)))).await.unwrap();
    assert_eq!(watches.len(), 45);
    // The first dials happen before the server's stream limit is known.
    assert!((1..=6).contains(&server.accepted.load(SeqCst)), "{}", server.accepted.load(SeqCst));
}

#[tokio::test]
async fn watches_and_calls_use_different_connections() {
    let server = serve(100, echo_or_hold).await;
    let client = Client::try_from(server.config.clone()).unwrap();
    let (first, watching) = watch(&client).await;
    let (second, other) = watch(&client).await;
    assert_eq!(watching, other);
    assert_eq!((call(&client).await, call(&client).await), (1, 1));
    drop((first, second));
    assert_eq!(server.accepted.load(SeqCst), 2);
}

#[tokio::test]
async fn a_connection_beyond_the_maximum_age_gets_no_further_requests() {
    let mut server = serve(100, echo_or_hold).await;
    server.config.max_connection_age = Some(Duration::ZERO);
    let client = Client::try_from(server.config.clone()).unwrap();
    assert_eq!((call(&client).await, call(&client).await), (0, 1));
}

#[tokio::test]
async fn a_connection_beyond_the_maximum_age_is_closed_when_it_is_not_in_use() {
    let mut server = serve(100, echo_or_hold).await;
    server.config.max_connection_age = Some(Duration::from_millis(50));
    server.config.pool_idle_timeout = None;
    let client = Client::try_from(server.config.clone()).unwrap();
    let (mut body, _) = watch(&client).await;
    call(&client).await;
    timeout(TEST_TIMEOUT, server.closed.recv()).await.unwrap().unwrap();
    let next = http_body_util::BodyExt::frame(&mut body);
    assert!(timeout(Duration::from_millis(20), next).await.is_err());
    drop(body);
    timeout(TEST_TIMEOUT, server.closed.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_dropped_watch_resets_its_stream_and_keeps_the_connection() {
    let (on_reset, mut resets) = mpsc::unbounded_channel();
    let server = serve(100, move |received| {
        let on_reset = on_reset.clone();
        Box::pin(async move {
            received.hold_response().await;
            let _ = on_reset.send(());
        })
    })
    .await;
    let client = Client::try_from(server.config.clone()).unwrap();
    let ((first, _), (mut second, _)) = (watch(&client).await, watch(&client).await);
    drop(first);
    timeout(TEST_TIMEOUT, resets.recv()).await.unwrap().unwrap();
    let next = http_body_util::BodyExt::frame(&mut second);
    assert!(timeout(Duration::from_millis(20), next).await.is_err());
    assert_eq!(server.accepted.load(SeqCst), 1);
}

#[tokio::test]
async fn connections_are_closed_when_they_are_idle_and_when_the_client_is_dropped() {
    let mut server = serve(100, echo_or_hold).await;
    server.config.pool_idle_timeout = Some(Duration::from_millis(50));
    let client = Client::try_from(server.config.clone()).unwrap();
    call(&client).await;
    timeout(TEST_TIMEOUT, server.closed.recv()).await.unwrap().unwrap();
    server.config.pool_idle_timeout = None;
    let client = Client::try_from(server.config.clone()).unwrap();
    call(&client).await;
    drop(client);
    timeout(TEST_TIMEOUT, server.closed.recv()).await.unwrap().unwrap();
}

#[test]
fn a_client_works_on_a_second_runtime_after_the_first_has_ended() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server_runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = server_runtime.block_on(serve(100, echo_or_hold));
    let client = Client::try_from(server.config.clone()).unwrap();
    let (first, paused) = (runtime(), runtime());
    assert_eq!(first.block_on(call(&client)), 0);
    assert_eq!(paused.block_on(call(&client)), 1);
    drop(first);
    let response = runtime().block_on(async { timeout(TEST_TIMEOUT, call(&client)).await });
    assert_eq!(response.unwrap(), 2);
    assert_eq!(paused.block_on(call(&client)), 1);
}

#[tokio::test]
async fn http1_is_used_if_configured_if_alpn_is_missing_and_for_upgrades() {
    let authority = Authority::new("ca");
    let leaf = authority.issue(&["127.0.0.1"], |_| {});
    let version = |request: Request<hyper::body::Incoming>| async move {
        let is_upgrade = request.headers().contains_key("upgrade");
        let body = Full::from(format!("{:?}", request.version()));
        let code = if is_upgrade { StatusCode::SWITCHING_PROTOCOLS } else { StatusCode::OK };
        Response::builder().status(code).header("upgrade", "x").body(body).unwrap()
    };
    let both = Server::https_with_handler(&leaf, &[b"h2", b"http/1.1"], version).await;
    let none = Server::https_with_handler(&leaf, &[], version).await;
    let text = async |config: Config| {
        let client = Client::try_from(config).unwrap();
        join_all((0..3).map(|_| client.request_text(get("/x")))).await.pop().unwrap().unwrap()
    };
    assert_eq!(text(both.config(&authority)).await, "HTTP/2.0");
    let mut config = both.config(&authority);
    config.http_versions = HttpVersions::Http1;
    assert_eq!(text(config).await, "HTTP/1.1");
    assert_eq!(text(none.config(&authority)).await, "HTTP/1.1");

    let client = Client::try_from(both.config(&authority)).unwrap();
    client.request_text(get("/x")).await.unwrap();
    let request = Request::get("/exec").header("connection", "Upgrade").header("upgrade", "x");
    let response = client.send(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!((response.status(), response.version()), (StatusCode::SWITCHING_PROTOCOLS, Version::HTTP_11));
}

#[tokio::test]
async fn buffered_and_streamed_bodies_may_exceed_the_flow_control_window() {
    let server = serve(100, |mut received| {
        Box::pin(async move {
            let (mut count, mut body) = (0, received.request.into_body());
            while let Some(data) = body.data().await {
                let data = data.unwrap();
                assert!(data.iter().all(|byte| *byte == b'x'));
                count += data.len();
                body.flow_control().release_capacity(data.len()).unwrap();
            }
            let mut response = received.respond.send_response(Response::new(()), false).unwrap();
            response.send_data(count.to_string().into(), true).unwrap();
        })
    })
    .await;
    let client = Client::try_from(server.config.clone()).unwrap();
    let buffered = Body::from(vec![b'x'; 1_000_000]);
    let streamed = futures::stream::repeat(vec![b'x'; 10_000]).take(100).map(Ok::<_, Error>);
    for body in [buffered, Body::wrap_stream(streamed)] {
        let response = client.send(Request::post("/x").body(body).unwrap()).await.unwrap();
        assert_eq!(response.into_body().collect_bytes().await.unwrap(), "1000000");
    }
    let failing = Body::wrap_stream(futures::stream::iter([
        Ok("x"),
        Err(Error::Request { what: "mine".to_owned(), source: None }),
    ]));
    let error = client.send(Request::post("/x").body(failing).unwrap()).await.unwrap_err();
    assert!(matches!(&error, Error::Request { what, .. } if what.contains("POST /x")), "{error:?}");
    assert_eq!(server.accepted.load(SeqCst), 1);
}

#[tokio::test]
async fn requests_that_wait_for_the_same_failed_dial_get_its_error() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut config = Config::new(format!("https://{}", socket.local_addr().unwrap()).parse().unwrap());
    config.accept_invalid_certs = true;
    config.retry = RetryPolicy::never();
    let client = Client::try_from(config).unwrap();
    for outcome in join_all((0..3).map(|_| client.apiserver_version())).await {
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::Transport { kind: TransportKind::Connect, .. }), "{error:?}");
        let source = std::error::Error::source(&error).unwrap();
        let io = source.downcast_ref::<std::io::Error>().unwrap();
        assert_eq!(io.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}

#[tokio::test]
async fn a_cancelled_request_does_not_cancel_the_dial_that_other_requests_wait_for() {
    let server = serve(100, echo_or_hold).await;
    let client = Client::try_from(server.config.clone()).unwrap();
    let (mut first, mut second) = (Box::pin(call(&client)), Box::pin(call(&client)));
    assert!(futures::poll!(&mut first).is_pending());
    // The second request waits for the dial that the first request has started.
    for _ in 0..2 {
        assert!(futures::poll!(&mut second).is_pending());
    }
    drop(first);
    assert_eq!(timeout(TEST_TIMEOUT, second).await.unwrap(), 0);
    assert_eq!(server.accepted.load(SeqCst), 1);
}
