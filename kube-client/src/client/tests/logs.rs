//! Tests that no secret is logged at any level.

use super::server::Server;
use crate::client::Client;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use std::{
    io,
    sync::{Arc, Mutex},
};
use tracing_subscriber::fmt::MakeWriter;

/// A log writer that stores the log in memory.
#[derive(Clone, Default)]
struct LogBuffer(Arc<Mutex<Vec<u8>>>);

impl io::Write for LogBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogBuffer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn tokens_and_bodies_are_not_logged() {
    let lines = LogBuffer::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(lines.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    // At the first use of a callsite, `tracing` caches whether the callsite is enabled. If only one dispatcher exists,
    // `tracing` asks the default subscriber of the current thread. A thread of another test, which has no subscriber,
    // would then disable the callsite for this test. If two dispatchers exist, `tracing` asks both.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    tracing::callsite::rebuild_interest_cache();
    let server = Server::http(|request| async move {
        let code = if request.uri().path() == "/refused" { 401 } else { 200 };
        Response::builder().status(code).body(Full::from(Bytes::from("s3cr3t-answer"))).unwrap()
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "s3cr3t-token").unwrap();
    let mut config = server.plain_config();
    config.auth_info.token_file = Some(path.to_str().unwrap().to_owned());
    let client = Client::try_from(config).unwrap();
    for path in ["/done", "/refused"] {
        let request = Request::put(path).body(b"s3cr3t-request".to_vec()).unwrap();
        // The test checks only the log.
        let _ = client.request::<serde_json::Value>(request).await;
    }
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("method=PUT path=\"/done\" status=200"), "{text}");
    assert!(text.contains("status=401"), "{text}");
    assert!(!text.contains("s3cr3t"), "{text}");
}
