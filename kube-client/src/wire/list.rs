//! Splits the JSON body of a list into items as the body arrives.

use super::{Split, WireError, scan::ValueScan};
use crate::core::__client::redact_decode_error;
use crate::core::{ListMeta, TypeMeta};
use bytes::{Buf, Bytes, BytesMut};
use serde::de::DeserializeOwned;

/// The kind and metadata of a list.
#[derive(Debug, Default, Clone)]
pub(crate) struct ListHead {
    pub(crate) types: TypeMeta,
    pub(crate) metadata: ListMeta,
}

/// Splits the text of `{"kind": .., "metadata": .., "items": [..]}` into its items, in the order of the body.
///
/// The list's head may come before or after the items. An item within a single frame is a slice of the frame, without
/// a copy.
pub(crate) struct ListSplitter {
    /// The maximum number of bytes in `pending`, which holds an incomplete value, such as an item.
    limit: usize,
    /// The unread part of the last frame.
    frame: Bytes,
    /// The beginning of a value that continues in `frame`. `scan` has already read this beginning.
    pending: BytesMut,
    /// The number of bytes of the body before `pending` and `frame`.
    consumed: u64,
    scan: ValueScan,
    /// The number of white space characters since the last token. More than `limit` are an error.
    blanks: usize,
    state: State,
    /// The key that was read last in the outermost object, such as `items`.
    key: String,
    /// Whether the key `items` has been read. A body without `items` is an error, not an empty list.
    has_items: bool,
    head: ListHead,
}

impl Split for ListSplitter {
    type End = ListHead;

    fn push(&mut self, frame: Bytes) {
        // Normally, the previous frame is empty, because `next` takes all bytes of a frame before returning `None`.
        self.pending.extend_from_slice(&std::mem::replace(&mut self.frame, frame));
    }

    fn next(&mut self) -> Option<Result<Bytes, WireError>> {
        self.next_item().transpose()
    }

    fn finish(mut self) -> Result<(Option<Bytes>, ListHead), WireError> {
        if !self.pending.is_empty() {
            return Err(WireError::Truncated { after: self.consumed + self.pending.len() as u64 });
        }
        match (self.peek(), self.state) {
            (None, State::End) if self.has_items => Ok((None, self.head)),
            (None, State::End) => Err(WireError::List { problem: "\"items\" is missing", at: self.consumed }),
            (None, _) => Err(WireError::Truncated { after: self.consumed }),
            (Some(_), State::End) => {
                Err(WireError::List { problem: "text after its end", at: self.consumed })
            }
            (Some(_), _) => Err(WireError::Truncated { after: self.consumed + self.frame.len() as u64 }),
        }
    }
}

/// The token that is expected next. In the states `Key`, `Value` and `Item`, the splitter reads this token:
/// `frame` begins at the first byte of the token or, if `pending` contains its beginning, within the token.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    KeyOrEnd,
    Key,
    Colon,
    ValueStart,
    Value,
    CommaOrEnd,
    ItemOrEnd,
    Item,
    ItemCommaOrEnd,
    End,
}

impl ListSplitter {
    /// A splitter that returns an error if an incomplete value, such as an item, exceeds `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            frame: Bytes::new(),
            pending: BytesMut::new(),
            consumed: 0,
            scan: ValueScan::default(),
            blanks: 0,
            state: State::default(),
            key: String::new(),
            has_items: false,
            head: ListHead::default(),
        }
    }

    /// The list's head as received so far. API servers send the head before the items. The exception is a
    /// list of whole custom resources, that is, not of their metadata only. In such a list, the `kind` and
    /// `metadata` of the list follow the items.
    pub(crate) fn head(&self) -> &ListHead {
        &self.head
    }

    /// The text of the next complete item; `Ok(None)` if more of the body is needed.
    fn next_item(&mut self) -> Result<Option<Bytes>, WireError> {
        loop {
            if matches!(self.state, State::Key | State::Value | State::Item) {
                let Some(text) = self.take_value()? else { return Ok(None) };
                match self.state {
                    State::Item => {
                        self.state = State::ItemCommaOrEnd;
                        return Ok(Some(text));
                    }
                    State::Key => {
                        self.key = serde_json::from_slice(&text).map_err(head_error)?;
                        self.state = State::Colon;
                    }
                    _ => {
                        self.state = State::CommaOrEnd;
                        self.store_head_value(&text)?;
                    }
                }
                continue;
            }
            let Some(byte) = self.peek() else {
                if self.blanks > self.limit {
                    return Err(WireError::TooLarge { limit: self.limit });
                }
                return Ok(None);
            };
            self.blanks = 0;
            match (self.state, byte) {
                (State::KeyOrEnd, b'"') => self.state = State::Key,
                (State::KeyOrEnd | State::CommaOrEnd, b'}') => self.advance(State::End),
                (State::Colon, b':') => self.advance(State::ValueStart),
                (State::ValueStart, b'[') if self.key == "items" => {
                    self.has_items = true;
                    self.advance(State::ItemOrEnd);
                }
                (State::ValueStart, _) if self.key == "items" && byte != b'n' => {
                    return Err(self.invalid_items_error());
                }
                (State::ValueStart, _) => self.state = State::Value,
                (State::Start, b'{') | (State::CommaOrEnd, b',') => self.advance(State::KeyOrEnd),
                (State::ItemOrEnd | State::ItemCommaOrEnd, b']') => self.advance(State::CommaOrEnd),
                (State::ItemOrEnd, _) => self.state = State::Item,
                (State::ItemCommaOrEnd, b',') => self.advance(State::ItemOrEnd),
                _ => return Err(WireError::List { problem: self.state.problem(), at: self.consumed }),
            }
        }
    }

    /// Skips white space and returns the next byte without consuming it; `None` at the end of the frame.
    fn peek(&mut self) -> Option<u8> {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        let skip = self.frame.iter().position(|byte| !blank(byte)).unwrap_or(self.frame.len());
        self.blanks = self.blanks.saturating_add(skip);
        self.drop_front(skip);
        self.frame.first().copied()
    }

    /// Consumes one byte and enters `state`.
    fn advance(&mut self, state: State) {
        self.drop_front(1);
        self.state = state;
    }

    /// Consumes `count` bytes of the frame.
    fn drop_front(&mut self, count: usize) {
        self.frame.advance(count);
        self.consumed += count as u64;
    }

    /// The text of the next value; `Ok(None)` if more of the body is needed.
    fn take_value(&mut self) -> Result<Option<Bytes>, WireError> {
        let Some(end) = self.scan.feed(&self.frame) else {
            self.pending.extend_from_slice(&std::mem::take(&mut self.frame));
            if self.pending.len() > self.limit {
                return Err(WireError::TooLarge { limit: self.limit });
            }
            return Ok(None);
        };
        self.scan = ValueScan::default();
        let rest = self.frame.split_to(end);
        let value = if self.pending.is_empty() {
            rest
        } else {
            self.pending.extend_from_slice(&rest);
            self.pending.split().freeze()
        };
        self.consumed += value.len() as u64;
        Ok(Some(value))
    }

    fn invalid_items_error(&self) -> WireError {
        WireError::List { problem: "\"items\" is neither a list nor null", at: self.consumed }
    }

    /// Stores `text`, the value of the last key, if this key belongs to the list's head. If the key is `items`, accepts
    /// null as an empty list, and fails for every other text. Drops the values of all other keys.
    fn store_head_value(&mut self, text: &[u8]) -> Result<(), WireError> {
        let head = &mut self.head;
        match self.key.as_str() {
            "kind" => decode_head_value(text).map(|kind| head.types.kind = kind),
            "apiVersion" => decode_head_value(text).map(|version| head.types.api_version = version),
            "metadata" => decode_head_value(text).map(|metadata| head.metadata = metadata),
            "items" if text == b"null" => {
                self.has_items = true;
                Ok(())
            }
            "items" => Err(self.invalid_items_error()),
            _ => Ok(()),
        }
    }
}

impl State {
    /// The error text for an unexpected token in this state.
    fn problem(self) -> &'static str {
        match self {
            Self::Start => "it does not begin with '{'",
            Self::KeyOrEnd | Self::Key => "a key or '}' is missing",
            Self::Colon => "':' is missing after a key",
            Self::CommaOrEnd => "',' or '}' is missing after a value",
            Self::ItemCommaOrEnd => "',' or ']' is missing after an item",
            Self::End => "text after its end",
            Self::ValueStart | Self::Value | Self::ItemOrEnd | Self::Item => "a value is missing",
        }
    }
}

/// Decodes a value of the head; `null` decodes to the default.
fn decode_head_value<T: DeserializeOwned + Default>(text: &[u8]) -> Result<T, WireError> {
    serde_json::from_slice::<Option<T>>(text).map(Option::unwrap_or_default).map_err(head_error)
}

fn head_error(error: serde_json::Error) -> WireError {
    WireError::ListHead(redact_decode_error(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{FieldSet, NotUsed, Object, ResourceExt};
    use crate::wire::ObjectDecoder;
    use serde::Deserialize;

    #[derive(Clone, Debug, Deserialize)]
    struct Spec {
        n: u8,
    }
    type Item = Object<Spec, NotUsed>;

    /// The name and `n` of an item, or its error.
    type ItemSummary = Result<(String, u8), String>;

    /// Pushes `text` in frames of `size` bytes, and decodes the items. Returns the items and the head of the list.
    fn split_and_decode(text: &str, size: usize) -> (Vec<ItemSummary>, Result<ListHead, String>) {
        let (mut splitter, decoder) =
            (ListSplitter::new(usize::MAX), ObjectDecoder::new("Item", &FieldSet::none()));
        let mut items = Vec::new();
        for piece in text.as_bytes().chunks(size) {
            splitter.push(Bytes::copy_from_slice(piece));
            while let Some(item) = splitter.next() {
                let item = item.and_then(|text| decoder.decode_item::<Item>(&text, |_| {}));
                let broken = matches!(item, Err(ref e) if !matches!(e, WireError::Object(_)));
                items.push(item.map(|o| (o.name_any(), o.spec.n)).map_err(|e| e.to_string()));
                if broken {
                    return (items, Err("broken".into()));
                }
            }
        }
        (items, splitter.finish().map(|(_, head)| head).map_err(|e| e.to_string()))
    }

    /// Asserts that the text splits into these items, with frames of every size. Returns the head of the list.
    #[track_caller]
    fn assert_items(text: &str, expected: &[(&str, u8)]) -> ListHead {
        let mut head = None;
        for size in 1..=text.len() {
            let (items, end) = split_and_decode(text, size);
            let items: Vec<_> = items.into_iter().map(Result::unwrap).collect();
            let expected: Vec<_> = expected.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
            assert_eq!(items, expected, "in frames of {size} bytes");
            head = Some(end.unwrap());
        }
        head.unwrap()
    }

    #[test]
    fn items_are_decoded_from_frames_of_any_size() {
        let text = r#"{"kind":"ItemList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":"c"},
            "items":[{"metadata":{"name":"a"},"spec":{"n":1}}, {"metadata":{"name":"]}\"é"},"spec":{"n":2}}]}
            "#;
        let head = assert_items(text, &[("a", 1), ("]}\"é", 2)]);
        assert_eq!(head.types.kind, "ItemList");
        assert_eq!(head.metadata.continue_.as_deref(), Some("c"));
    }

    #[test]
    fn empty_lists_and_a_head_after_the_items_are_accepted() {
        let text = r#"{"items":[{"metadata":{"name":"a"},"spec":{"n":1}}],"extra":[{}],"metadata":{"resourceVersion":"9"}}"#;
        assert_eq!(assert_items(text, &[("a", 1)]).metadata.resource_version.as_deref(), Some("9"));
        assert_items(r#"{"items":[]}"#, &[]);
        assert_items(r#"{"items":null,"metadata":null}"#, &[]);
    }

    #[test]
    fn a_list_continues_after_an_undecodable_object() {
        let text = r#"{"items":[{"metadata":{"name":"bad","namespace":"ns"},"spec":{"n":"x"}},7,
            {"metadata":{"name":"ok"},"spec":{"n":3}}]}"#;
        let (items, end) = split_and_decode(text, 10);
        assert_eq!(items[0], Err("decode Item ns/bad of a list".to_owned()));
        assert_eq!(items[1], Err("decode Item without a readable name of a list".to_owned()));
        assert_eq!(items[2], Ok(("ok".to_owned(), 3)));
        assert!(end.is_ok());
    }

    #[test]
    fn a_body_without_items_is_an_error() {
        for text in ["{}", r#"{"kind":"Status","apiVersion":"v1","metadata":{}}"#] {
            let end = split_and_decode(text, 3).1.unwrap_err();
            assert!(end.starts_with("read a list: \"items\" is missing"), "{end}");
        }
    }

    #[test]
    fn malformed_text_is_reported_with_its_position() {
        let broken = |text: &str| split_and_decode(text, 7).0.last().cloned().unwrap().unwrap_err();
        assert_eq!(broken("<html>"), "read a list: it does not begin with '{' at byte 0");
        assert_eq!(
            broken(r#"{"items":[{} {}]}"#),
            "read a list: ',' or ']' is missing after an item at byte 13"
        );
        assert_eq!(broken(r#"{"items":[]}x"#), "read a list: text after its end at byte 12");
        assert_eq!(
            broken(r#"{"items":{"a":1}}"#),
            "read a list: \"items\" is neither a list nor null at byte 9"
        );
        for cut in [r#"{"items":["#, r#"{"items":[{"metadata""#, "", r#"{"items":[]"#] {
            let end = if cut.is_empty() {
                ListSplitter::new(usize::MAX).finish().map(|(_, head)| head).map_err(|e| e.to_string())
            } else {
                split_and_decode(cut, 3).1
            };
            assert!(end.unwrap_err().starts_with("the body ended early"), "{cut}");
        }
    }
}
