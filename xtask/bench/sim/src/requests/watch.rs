//! A watch that counts its events. Each event is one line of the response, so the watch counts line breaks.
//! It decodes only the last event before the server ends the watch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use futures::StreamExt;
use http::Request;
use kube_client::Client;
use serde_json::Value;

/// Watches all objects of a kind, and counts the events. If the server ends the watch, as kube-apiserver does for a slow
/// reader, a new watch starts after the last event.
///
/// # Errors
/// If a watch cannot be opened or read, or if its last event has no resource version.
pub(super) async fn count_events(client: Client, kind: &str, events: Arc<AtomicU64>) -> anyhow::Result<()> {
    let mut version = "0".to_owned();
    loop {
        let path = format!("/api/v1/{kind}?watch=true&resourceVersion={version}");
        let response = client.open(Request::get(path).body(Vec::new())?).await?;
        let mut chunks = response.into_body().into_data_stream();
        let mut lines = LastLine::default();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            events.fetch_add(memchr::memchr_iter(b'\n', &chunk).count() as u64, Ordering::Relaxed);
            lines.push(&chunk);
        }
        if !lines.complete.is_empty() {
            version = lines.resource_version().with_context(|| format!("a watch of {kind} cannot resume"))?;
        }
    }
}

/// The last complete line of a stream.
#[derive(Debug, Default)]
struct LastLine {
    complete: Vec<u8>,
    /// The bytes after the last line break.
    rest: Vec<u8>,
}

impl LastLine {
    fn push(&mut self, chunk: &[u8]) {
        let Some(end) = memchr::memrchr(b'\n', chunk) else { return self.rest.extend_from_slice(chunk) };
        self.complete.clear();
        if let Some(before) = memchr::memrchr(b'\n', &chunk[..end]) {
            self.complete.extend_from_slice(&chunk[before + 1..end]);
        } else {
            self.complete.append(&mut self.rest);
            self.complete.extend_from_slice(&chunk[..end]);
        }
        self.rest.clear();
        self.rest.extend_from_slice(&chunk[end + 1..]);
    }

    /// Decodes the event in the last complete line. Returns the resource version of the event's object.
    fn resource_version(&self) -> anyhow::Result<String> {
        let event: Value = serde_json::from_slice(&self.complete).context("the last event is no JSON")?;
        let version = event["object"]["metadata"]["resourceVersion"].as_str();
        Ok(version.with_context(|| format!("the last event has no version: {event}"))?.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_may_be_in_several_chunks() {
        let mut lines = LastLine::default();
        for (chunk, expected) in [("a\nb", "a"), ("c", "a"), ("d\n", "bcd"), ("e\nf\ng", "f"), ("\n", "g")] {
            lines.push(chunk.as_bytes());
            assert_eq!(lines.complete, expected.as_bytes(), "{chunk}");
        }
    }

    #[test]
    fn the_resource_version_is_that_of_the_object_in_the_last_event() {
        let mut lines = LastLine::default();
        lines.push(b"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"7\"}}}\n");
        assert_eq!(lines.resource_version().unwrap(), "7");
        lines.push(b"{\"type\":\"ERROR\",\"object\":{\"code\":410}}\n");
        assert!(lines.resource_version().is_err());
    }
}
