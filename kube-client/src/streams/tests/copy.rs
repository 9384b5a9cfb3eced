//! Tests that copy a local file into a container. The local file cannot be read.

use std::io::ErrorKind;

use super::server::serve_websocket;
use crate::{Error, api::CopyParams};

const TAR_FAILED: &str = r#"{"metadata":{},"status":"Failure","message":"command terminated","reason":"NonZeroExitCode",
    "details":{"causes":[{"reason":"ExitCode","message":"1"}]}}"#;

#[tokio::test]
async fn a_copy_of_an_unreadable_local_file_returns_the_error_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    for protocol in ["v4.channel.k8s.io", "v5.channel.k8s.io"] {
        // The server behaves like `tar`: it waits for the rest of the archive or for the end of its input,
        // and then fails.
        let (pods, server) = serve_websocket(protocol, |mut socket| async move {
            while let Some(message) = socket.next().await {
                if message == [255, 0][..] {
                    socket.send(b"\x02tar: short read").await;
                    return socket.finish(TAR_FAILED).await;
                }
            }
        })
        .await;
        let copied = pods.copy_to("a", &missing, "/tmp/copy", &CopyParams::default()).await;
        let Err(Error::Request { what, source: Some(source) }) = copied else { panic!("{copied:?}") };
        assert!(what.starts_with("cannot copy ") && !what.contains("short read"), "{what}");
        let source = source.downcast_ref::<std::io::Error>().expect("the error of the local file");
        assert_eq!(source.kind(), ErrorKind::NotFound, "{protocol}");
        server.abort();
    }
}
