//! Splits a watch into its events as its body arrives, and decodes them.

use super::{MAX_OBJECT_BYTES, Shape, Sight, Split, WireError, json, partial};
use crate::core::{ObjectOrigin, PartialObjectMeta, WatchEvent};
use bytes::{Buf, Bytes, BytesMut};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// Splits a watch into its events, which a server sends as one line of JSON each.
///
/// An event that lies within a frame is a part of that frame, without a copy.
#[derive(Default)]
pub(crate) struct EventSplitter {
    frame: Bytes,
    /// Where the line begins that `frame` goes on with; without a line end.
    begun: BytesMut,
}

impl EventSplitter {
    /// The line that `rest` ends, with what was there of it before.
    fn line(&mut self, rest: Bytes) -> Bytes {
        if self.begun.is_empty() {
            return rest;
        }
        self.begun.extend_from_slice(&rest);
        self.begun.split().freeze()
    }
}

impl Split for EventSplitter {
    type End = ();

    fn push(&mut self, frame: Bytes) {
        // Nothing is left of the frame before once `next` has had nothing more.
        self.begun.extend_from_slice(&std::mem::replace(&mut self.frame, frame));
    }

    fn next(&mut self) -> Option<Result<Bytes, WireError>> {
        loop {
            let Some(length) = memchr::memchr(b'\n', &self.frame) else {
                self.begun.extend_from_slice(&std::mem::take(&mut self.frame));
                let too_large = self.begun.len() > MAX_OBJECT_BYTES;
                return too_large.then_some(Err(WireError::TooLarge { limit: MAX_OBJECT_BYTES }));
            };
            let rest = self.frame.split_to(length);
            self.frame.advance(1);
            let line = self.line(rest);
            if !line.trim_ascii().is_empty() {
                return Some(Ok(line));
            }
        }
    }

    /// The server may not have ended the last line.
    fn finish(mut self) -> Result<(Option<Bytes>, ()), WireError> {
        let rest = std::mem::take(&mut self.frame);
        let line = self.line(rest);
        Ok(((!line.trim_ascii().is_empty()).then_some(line), ()))
    }
}

/// An event around the text of its object.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// How the object of an event of this type has come; `None` where it is about no object.
fn origin(kind: &str) -> Option<ObjectOrigin> {
    Some(match kind {
        "ADDED" => ObjectOrigin::Added,
        "MODIFIED" => ObjectOrigin::Modified,
        "DELETED" => ObjectOrigin::Deleted,
        _ => return None,
    })
}

impl Shape {
    /// Decodes an event, in one pass over the text; only where that fails is the text read again, to tell what is wrong.
    pub(crate) fn event<K: DeserializeOwned>(&self, line: &[u8]) -> Result<WatchEvent<K>, WireError> {
        json::decode(line, &self.event).map_err(|error| self.explain::<K>(line, error))
    }

    /// How an object has come, and its metadata; `None` for events about no object, and where that cannot be read.
    pub(crate) fn peek_event<K>(line: &[u8], sight: Sight) -> Option<(ObjectOrigin, PartialObjectMeta<K>)> {
        let (kind, head) = json::event_head(line, sight).ok()?;
        Some((origin(&kind)?, partial(head)))
    }

    fn explain<K: DeserializeOwned>(&self, line: &[u8], error: serde_json::Error) -> WireError {
        let frame = |source| WireError::Frame { text: excerpt(line), source };
        // Bytes that are no text stand inside one object, and must not hide which one.
        let text = String::from_utf8_lossy(line);
        let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(&text) else { return frame(error) };
        let Some(origin) = origin(envelope.kind) else { return frame(error) };
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
                splitter.push(Bytes::copy_from_slice(piece));
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
    fn a_bookmark_may_have_null_annotations() {
        check(
            "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Item\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"5\",\"annotations\":null}}}\n",
            &["@5"],
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
