//! Splits the body of a watch into events while the body arrives, and decodes the events.

use super::protobuf::{self, JsonText};
use super::scan::{ValueScan, may_hold_consecutive_objects};
use super::{BodyFormat, FilterDepth, ObjectDecoder, Split, WireError, json, partial_object};
use crate::core::{ObjectOrigin, PartialObjectMeta, WatchEvent};
use bytes::{Buf, Bytes, BytesMut};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// Splits the body of a watch into events, as client-go's framer does: the events are consecutive JSON objects, and white
/// space may be between and within the objects. API servers write one event per line; the splitter recognises such a line
/// without counting its brackets.
///
/// The body arrives in frames. An event within a single frame is a slice of the frame, without a copy. If the splitter
/// notices that text is malformed, for example because the text does not begin with `{`, the splitter emits the text up to
/// the end of the line. The decoder can then report the text immediately instead of at the end of the watch.
pub(crate) struct EventSplitter {
    /// The maximum size of an incomplete event in `pending`, in bytes.
    limit: usize,
    /// The unread part of the last frame.
    frame: Bytes,
    /// The beginning of an event, or of other text, that continues in `frame`.
    pending: BytesMut,
    /// Finds the end of the event that begins in `pending`. `scan` has already read the text of `pending`.
    scan: ValueScan,
}

impl EventSplitter {
    /// A splitter that returns an error if an incomplete event exceeds `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, frame: Bytes::new(), pending: BytesMut::new(), scan: ValueScan::default() }
    }

    /// The number of bytes that were pushed and have not been emitted.
    pub(crate) fn buffered_bytes(&self) -> usize {
        self.pending.len() + self.frame.len()
    }

    /// Removes the text in `pending`. Returns this text, followed by `rest`.
    fn take_piece(&mut self, rest: Bytes) -> Bytes {
        self.scan = ValueScan::default();
        if self.pending.is_empty() {
            return rest;
        }
        self.pending.extend_from_slice(&rest);
        self.pending.split().freeze()
    }

    /// The next event, or text that cannot be an event; `None` if more of the body is needed.
    fn next_piece(&mut self) -> Option<Bytes> {
        if self.pending.is_empty() {
            self.skip_white_space();
            if self.frame.first() == Some(&b'{')
                && let Some(length) = memchr::memchr(b'\n', &self.frame)
                && is_one_event(&self.frame[..length], self.frame.get(length + 1))
            {
                let line = self.frame.split_to(length);
                self.frame.advance(1);
                return Some(line);
            }
        }
        while !self.frame.is_empty() {
            if self.pending.last() == Some(&b'\n') {
                self.skip_white_space();
                if self.frame.first() == Some(&b'{') && !may_precede_object(&self.pending) {
                    return Some(self.take_piece(Bytes::new()));
                }
            }
            let line_end = memchr::memchr(b'\n', &self.frame).map(|at| at + 1);
            let line = line_end.unwrap_or(self.frame.len());
            let is_object = self.pending.first().or(self.frame.first()) == Some(&b'{');
            let end = if is_object { self.scan.feed(&self.frame[..line]) } else { line_end };
            let rest = self.frame.split_to(end.unwrap_or(line));
            // A JSON string cannot contain a line end: if a string is still open at the line end, the event is
            // malformed. Emit the event, so that the decoder reports it.
            if end.is_some() || line_end.is_some() && self.scan.is_in_string() {
                return Some(self.take_piece(rest));
            }
            self.pending.extend_from_slice(&rest);
        }
        None
    }

    fn skip_white_space(&mut self) {
        let length = self.frame.len() - self.frame.trim_ascii_start().len();
        self.frame.advance(length);
    }
}

/// Returns true only if `line` is exactly one object or is malformed. `line` must begin with `{`. `next` is
/// the first byte of the next line.
///
/// In JSON, `{` follows `}` only between two objects. So if `line` ends with `}` and the next line begins
/// with `{`, the end of `line` is the end of an object. This function does not count brackets, so it may
/// return false for a line that is one object.
fn is_one_event(line: &[u8], next: Option<&u8>) -> bool {
    line.trim_ascii_end().last() == Some(&b'}') && next == Some(&b'{') && !may_hold_consecutive_objects(line)
}

/// Whether `{` may follow `text` within the same value.
fn may_precede_object(text: &[u8]) -> bool {
    matches!(text.trim_ascii_end().last(), Some(b':' | b',' | b'['))
}

impl Split for EventSplitter {
    type End = ();

    fn push(&mut self, frame: Bytes) {
        // Normally, the previous frame is empty: `next` reads the whole frame before it returns `None`. As a
        // precaution, this line keeps the bytes that remain in the previous frame.
        self.pending.extend_from_slice(&std::mem::replace(&mut self.frame, frame));
    }

    fn next(&mut self) -> Option<Result<Bytes, WireError>> {
        match self.next_piece() {
            Some(piece) => Some(Ok(piece)),
            None if self.pending.len() > self.limit => Some(Err(WireError::TooLarge { limit: self.limit })),
            None => None,
        }
    }

    /// Emits the remaining text, which cannot be an event. The decoder then returns an error that describes
    /// the text. If the text begins with `{`, the event is incomplete: this method returns an error instead.
    fn finish(mut self) -> Result<(Option<Bytes>, ()), WireError> {
        let rest = std::mem::take(&mut self.frame);
        let rest = self.take_piece(rest);
        match rest.trim_ascii().first() {
            Some(b'{') => Err(WireError::Truncated { after: rest.len() as u64 }),
            first => Ok((first.is_some().then_some(rest), ())),
        }
    }
}

/// A watch event with the text of its object.
#[derive(Deserialize)]
struct RawEvent<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// The origin of the object in an event of this type; `None` for bookmarks, errors and unknown types.
pub(super) fn event_origin(event_type: &str) -> Option<ObjectOrigin> {
    Some(match event_type {
        "ADDED" => ObjectOrigin::Added,
        "MODIFIED" => ObjectOrigin::Modified,
        "DELETED" => ObjectOrigin::Deleted,
        _ => return None,
    })
}

impl ObjectDecoder {
    /// Decodes an event in one pass. If decoding fails, reads the piece again to report the object and the position.
    pub(crate) fn decode_event<K: DeserializeOwned>(&self, piece: &[u8]) -> Result<WatchEvent<K>, WireError> {
        let text = self.event_text(piece, false).map_err(|error| self.malformed_event_error(piece, error))?;
        json::decode(&text, &self.skipped_in_event).map_err(|error| match self.event_text(piece, true) {
            Ok(_) => self.event_error::<K>(&text, error),
            Err(error) => self.malformed_event_error(piece, error),
        })
    }

    /// The JSON of an event. With `checks_utf8`, a Protobuf string that is not UTF-8 is an error with the path of its
    /// field.
    pub(super) fn event_text<'a>(
        &self,
        piece: &'a [u8],
        checks_utf8: bool,
    ) -> serde_json::Result<JsonText<'a>> {
        match self.format() {
            BodyFormat::Json => Ok(JsonText::Borrowed(piece)),
            BodyFormat::Protobuf(kind) => {
                protobuf::event_to_json(piece, kind.as_deref(), &self.skipped_in_object, checks_utf8)
            }
        }
    }

    /// The error for a malformed event in Protobuf.
    pub(super) fn malformed_event_error(&self, piece: &[u8], source: serde_json::Error) -> WireError {
        if let Some((event_type, identity)) = protobuf::event_identity_to_json(piece)
            && let Some(origin) = event_origin(event_type)
        {
            return self.undecodable_object_error(&identity, origin, source);
        }
        WireError::Event { text: format!("{} bytes of Protobuf", piece.len()), source }
    }

    /// The origin and metadata of an event's object; `None` for bookmarks, errors, unknown types and objects without
    /// readable metadata.
    pub(crate) fn peek_event<K>(
        &self,
        piece: &[u8],
        depth: FilterDepth,
    ) -> Option<(ObjectOrigin, PartialObjectMeta<K>)> {
        let (event_type, head) = match self.format() {
            BodyFormat::Json => json::read_event_head(piece, depth).ok()?,
            BodyFormat::Protobuf(_) => {
                let (event_type, head) = protobuf::peek_event(piece, depth)?;
                (event_type.into(), head)
            }
        };
        Some((event_origin(&event_type)?, partial_object(head)))
    }

    /// The error for an event that does not decode: [`WireError::Object`] if [`event_origin`] knows the type of the event
    /// and the text of the object is readable, otherwise [`WireError::Event`].
    fn event_error<K: DeserializeOwned>(&self, event: &[u8], error: serde_json::Error) -> WireError {
        let malformed = |source| WireError::Event { text: excerpt(event), source };
        // Bytes that are not UTF-8 affect only one object; the error must contain the name of that object.
        let text = String::from_utf8_lossy(event);
        let Ok(raw_event) = serde_json::from_str::<RawEvent<'_>>(&text) else { return malformed(error) };
        let Some(origin) = event_origin(raw_event.event_type) else { return malformed(error) };
        let object = raw_event.object.get().as_bytes();
        // Decode only the object, so that the error has the position within the object.
        let source = json::decode::<K>(object, &self.skipped_in_object).err().unwrap_or(error);
        self.undecodable_object_error(object, origin, source)
    }
}

/// An excerpt of a malformed event, for an error message. If the event begins with `{`, the message contains only the size
/// of the event: a JSON object may hold secrets.
fn excerpt(event: &[u8]) -> String {
    const LIMIT: usize = 80;
    let event = event.trim_ascii();
    if event.starts_with(b"{") {
        return format!("{} bytes that begin with '{{'", event.len());
    }
    let text = String::from_utf8_lossy(&event[..event.len().min(LIMIT)]).escape_debug().to_string();
    if event.len() > LIMIT { format!("\"{text}...\"") } else { format!("\"{text}\"") }
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

    /// Splits and decodes `text` with frames of every size. Compares the [`summary`] of each event.
    #[track_caller]
    fn assert_events(text: &str, expected: &[&str]) {
        for size in 1..=text.len() {
            let (mut splitter, decoder) =
                (EventSplitter::new(usize::MAX), ObjectDecoder::new("Item", &FieldSet::none()));
            let mut found = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                splitter.push(Bytes::copy_from_slice(piece));
                let events = std::iter::from_fn(|| splitter.next());
                found.extend(events.map(|line| summary(line.and_then(|line| decoder.decode_event(&line)))));
            }
            match splitter.finish() {
                Ok((rest, ())) => found.extend(rest.map(|line| summary(decoder.decode_event(&line)))),
                Err(error) => found.push(error.to_string()),
            }
            assert_eq!(found, expected, "in frames of {size} bytes");
        }
    }

    /// An event as text: a sign for its type, then the name and `n` of its object. In a bookmark, the resource version
    /// follows the sign; in an error event, the code follows the sign.
    fn summary(event: Result<WatchEvent<Item>, WireError>) -> String {
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
    fn events_are_decoded_from_frames_of_any_size() {
        assert_events(
            "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"},\"spec\":{\"n\":1}}}\n\n\
             {\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Item\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"5\"}}}\r\n\
             {\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"status\":\"Failure\",\"code\":410}}\n\
             {\"object\":{\"metadata\":{\"name\":\"b\"},\"spec\":{\"n\":2}},\"type\":\"DELETED\"}",
            &["+a1", "@5", "!410", "-b2"],
        );
    }

    #[test]
    fn events_on_one_line_are_separate_events() {
        assert_events(
            r#"{"type":"ADDED","object":{"metadata":{"name":"a"},"spec":{"n":1}}}{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"5","annotations":{"a":"}{","b":"x {"}}}} {"type":"DELETED","object":{"metadata":{"name":"b"},"spec":{"n":2}}}
{"type":"DELETED","object":{"metadata":{"name":"c"},"spec":{"n":3}}}"#,
            &["+a1", "@5", "-b2", "-c3"],
        );
    }

    #[test]
    fn an_event_may_span_lines() {
        assert_events(
            "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"},\"spec\":{\"n\":1}}\n}\n\
             {\"type\":\"BOOKMARK\",\"object\":\n{\"metadata\":\r\n\n {\"resourceVersion\":\"5\"}}}\n\
             {\n  \"object\": {\n    \"metadata\": {\n \"name\": \"b\"\n},\n\"spec\":{\"n\":2\n}\n},\n\"type\": \"DELETED\"}",
            &["+a1", "@5", "-b2"],
        );
    }

    #[test]
    fn an_event_without_a_line_end_is_emitted_before_more_text_arrives() {
        let mut splitter = EventSplitter::new(usize::MAX);
        let text = br#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"5"}}}"#;
        splitter.push(Bytes::from_static(&text[..20]));
        assert!(splitter.next().is_none());
        splitter.push(Bytes::from_static(&text[20..]));
        assert_eq!(splitter.next().unwrap().unwrap(), text.as_slice());
        assert!(splitter.next().is_none());
    }

    #[test]
    fn a_body_that_ends_within_an_event_is_reported_as_truncated() {
        let event = r#"{"type":"ADDED","object":{"metadata":{"name":"a"},"spec":{"n":1}}}"#;
        for cut in [1, 20, event.len() - 1] {
            let error = format!("the body ended early, after {cut} bytes");
            assert_events(&format!("{event}\n{}", &event[..cut]), &["+a1", &error]);
        }
        assert_events(&format!("{event}\n \n"), &["+a1"]);
    }

    #[test]
    fn a_malformed_line_is_emitted_before_the_watch_ends() {
        for broken in ["{\"type\":\"ADDED\",\"object\":{}\n", "{\"type\":\"ADDED\n"] {
            let mut splitter = EventSplitter::new(usize::MAX);
            splitter.push(Bytes::from(format!("{broken}{{\"type\":\"BOOKMARK\"}}")));
            let piece = splitter.next().unwrap().unwrap();
            assert_eq!(piece.trim_ascii_end(), broken.trim_end().as_bytes());
            assert_eq!(splitter.next().unwrap().unwrap(), "{\"type\":\"BOOKMARK\"}");
        }
    }

    #[test]
    fn a_bookmark_may_have_null_annotations() {
        assert_events(
            "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Item\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"5\",\"annotations\":null}}}\n",
            &["@5"],
        );
    }

    #[test]
    fn a_watch_continues_after_an_undecodable_object() {
        assert_events(
            "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"name\":\"a\",\"namespace\":\"ns\"},\"spec\":{\"n\":\"x\"}}}\n\
             {\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"b\"},\"spec\":{\"n\":2}}}\n",
            &["decode Item ns/a of a MODIFIED event", "+b2"],
        );
    }

    #[test]
    fn bytes_that_are_not_utf8_affect_only_their_object() {
        let decoder = ObjectDecoder::new("ConfigMap", &FieldSet::managed_fields());
        let event = |value: &[u8]| {
            let before = br#"{"type":"ADDED","object":{"metadata":{"name":"a"},"data":{"k":""#;
            [before, value, br#""}}}"#.as_slice()].concat()
        };
        let good = decoder.decode_event::<k8s_openapi::api::core::v1::ConfigMap>(&event(b"ok"));
        assert!(matches!(good, Ok(WatchEvent::Added(_))));
        let bad =
            decoder.decode_event::<k8s_openapi::api::core::v1::ConfigMap>(&event(b"\xff\xfe")).unwrap_err();
        assert!(matches!(bad, WireError::Object(_)), "{bad}");
        assert_eq!(bad.to_string(), "decode ConfigMap a of an ADDED event");
    }

    #[test]
    fn text_that_is_not_an_event_is_reported() {
        assert_events("<html>\n", &["read an event of a watch: \"<html>\""]);
        assert_events(
            "{\"type\":\"NEW\",\"object\":{}}\n",
            &["read an event of a watch: 26 bytes that begin with '{'"],
        );
        assert_events("{\"type\":\"ADDED\",\"obj", &["the body ended early, after 20 bytes"]);
        assert_events("<htm", &["read an event of a watch: \"<htm\""]);
    }
}
