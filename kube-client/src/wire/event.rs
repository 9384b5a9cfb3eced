//! Splits a watch into its events as its body arrives, and decodes them.

use super::{MAX_OBJECT_BYTES, Shape, Split, WireError, json};
use crate::core::{ObjectOrigin, WatchEvent};
use bytes::{Buf, Bytes, BytesMut};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// Splits a watch into its events, which a server sends as one line of JSON each.
#[derive(Default)]
pub(crate) struct EventSplitter {
    buffer: BytesMut,
    /// Bytes of `buffer` in which there is no line end.
    scanned: usize,
}

impl Split for EventSplitter {
    type End = ();

    fn push(&mut self, frame: &[u8]) {
        self.buffer.extend_from_slice(frame);
    }

    fn next(&mut self) -> Option<Result<Bytes, WireError>> {
        loop {
            let Some(offset) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) else {
                self.scanned = self.buffer.len();
                let too_large = self.scanned > MAX_OBJECT_BYTES;
                return too_large.then_some(Err(WireError::TooLarge { limit: MAX_OBJECT_BYTES }));
            };
            let line = self.buffer.split_to(self.scanned + offset);
            self.buffer.advance(1);
            self.scanned = 0;
            if !line.trim_ascii().is_empty() {
                return Some(Ok(line.freeze()));
            }
        }
    }

    /// The server may not have ended the last line.
    fn finish(self) -> Result<(Option<Bytes>, ()), WireError> {
        let rest = (!self.buffer.trim_ascii().is_empty()).then(|| self.buffer.freeze());
        Ok((rest, ()))
    }
}

impl Shape {
    /// Decodes an event, in one pass over the text; only where that fails is the text read again, to tell what is wrong.
    pub(crate) fn event<K: DeserializeOwned>(&self, line: &[u8]) -> Result<WatchEvent<K>, WireError> {
        json::decode(line, &self.event).map_err(|error| self.explain::<K>(line, error))
    }

    fn explain<K: DeserializeOwned>(&self, line: &[u8], error: serde_json::Error) -> WireError {
        #[derive(Deserialize)]
        struct Envelope<'a> {
            #[serde(rename = "type")]
            kind: &'a str,
            #[serde(borrow)]
            object: &'a RawValue,
        }
        let frame = |source| WireError::Frame { text: excerpt(line), source };
        // Bytes that are no text stand inside one object, and must not hide which one.
        let text = String::from_utf8_lossy(line);
        let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(&text) else { return frame(error) };
        let origin = match envelope.kind {
            "ADDED" => ObjectOrigin::Added,
            "MODIFIED" => ObjectOrigin::Modified,
            "DELETED" => ObjectOrigin::Deleted,
            _ => return frame(error),
        };
        let object = envelope.object.get().as_bytes();
        // Read again without the envelope, so that the position in the message is one in the object.
        self.undecodable(object, origin, self.object::<K>(object).err().unwrap_or(error))
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
    use crate::core::{FieldSet, NotUsed, Object, ResourceExt};

    #[derive(Clone, Debug, Deserialize)]
    struct Spec {
        n: u8,
    }
    type Item = Object<Spec, NotUsed>;

    /// What `text` decodes to in pieces of every size, each event in short.
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        for size in 1..=text.len() {
            let (mut splitter, shape) = (EventSplitter::default(), Shape::new("Item", &FieldSet::none()));
            let mut found = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                splitter.push(piece);
                let events = std::iter::from_fn(|| splitter.next());
                found.extend(events.map(|line| short(line.and_then(|line| shape.event(&line)))));
            }
            let (rest, ()) = splitter.finish().unwrap();
            found.extend(rest.map(|line| short(shape.event(&line))));
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
    fn bytes_that_are_no_text_concern_their_object_alone() {
        let shape = Shape::new("ConfigMap", &FieldSet::managed_fields());
        let event = |value: &[u8]| {
            let before = br#"{"type":"ADDED","object":{"metadata":{"name":"a"},"data":{"k":""#;
            [before, value, br#""}}}"#.as_slice()].concat()
        };
        let good = shape.event::<k8s_openapi::api::core::v1::ConfigMap>(&event(b"ok"));
        assert!(matches!(good, Ok(WatchEvent::Added(_))));
        let bad = shape.event::<k8s_openapi::api::core::v1::ConfigMap>(&event(b"\xff\xfe")).unwrap_err();
        assert!(matches!(bad, WireError::Object(_)), "{bad}");
        assert_eq!(bad.to_string(), "decode ConfigMap a of an ADDED event");
    }

    #[test]
    fn says_what_is_no_event() {
        check("<html>\n", &["read an event of a watch: \"<html>\""]);
        check(
            "{\"type\":\"NEW\",\"object\":{}}\n",
            &["read an event of a watch: 26 bytes that begin like an object"],
        );
        check("{\"type\":\"ADDED\",\"obj", &["read an event of a watch: 20 bytes that begin like an object"]);
    }
}
