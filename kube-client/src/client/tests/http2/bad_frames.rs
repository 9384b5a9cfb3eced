//! Tests of frames of a broken or hostile server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{io::AsyncWriteExt, time::timeout};

use super::{TEST_TIMEOUT, failures::read_request, get, server::start_server};
use crate::{
    client::Client,
    error::{Error, TransportKind},
};

/// The maximum number of bytes that a server can write before the client closes the connection.
const MAX_WRITTEN_BYTES: usize = 8 << 20;

// Three frame types and a frame flag (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Encodes a frame of the client's first stream. The announced `length` may differ from the length of `payload`.
fn frame(kind: u8, flags: u8, length: usize, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(length).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
}

#[tokio::test]
async fn each_bad_frame_causes_an_error_that_names_the_request() {
    // The field `:status: 200` of the static table (RFC 7541).
    let head = frame(HEADERS, END_HEADERS, 1, &[0x88]);
    let half = [head.clone(), frame(DATA, 0, 100, b"{")].concat();
    let open_head = frame(HEADERS, 0, 1, &[0x88]);
    // A field `x` with a value of 100 bytes.
    let field = [&[0, 1, b'x', 100][..], &[b'a'; 100]].concat();
    let more_fields = frame(CONTINUATION, 0, 104 * 100, &field.repeat(100));
    let huge = [head.clone(), frame(DATA, 0, 0xFF_FFFF, b"")].concat();
    let zeros = vec![0; 16 << 10];
    for (name, first, rest) in [
        ("half a frame", half, None),
        ("endless headers", open_head, Some(more_fields)),
        ("a frame beyond the maximum size", huge, Some(zeros)),
        ("data without a head", frame(DATA, 0, 1, b"{"), None),
        ("a compressed head that is corrupt", frame(HEADERS, END_HEADERS, 2, &[0xFF; 2]), None),
        ("HTTP/1.1", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), None),
    ] {
        let written = Arc::new(AtomicUsize::new(0));
        let counter = written.clone();
        let server = start_server(move |mut stream, _| {
            let (first, rest, counter) = (first.clone(), rest.clone(), counter.clone());
            async move {
                read_request(&mut stream).await;
                let _ = stream.write_all(&first).await;
                while let Some(rest) = &rest
                    && stream.write_all(rest).await.is_ok()
                {
                    counter.fetch_add(rest.len(), SeqCst);
                }
                // Wait before the socket is closed: an immediate close could discard written bytes.
                let _ = stream.shutdown().await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
        .await;
        let client = Client::try_from(server.config.clone()).unwrap();
        let error = timeout(TEST_TIMEOUT, client.request_text(get("/x"))).await.expect(name).unwrap_err();
        assert!(matches!(error, Error::Transport { kind: TransportKind::Broken, .. }), "{name}: {error:?}");
        assert!(error.to_string().contains("GET /x"), "{name}: {error}");
        assert!(written.load(SeqCst) < MAX_WRITTEN_BYTES, "{name}: {}", written.load(SeqCst));
    }
}
