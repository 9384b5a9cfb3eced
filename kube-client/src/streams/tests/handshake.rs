//! Responses that do not switch to a WebSocket.

use std::error::Error as _;
use tokio::io::AsyncWriteExt;

use super::server::serve_request;
use crate::{Error, api::AttachParams, client::UpgradeConnectionError};

/// The error of `exec` if the server sends this response.
async fn error_of_exec(response: &'static str) -> Error {
    let (pods, _server) = serve_request(move |_, mut stream| async move {
        stream.write_all(response.as_bytes()).await.unwrap();
    })
    .await;
    pods.exec("a", ["sh"], &AttachParams::default()).await.unwrap_err()
}

#[tokio::test]
async fn an_unsuccessful_response_is_an_api_error() {
    let error = error_of_exec(
        "HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n\
         {\"kind\":\"Status\",\"apiVersion\":\"v1\",\"message\":\"no exec\",\"reason\":\"Forbidden\",\"code\":403}",
    )
    .await;
    assert!(error.is_forbidden() && error.to_string().contains("no exec"), "{error}");
    let error =
        error_of_exec("HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\n\r\n<html>broken</html>")
            .await;
    assert_eq!(error.status().unwrap().code, 500);
    assert!(error.to_string().contains("GET /api/v1/namespaces/web/pods/a/exec"), "{error}");
}

#[tokio::test]
async fn errors_of_failed_upgrades_name_the_request_and_the_problem() {
    let error = error_of_exec("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert!(matches!(error, Error::Request { .. }));
    assert!(error.to_string().contains("GET /api/v1/namespaces/web/pods/a/exec"), "{error}");
    let source = error.source().unwrap().downcast_ref::<UpgradeConnectionError>().unwrap();
    assert!(matches!(source, UpgradeConnectionError::ProtocolSwitch(code) if *code == 200), "{source}");
    let error = error_of_exec(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    )
    .await;
    let source = error.source().unwrap().downcast_ref::<UpgradeConnectionError>().unwrap();
    assert!(matches!(source, UpgradeConnectionError::SecWebSocketAcceptKeyMismatch), "{source}");
}

#[tokio::test]
async fn a_request_whose_connection_breaks_is_not_retried() {
    let (pods, _server) = serve_request(|_, stream| async move { drop(stream) }).await;
    let error = pods.exec("a", ["sh"], &AttachParams::default()).await.unwrap_err();
    // The server accepts one connection: a retry would be refused.
    assert!(matches!(&error, Error::Transport { kind: crate::TransportKind::Broken, .. }), "{error:?}");
}
