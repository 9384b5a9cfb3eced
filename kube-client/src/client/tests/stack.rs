//! Tests of the default stack over plain HTTP: addresses, headers, credentials, time limits, cancellation.

use super::server::{Server, version_response};
use crate::{
    client::{Body, Client, ClientBuilder},
    config::{Config, RetryPolicy},
    error::{Error, TransportKind, Wait},
};
use bytes::Bytes;
use either::Either;
use futures::StreamExt;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use k8s_openapi::api::core::v1::ConfigMap;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};

/// A GET request without a body.
fn get_request(path: &str) -> Request<Vec<u8>> {
    Request::get(path).body(Vec::new()).unwrap()
}

/// Responds with the method, URI, headers and body of the request.
async fn echo_handler(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let mut text = format!("{} {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        text.extend([name.as_str(), ": ", value.to_str().unwrap(), "\n"]);
    }
    let body = request.into_body().collect().await.unwrap().to_bytes();
    text += &String::from_utf8_lossy(&body);
    Response::new(Full::from(text))
}

/// Sends a request with a changed configuration. Returns the request as the server received it.
async fn echoed_request(change: impl FnOnce(&mut Config)) -> String {
    let server = Server::http(echo_handler).await;
    let mut config = server.plain_config();
    config.cluster_url = format!("{}k8s/c-1", config.cluster_url).parse().unwrap();
    change(&mut config);
    let request = Request::post("/api/v1/pods?dryRun=All").body(b"the body".to_vec()).unwrap();
    Client::try_from(config).unwrap().request_text(request).await.unwrap()
}

#[tokio::test]
async fn the_default_stack_adds_the_address_and_headers_and_credentials() {
    let text = echoed_request(|config| {
        config.auth_info.token = Some("t0ken".to_owned().into());
        config.auth_info.impersonate = Some("jane".into());
        config.auth_info.impersonate_uid = Some("7".into());
        config.auth_info.impersonate_groups = Some(vec!["a".into(), "b".into()]);
        config.auth_info.impersonate_user_extra = Some([("acme.com/x".into(), vec!["1".into()])].into());
        config.headers.push((http::HeaderName::from_static("x-own"), http::HeaderValue::from_static("1")));
    })
    .await;
    for part in [
        "POST /k8s/c-1/api/v1/pods?dryRun=All\n",
        "authorization: Bearer t0ken\n",
        "impersonate-user: jane\n",
        "impersonate-uid: 7\n",
        "impersonate-group: a\nimpersonate-group: b\n",
        "impersonate-extra-acme.com%2fx: 1\n",
        "x-own: 1\n",
        "user-agent: kube-client/",
        "the body",
    ] {
        assert!(text.contains(part), "`{part}` not in: {text}");
    }
    let text = echoed_request(|config| {
        config.auth_info.username = Some("Aladdin".into());
        config.auth_info.password = Some("open sesame".to_owned().into());
    })
    .await;
    assert!(text.contains("authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\n"), "{text}");
}

#[tokio::test]
async fn the_host_in_the_uri_of_a_request_never_receives_the_token() {
    let (cluster, other) = (Server::http(echo_handler).await, Server::http(echo_handler).await);
    let mut config = cluster.plain_config();
    config.auth_info.token = Some("t0ken".to_owned().into());
    let client = Client::try_from(config).unwrap();
    let text = client.request_text(get_request(&format!("http://{}/api?x=1", other.address))).await.unwrap();
    assert!(text.contains("GET /api?x=1\n") && text.contains("Bearer t0ken"), "{text}");
    assert!(text.contains(&format!("host: {}\n", cluster.address)), "{text}");
    assert_eq!(other.accepted.load(SeqCst), 0);
}

#[tokio::test]
async fn responses_are_decoded_and_failures_become_api_errors() {
    let server = Server::http(|request| async move {
        let (code, body) = match request.uri().path() {
            "/cm" => (200, r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"}}"#),
            "/done" => (200, r#"{"kind":"Status","apiVersion":"v1","status":"Success"}"#),
            "/odd" => (200, "<html>"),
            _ => (404, "404 page not found"),
        };
        Response::builder().status(code).body(Full::from(body)).unwrap()
    })
    .await;
    let client = Client::try_from(server.plain_config()).unwrap();
    let map: ConfigMap = client.request(get_request("/cm")).await.unwrap();
    assert_eq!(map.metadata.name.as_deref(), Some("a"));
    let Either::Left(map) = client.request_status::<ConfigMap>(get_request("/cm")).await.unwrap() else {
        panic!()
    };
    assert_eq!(map.metadata.name.as_deref(), Some("a"));
    let Either::Right(done) = client.request_status::<ConfigMap>(get_request("/done")).await.unwrap() else {
        panic!()
    };
    assert!(done.is_success());
    let error = client.request::<ConfigMap>(get_request("/odd?x=1")).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot decode the response to GET /odd (6 bytes)");
    let error = client.open(get_request("/missing")).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    let raw = client.send(get_request("/missing").map(Body::from)).await.unwrap();
    assert_eq!(raw.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_decode_error_contains_no_value_of_the_response() {
    use k8s_openapi::api::core::v1::Secret;
    let object = r#"{"kind":"Secret","apiVersion":"v1","metadata":{"name":"a"},"data":"hunter2"}"#;
    let server = Server::http(move |request| async move {
        let text = match request.uri().path() {
            "/api/v1/namespaces/default/secrets" => format!(
                r#"{{"kind":"SecretList","apiVersion":"v1","metadata":{{"remainingItemCount":"hunter2"}},"items":[{object}]}}"#
            ),
            _ => object.to_owned(),
        };
        Response::new(Full::from(text))
    })
    .await;
    let client = Client::try_from(server.plain_config()).unwrap();
    let secrets = crate::Api::<Secret>::namespaced(client.clone(), "default");
    let dynamic: crate::core::DynamicObject = serde_json::from_str(object).unwrap();
    let errors: [Box<dyn std::error::Error>; 4] = [
        Box::new(client.request::<Secret>(get_request("/any")).await.unwrap_err()),
        Box::new(secrets.get("a").await.unwrap_err()),
        Box::new(secrets.list(&crate::api::ListParams::default()).await.unwrap_err()),
        Box::new(dynamic.try_parse::<Secret>().unwrap_err()),
    ];
    for error in &errors {
        let mut text = format!("{error:?} {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text} {cause:?} {cause}");
            source = cause.source();
        }
        assert!(text.contains("invalid type: string"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn get_opt_is_none_for_a_missing_object_and_an_error_for_an_unserved_resource() {
    let server = Server::http(|request| async move {
        let status = |rest: &str| format!(r#"{{"kind":"Status","apiVersion":"v1","code":404{rest}}}"#);
        let body = match request.uri().path().rsplit('/').next().unwrap() {
            "reason" => status(r#","reason":"NotFound""#),
            "code" => status(""),
            "named" => status(r#","reason":"NotFound","details":{"name":"named","kind":"configmaps"}"#),
            "resource" => status(r#","reason":"NotFound","details":{}"#),
            _ => "404 page not found".to_owned(),
        };
        Response::builder().status(404).body(Full::from(body)).unwrap()
    })
    .await;
    let client = Client::try_from(server.plain_config()).unwrap();
    let maps = crate::Api::<ConfigMap>::namespaced(client, "default");
    for name in ["reason", "code", "named"] {
        assert!(maps.get_opt(name).await.unwrap().is_none(), "{name}");
        assert!(maps.get_metadata_opt(name).await.unwrap().is_none(), "{name}");
    }
    for name in ["resource", "page"] {
        assert!(maps.get_opt(name).await.unwrap_err().is_not_found(), "{name}");
    }
}

#[tokio::test]
async fn custom_layers_receive_requests_first() {
    let layer = tower::util::MapRequestLayer::new(|mut request: Request<Body>| {
        assert!(request.uri().authority().is_none());
        request.headers_mut().insert("x-layer", http::HeaderValue::from_static("1"));
        request
    });
    let server = Server::http(echo_handler).await;
    let client = ClientBuilder::try_from(server.plain_config()).unwrap().with_layer(&layer).build();
    assert!(client.request_text(get_request("/")).await.unwrap().contains("x-layer: 1"));
}

#[tokio::test]
async fn an_unauthorized_error_names_the_server_and_what_to_check() {
    let refuse = |_| async { Response::builder().status(401).body(Full::default()).unwrap() };
    let server = Server::http(refuse).await;
    let config = server.plain_config();
    let address = config.cluster_url.authority().unwrap().to_string();
    let error = Client::try_from(config).unwrap().apiserver_version().await.unwrap_err();
    assert!(error.is_unauthorized());
    for part in [address.as_str(), "does not accept the credentials", "expired"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn an_error_names_an_unreachable_address() {
    // The socket is bound but does not listen: it refuses connections, and no other test can use its port.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let mut config = Config::new(format!("http://{address}").parse().unwrap());
    config.retry = RetryPolicy::default().initial(Duration::from_millis(1));
    let error = Client::try_from(config).unwrap().apiserver_version().await.unwrap_err();
    let advice = "check the address, and that the server is running";
    assert_eq!(error.to_string(), format!("cannot connect to {address}: {advice} (GET /version)"));
    assert!(matches!(error, Error::Transport { kind: TransportKind::Connect, .. }));
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("refused"));
}

#[tokio::test]
async fn an_error_names_an_unknown_host() {
    let config = Config::new("http://no-such-host.invalid:6443".parse().unwrap());
    let error = Client::try_from(config).unwrap().apiserver_version().await.unwrap_err();
    assert!(matches!(error, Error::Transport { kind: TransportKind::Resolve, .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "cannot find the address of no-such-host.invalid:6443: check the host name (GET /version)"
    );
}

/// Starts a server that reads one request and then calls `act` with the connection. Returns a configuration for the
/// server, without retries.
async fn serve_one_request<F>(act: impl FnOnce(TcpStream) -> F + Send + 'static) -> Config
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
    config.retry = RetryPolicy::never();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        assert!(stream.read(&mut head).await.unwrap() > 0);
        act(stream).await;
    });
    config
}

#[tokio::test]
async fn a_missing_response_is_a_timeout() {
    let mut config = serve_one_request(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    config.response_timeout = Some(Duration::from_millis(50));
    let host = config.cluster_url.authority().unwrap().to_string();
    let error = Client::try_from(config).unwrap().apiserver_version().await.unwrap_err();
    assert!(matches!(error, Error::Timeout { wait: Wait::Response, .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!("timed out after 50ms waiting for the response (GET {host}/version)")
    );
}

/// A response whose body has fewer bytes than its `content-length`.
const PARTIAL_RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"part\":";

#[tokio::test]
async fn a_pause_in_a_body_causes_a_timeout_except_in_a_watch() {
    for path in ["/list", "/list?watch=true"] {
        let mut config = serve_one_request(|mut stream| async move {
            stream.write_all(PARTIAL_RESPONSE).await.unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
            stream.write_all(&[b' '; 92]).await.unwrap();
        })
        .await;
        config.read_timeout = Some(Duration::from_millis(50));
        let outcome = Client::try_from(config).unwrap().request_text(get_request(path)).await;
        match outcome {
            Ok(text) => assert_eq!((path, text.len()), ("/list?watch=true", 100)),
            Err(error) => {
                assert_eq!(path, "/list");
                assert!(matches!(error, Error::Timeout { wait: Wait::Body, .. }), "{error:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_connection_that_closes_during_a_request_causes_an_error_of_kind_broken() {
    let config = serve_one_request(|stream| async move { drop(stream) }).await;
    let error = Client::try_from(config).unwrap().apiserver_version().await.unwrap_err();
    assert!(matches!(error, Error::Transport { kind: TransportKind::Broken, .. }), "{error:?}");
    assert!(error.to_string().ends_with("broke during GET /version"), "{error}");
    let config =
        serve_one_request(|mut stream| async move { stream.write_all(PARTIAL_RESPONSE).await.unwrap() })
            .await;
    let error = Client::try_from(config).unwrap().apiserver_version().await.unwrap_err();
    assert!(matches!(error, Error::Transport { kind: TransportKind::Broken, .. }), "{error:?}");
}

#[tokio::test]
async fn the_error_of_a_truncated_body_names_verb_path_and_server() {
    for limit in [None, Some(Duration::from_secs(60))] {
        let mut config =
            serve_one_request(|mut stream| async move { stream.write_all(PARTIAL_RESPONSE).await.unwrap() })
                .await;
        config.read_timeout = limit;
        let host = config.cluster_url.authority().unwrap().to_string();
        let error =
            Client::try_from(config).unwrap().request_text(get_request("/version?x=1")).await.unwrap_err();
        let wanted =
            format!("the connection to {host} broke while the response body of GET /version was being read");
        assert_eq!(error.to_string(), wanted);
    }
    let service = tower::service_fn(|_: Request<Body>| async {
        let pieces = futures::stream::iter([Ok("half"), Err("reset")]);
        Ok::<_, crate::error::BoxError>(Response::new(Body::wrap_stream(pieces)))
    });
    let error = Client::new(service, "default").request_text(get_request("/x")).await.unwrap_err();
    assert!(error.to_string().contains("response body of GET /x"), "{error}");
}

#[tokio::test]
async fn time_limits_beyond_the_range_of_the_clock_never_expire() {
    let server = Server::http(|_| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        version_response()
    })
    .await;
    let mut config = server.plain_config();
    for limit in [
        &mut config.connect_timeout,
        &mut config.tls_timeout,
        &mut config.response_timeout,
        &mut config.read_timeout,
        &mut config.write_timeout,
        &mut config.pool_idle_timeout,
        &mut config.tcp_keepalive,
    ] {
        *limit = Some(Duration::MAX);
    }
    config.retry = RetryPolicy::default().initial(Duration::MAX).total(Duration::MAX);
    let client = Client::try_from(config).unwrap();
    for _ in 0..2 {
        client.apiserver_version().await.unwrap();
        // During the sleep, the task that closes idle connections runs.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.accepted.load(SeqCst), 1);
}

#[tokio::test]
async fn dropping_a_request_or_a_response_body_closes_the_connection() {
    for responds in [false, true] {
        let (closed, was_closed) = tokio::sync::oneshot::channel();
        let (received, was_received) = tokio::sync::oneshot::channel();
        let config = serve_one_request(move |mut stream| async move {
            if responds {
                stream.write_all(PARTIAL_RESPONSE).await.unwrap();
            }
            received.send(()).unwrap();
            let end = stream.read(&mut [0; 16]).await;
            closed.send(matches!(end, Ok(0) | Err(_))).unwrap();
        })
        .await;
        let client = Client::try_from(config).unwrap();
        if responds {
            let mut body =
                client.open(get_request("/x?watch=true")).await.unwrap().into_body().into_data_stream();
            assert!(body.next().await.unwrap().is_ok());
        } else {
            let mut request = std::pin::pin!(client.request_text(get_request("/x")));
            tokio::select! {
                _ = &mut request => panic!("the server sent a response"),
                outcome = was_received => outcome.unwrap(),
            }
        }
        assert!(tokio::time::timeout(Duration::from_secs(5), was_closed).await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn a_post_is_retried_if_its_response_has_the_header_retry_after() {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = calls.clone();
    let server = Server::http(move |request| {
        let call = counter.fetch_add(1, SeqCst);
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let response = Response::builder();
            match call {
                0 => response.status(429).header("retry-after", "1").body(Full::default()),
                _ => response.body(Full::from(body)),
            }
            .unwrap()
        }
    })
    .await;
    let client = Client::try_from(server.plain_config()).unwrap();
    let request = Request::post("/x").body(b"twice".to_vec()).unwrap();
    assert_eq!(client.request_text(request).await.unwrap(), "twice");
    assert_eq!(calls.load(SeqCst), 2);
}

#[tokio::test]
async fn requests_run_concurrently_and_reuse_connections() {
    let server = Server::http(|_| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        version_response()
    })
    .await;
    let client = Client::try_from(server.plain_config()).unwrap();
    let started = std::time::Instant::now();
    let calls = (0..50).map(|_| client.apiserver_version());
    assert!(futures::future::join_all(calls).await.iter().all(Result::is_ok));
    // In sequence, the 50 requests would take five seconds.
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let before = server.accepted.load(SeqCst);
    for _ in 0..5 {
        client.clone().apiserver_version().await.unwrap();
    }
    assert_eq!(server.accepted.load(SeqCst), before);
}

#[test]
fn a_client_rejects_userinfo_in_the_cluster_address_without_showing_it() {
    for url in ["https://me:s3cr3t@10.0.0.1:6443", "http://s3cr3t@localhost:8001"] {
        let error = Client::try_from(Config::new(url.parse().unwrap())).unwrap_err();
        let text = format!("{error:?} {error} {}", std::error::Error::source(&error).unwrap());
        assert!(text.contains("cluster_url must not hold a user name"), "{text}");
        assert!(!text.contains("s3cr3t"), "{text}");
    }
}

#[test]
fn a_client_rejects_credentials_over_plain_http_except_to_loopback() {
    let client = |url: &str, change: fn(&mut Config)| {
        let mut config = Config::new(url.parse().unwrap());
        config.auth_info.token = Some("t0ken".to_owned().into());
        change(&mut config);
        Client::try_from(config).map_err(|error| std::error::Error::source(&error).unwrap().to_string())
    };
    let message = client("http://10.0.0.1", |_| {}).unwrap_err();
    assert!(message.contains("in the clear") && message.contains("https://"), "{message}");
    client("http://10.0.0.1", |config| config.allow_insecure_auth = true).unwrap();
    client("http://10.0.0.1", |config| config.auth_info.token = None).unwrap();
    let with_authorization = |config: &mut Config| {
        config.auth_info.token = None;
        config.headers.push((http::header::AUTHORIZATION, http::HeaderValue::from_static("mine")));
    };
    assert!(client("http://10.0.0.1", with_authorization).unwrap_err().contains("in the clear"));
    client("http://localhost:8001", |_| {}).unwrap();
    client("http://[::1]:8001", |_| {}).unwrap();
}
