//! Tests of refused requests, of the limits on requests and connections, of the shutdown, of the reload of the
//! certificate, and of wrong settings.

use super::super::{CertificateError, Error, Limits, Server};
use super::support::{
    RunningServer, WAIT_LIMIT, config_map, format_post_request, review_of, split_answer, write_certificate,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube_client::core::admission::AdmissionRequest;
use std::{future::pending, sync::Arc, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

type Request = AdmissionRequest<ConfigMap>;

fn add_allowing_webhook(server: Server) -> Server {
    server.validate("/a", async |_: Request| Ok(vec![]))
}

#[tokio::test]
async fn invalid_and_too_large_requests_are_refused() {
    let limits = Limits::default().admission_bytes(2048);
    let server = RunningServer::start(|server| add_allowing_webhook(server).with_limits(limits));
    assert_eq!(server.post("/other", "{}").await.0, 404);
    let get = server.send("GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert_eq!(get.0, 405);
    let form = format_post_request("/a", "{}", "close").replace("application/json", "text/plain");
    assert_eq!(server.send(&form).await.0, 415);
    for (body, message) in [
        ("", "not a review: EOF"),
        ("[]", "not a review: "),
        (r#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}"#, "`request` is missing"),
    ] {
        let (status, text) = server.post("/a", body).await;
        assert_eq!(status, 400);
        assert!(text.contains(message), "{text}");
    }
    let large = review_of(&config_map(&"x".repeat(2048))).to_string();
    assert_eq!(server.post("/a", &large).await.0, 413);
    let chunked =
        format_post_request("/a", "", "close").replace("Content-Length: 0", "Transfer-Encoding: chunked");
    let chunked = format!("{chunked}{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    assert_eq!(server.send(&chunked).await.0, 413);
    assert_eq!(server.post_review("/a", &review_of(&config_map(""))).await["allowed"], true);
}

#[tokio::test]
async fn a_request_ends_at_the_timeout_of_the_api_server() {
    let server = RunningServer::start(|server| {
        server.validate("/a", async |_: Request| {
            pending::<()>().await;
            Ok(vec![])
        })
    });
    let (status, text) = server.post("/a?timeout=10ms", &review_of(&config_map("")).to_string()).await;
    assert_eq!(status, 504, "{text}");
}

#[tokio::test]
async fn a_request_waits_until_another_request_frees_its_memory() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (in_handler, leaving) = (entered.clone(), leave.clone());
    let limits = Limits::default().total_bytes(2048);
    let server = RunningServer::start(|server| {
        let server = server.validate("/held", move |_: Request| {
            let (entered, leave) = (in_handler.clone(), leaving.clone());
            async move {
                entered.notify_one();
                leave.notified().await;
                Ok(vec![])
            }
        });
        add_allowing_webhook(server).with_limits(limits)
    });
    let large = review_of(&config_map(&"x".repeat(1024)));
    let held = async {
        let answer = server.post_review("/held", &large).await;
        assert_eq!(answer["allowed"], true);
    };
    let others = async {
        entered.notified().await;
        // The memory is in use: the request waits for it until the time limit.
        assert_eq!(server.post("/a?timeout=10ms", &large.to_string()).await.0, 504);
        leave.notify_one();
        assert_eq!(server.post_review("/a", &large).await["allowed"], true);
    };
    timeout(WAIT_LIMIT, futures::future::join(held, others)).await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_ends_when_another_connection_waits() {
    let server = RunningServer::start(|server| {
        add_allowing_webhook(server).with_limits(Limits::default().connections(1))
    });
    let mut idle = server.connect(&server.certificate).await.unwrap();
    let review = review_of(&config_map("")).to_string();
    idle.write_all(format_post_request("/a", &review, "keep-alive").as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    // The limit permits only one connection. The server closes `idle`, and then serves the next connection.
    assert_eq!(server.post("/a", &review).await.0, 200);
    let mut rest = Vec::new();
    timeout(WAIT_LIMIT, idle.read_to_end(&mut rest)).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_handshake_ends() {
    let server = RunningServer::start(|server| {
        add_allowing_webhook(server).with_limits(Limits::default().connections(1))
    });
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut end = Vec::new();
    let _ = silent.read_to_end(&mut end).await;
    assert!(end.is_empty());
}

#[tokio::test]
async fn a_shutdown_waits_for_requests_in_flight() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (in_handler, leaving) = (entered.clone(), leave.clone());
    let mut server = RunningServer::start(|server| {
        server.validate("/held", move |_: Request| {
            let (entered, leave) = (in_handler.clone(), leaving.clone());
            async move {
                entered.notify_one();
                leave.notified().await;
                Ok(vec![])
            }
        })
    });
    let mut idle = server.connect(&server.certificate).await.unwrap();
    let mut held = server.connect(&server.certificate).await.unwrap();
    let request = format_post_request("/held", &review_of(&config_map("")).to_string(), "keep-alive");
    held.write_all(request.as_bytes()).await.unwrap();
    entered.notified().await;
    server.request_stop();
    // An idle connection ends immediately.
    let mut rest = Vec::new();
    let _ = timeout(WAIT_LIMIT, idle.read_to_end(&mut rest)).await.unwrap();
    leave.notify_one();
    let mut answer = String::new();
    timeout(WAIT_LIMIT, held.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert_eq!(split_answer(&answer).0, 200);
    let address = server.address;
    server.wait_for_end().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn new_connections_get_a_changed_certificate() {
    let server = RunningServer::start(|mut server| {
        Arc::get_mut(&mut server.certificate).unwrap().check_every(Duration::ZERO);
        add_allowing_webhook(server)
    });
    let folder = server.folder.path();
    server.connect(&server.certificate).await.unwrap();
    // The server does not use a certificate if the key in the other file does not match.
    let key = std::fs::read(folder.join("tls.key")).unwrap();
    let second = write_certificate(folder);
    let second_key = std::fs::read(folder.join("tls.key")).unwrap();
    std::fs::write(folder.join("tls.key"), key).unwrap();
    server.connect(&server.certificate).await.unwrap();
    std::fs::write(folder.join("tls.key"), "half a ke").unwrap();
    server.connect(&server.certificate).await.unwrap();
    std::fs::write(folder.join("tls.key"), second_key).unwrap();
    server.connect(&second).await.unwrap();
    server.connect(&server.certificate).await.unwrap_err();
}

#[tokio::test]
async fn the_error_of_a_wrong_setting_names_the_setting() {
    let folder = tempfile::tempdir().unwrap();
    let files = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    let from_files = || Server::from_files(&files.0, &files.1);
    let Err(Error::Certificate(error)) = from_files() else { panic!("no files") };
    assert!(error.to_string().contains("tls.crt"), "{error}");
    write_certificate(folder.path());
    std::fs::write(&files.1, "no key").unwrap();
    let Err(Error::Certificate(CertificateError::Pem { path, wanted })) = from_files() else {
        panic!("no key")
    };
    assert_eq!((path, wanted), (files.1.clone(), "private key"));
    let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
    std::fs::write(&files.1, other).unwrap();
    assert!(matches!(from_files(), Err(Error::Certificate(CertificateError::Key { .. }))));
    write_certificate(folder.path());
    assert!(
        matches!(from_files().unwrap().listen("nowhere"), Err(Error::Listen { address, .. }) if address == "nowhere")
    );
    let server = || from_files().unwrap().listen("127.0.0.1:0").unwrap();
    for (server, problem) in [
        (
            add_allowing_webhook(add_allowing_webhook(server())),
            "the path \"/a\" of a webhook has two webhooks",
        ),
        (
            server().validate("a", async |_: Request| Ok(vec![])),
            "the path \"a\" of a webhook does not begin with a slash",
        ),
        (
            server().validate("/a?b", async |_: Request| Ok(vec![])),
            "the path \"/a?b\" of a webhook has a query or a fragment",
        ),
    ] {
        assert_eq!(server.run(async {}).await.unwrap_err().to_string(), problem);
    }
}
