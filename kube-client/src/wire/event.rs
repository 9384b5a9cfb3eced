//! Takes the events out of a watch as its body arrives.

use super::{MAX_OBJECT_BYTES, WireError};
use crate::core::{ObjectOrigin, UndecodableObject, WatchEvent};
use bytes::{Buf, BytesMut};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::marker::PhantomData;

/// Decodes the events of a watch, which a server sends as one line of JSON each.
pub(crate) struct EventDecoder<K> {
    buffer: BytesMut,
    /// Bytes of `buffer` in which there is no line end.
    scanned: usize,
    consumed: u64,
    expected: String,
    object: PhantomData<fn() -> K>,
}

impl<K: DeserializeOwned> EventDecoder<K> {
    /// For objects of the kind `expected`, which errors name.
    pub(crate) fn new(expected: impl Into<String>) -> Self {
        Self {
            buffer: BytesMut::new(),
            scanned: 0,
            consumed: 0,
            expected: expected.into(),
            object: PhantomData,
        }
    }

    /// Takes the next piece of the body.
    pub(crate) fn push(&mut self, frame: &[u8]) {
        self.buffer.extend_from_slice(frame);
    }

    /// The next event that is complete; `None` until more of the body has been pushed.
    pub(crate) fn next(&mut self) -> Option<Result<WatchEvent<K>, WireError>> {
        loop {
            let Some(offset) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) else {
                self.scanned = self.buffer.len();
                let too_large = self.scanned > MAX_OBJECT_BYTES;
                return too_large.then_some(Err(WireError::TooLarge { limit: MAX_OBJECT_BYTES }));
            };
            let line = self.buffer.split_to(self.scanned + offset);
            self.buffer.advance(1);
            self.scanned = 0;
            self.consumed += line.len() as u64 + 1;
            if !line.trim_ascii().is_empty() {
                return Some(self.decode(&line));
            }
        }
    }

    /// After the last piece: the last event, where the server did not end its line.
    pub(crate) fn finish(&mut self) -> Option<Result<WatchEvent<K>, WireError>> {
        let rest = std::mem::take(&mut self.buffer);
        self.scanned = 0;
        if rest.trim_ascii().is_empty() {
            return None;
        }
        let after = self.consumed + rest.len() as u64;
        let cut = |error: &serde_json::Error| error.is_eof();
        Some(match self.decode(&rest) {
            Err(WireError::Frame { source, .. }) if cut(&source) => Err(WireError::Truncated { after }),
            decoded => decoded,
        })
    }

    /// One pass over the text; only where it fails is the text read again, to tell what is wrong.
    fn decode(&self, line: &[u8]) -> Result<WatchEvent<K>, WireError> {
        serde_json::from_slice(line).map_err(|error| self.explain(line, error))
    }

    fn explain(&self, line: &[u8], error: serde_json::Error) -> WireError {
        #[derive(Deserialize)]
        struct Envelope<'a> {
            #[serde(rename = "type")]
            kind: &'a str,
            #[serde(borrow)]
            object: &'a RawValue,
        }
        let frame = |source| WireError::Frame { text: excerpt(line), source };
        let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(line) else { return frame(error) };
        let origin = match envelope.kind {
            "ADDED" => ObjectOrigin::Added,
            "MODIFIED" => ObjectOrigin::Modified,
            "DELETED" => ObjectOrigin::Deleted,
            _ => return frame(error),
        };
        // Read again without the envelope, so that the position in the message is one in the object.
        let text = envelope.object.get().as_bytes();
        let source = serde_json::from_slice::<K>(text).err().unwrap_or(error);
        Box::new(UndecodableObject::new(&self.expected, origin, source).identified_by(text)).into()
    }
}

/// Enough of a frame to recognise it; nothing of what looks like an object, which may hold secrets.
fn excerpt(line: &[u8]) -> String {
    const LIMIT: usize = 80;
    if line.trim_ascii_start().starts_with(b"{") {
        return format!("{} bytes that begin like an object", line.len());
    }
    let text = String::from_utf8_lossy(&line[..line.len().min(LIMIT)]).escape_debug().to_string();
    if line.len() > LIMIT { format!("\"{text}...\"") } else { format!("\"{text}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{NotUsed, Object, ResourceExt};

    #[derive(Clone, Debug, Deserialize)]
    struct Spec {
        n: u8,
    }
    type Item = Object<Spec, NotUsed>;

    /// What `text` decodes to in pieces of every size, each event in short.
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        for size in 1..=text.len() {
            let mut decoder = EventDecoder::<Item>::new("Item");
            let mut found = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                decoder.push(piece);
                found.extend(std::iter::from_fn(|| decoder.next()).map(short));
            }
            found.extend(decoder.finish().map(short));
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    fn short(event: Result<WatchEvent<Item>, WireError>) -> String {
        match event {
            Ok(WatchEvent::Added(object)) => format!("+{}{}", object.name_any(), object.spec.n),
            Ok(WatchEvent::Modified(object)) => format!("~{}{}", object.name_any(), object.spec.n),
            Ok(WatchEvent::Deleted(object)) => format!("-{}{}", object.name_any(), object.spec.n),
            Ok(WatchEvent::Bookmark(bookmark)) => format!("@{}", bookmark.metadata.resource_version),
            Ok(WatchEvent::Error(status)) => format!("!{}", status.code),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn decodes_events_wherever_the_body_is_cut() {
        check(
            "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"},\"spec\":{\"n\":1}}}\n\n\
             {\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Item\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"5\"}}}\r\n\
             {\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"status\":\"Failure\",\"code\":410}}\n\
             {\"object\":{\"metadata\":{\"name\":\"b\"},\"spec\":{\"n\":2}},\"type\":\"DELETED\"}",
            &["+a1", "@5", "!410", "-b2"],
        );
    }

    #[test]
    fn a_bad_object_is_named_and_the_rest_goes_on() {
        check(
            "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"a\",\"namespace\":\"ns\"},\"spec\":{\"n\":\"x\"}}}\n\
             {\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"b\"},\"spec\":{\"n\":2}}}\n",
            &["decode Item ns/a of a MODIFIED event", "+b2"],
        );
    }

    #[test]
    fn says_what_is_no_event() {
        check("<html>\n", &["read an event of a watch: \"<html>\""]);
        check(
            "{\"type\":\"NEW\",\"object\":{}}\n",
            &["read an event of a watch: 26 bytes that begin like an object"],
        );
        check("{\"type\":\"ADDED\",\"obj", &["the body ended early, after 20 bytes"]);
    }
}
