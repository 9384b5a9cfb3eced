//! Splits the body of a list or watch into messages as the body arrives.

use super::envelope::{MAGIC_NUMBER, NO_MAGIC_NUMBER, check_content, parse_types};
use super::reader::{Header, HeaderValue, parse_header};
use super::{ProtobufKind, list_metadata_to_json};
use crate::core::FieldSet;
use crate::wire::list::ListHead;
use crate::wire::{Split, WireError, json};
use bytes::{Bytes, BytesMut};

/// The bytes of a body that have arrived and have not been taken. A piece within a single frame is a slice of the
/// frame, without a copy.
#[derive(Default)]
struct Input {
    /// The unread part of the last frame.
    frame: Bytes,
    /// The beginning of a piece that continues in `frame`.
    pending: BytesMut,
    /// The number of bytes of the body before `pending` and `frame`.
    consumed: u64,
}

impl Input {
    fn push(&mut self, frame: Bytes) {
        // Normally, the previous frame is empty: before `Split::next` returns `None`, the splitter takes all bytes of the
        // frame or moves them to `pending`.
        self.pending.extend_from_slice(&std::mem::replace(&mut self.frame, frame));
    }

    /// The first unread bytes, as many as are contiguous in memory.
    fn front(&self) -> &[u8] {
        if self.pending.is_empty() { &self.frame } else { &self.pending }
    }

    /// Moves bytes from `frame` to `pending` if needed, so that [`front`](Self::front) contains the first `length` unread
    /// bytes. Returns false if fewer bytes are unread; then `frame` is empty.
    fn make_contiguous(&mut self, length: usize) -> bool {
        if self.pending.is_empty() {
            if self.frame.len() >= length {
                return true;
            }
            self.pending.extend_from_slice(&std::mem::take(&mut self.frame));
            return false;
        }
        let missing = length.saturating_sub(self.pending.len()).min(self.frame.len());
        self.pending.extend_from_slice(&self.frame.split_to(missing));
        self.pending.len() >= length
    }

    /// Removes and returns the first `length` bytes. [`front`](Self::front) must contain these bytes.
    fn take(&mut self, length: usize) -> Bytes {
        self.consumed += length as u64;
        if self.pending.is_empty() {
            self.frame.split_to(length)
        } else {
            self.pending.split_to(length).freeze()
        }
    }

    /// The number of bytes that have not been taken.
    fn buffered_bytes(&self) -> usize {
        self.pending.len() + self.frame.len()
    }

    /// The error for a body that ended early.
    fn truncated_error(&self) -> WireError {
        WireError::Truncated { after: self.consumed + self.buffered_bytes() as u64 }
    }
}

/// The part of the body that is expected next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    MagicNumber,
    /// A field of the envelope.
    Envelope,
    /// A field of the list. The list has this number of bytes left.
    List(u64),
}

/// Splits the body of a list into its items, in the order of the body.
pub(crate) struct ListSplitter {
    input: Input,
    /// The maximum size of an item or of another field, in bytes.
    limit: usize,
    /// The kind of the items.
    kind: ProtobufKind,
    state: State,
    /// Whether the list in the envelope has begun.
    has_list: bool,
    head: ListHead,
}

/// A field whose value has arrived.
struct Field {
    number: u64,
    /// `None` if the value is a number.
    bytes: Option<Bytes>,
}

impl ListSplitter {
    /// A splitter for items of `kind`. `limit` is the maximum size of an item or of another field, in bytes.
    pub(crate) fn new(limit: usize, kind: ProtobufKind) -> Self {
        let (input, head) = (Input::default(), ListHead::default());
        Self { input, limit, kind, state: State::MagicNumber, has_list: false, head }
    }

    /// The list's head as received so far. API servers send the head before the items.
    pub(crate) fn head(&self) -> &ListHead {
        &self.head
    }

    fn error(&self, problem: &'static str) -> WireError {
        WireError::List { problem, at: self.input.consumed }
    }

    /// The next complete item; `Ok(None)` if more of the body is needed.
    fn next_item(&mut self) -> Result<Option<Bytes>, WireError> {
        loop {
            match self.state {
                State::MagicNumber => {
                    let is_complete = self.input.make_contiguous(MAGIC_NUMBER.len());
                    let start = self.input.front();
                    if !MAGIC_NUMBER.starts_with(&start[..start.len().min(MAGIC_NUMBER.len())]) {
                        return Err(self.error(NO_MAGIC_NUMBER));
                    }
                    if !is_complete {
                        return Ok(None);
                    }
                    self.input.take(MAGIC_NUMBER.len());
                    self.state = State::Envelope;
                }
                State::List(0) => self.state = State::Envelope,
                State::Envelope => {
                    let Some(header) = self.peek_header()? else { return Ok(None) };
                    if let Header { number: 2, value: HeaderValue::Bytes(size), length } = header {
                        self.begin_list(size)?;
                        self.input.take(length);
                        continue;
                    }
                    let Some(field) = self.take_field(header)? else { return Ok(None) };
                    self.store_envelope_field(&field)?;
                }
                State::List(rest) => {
                    let Some(header) = self.peek_header()? else { return Ok(None) };
                    let total = (header.length as u64).saturating_add(match header.value {
                        HeaderValue::Varint(_) => 0,
                        HeaderValue::Bytes(size) => size,
                        HeaderValue::Fixed(size) => size as u64,
                    });
                    let rest = rest
                        .checked_sub(total)
                        .ok_or_else(|| self.error("a field is longer than its list"))?;
                    let Some(field) = self.take_field(header)? else { return Ok(None) };
                    self.state = State::List(rest);
                    match field {
                        Field { number: 1, bytes: Some(metadata) } => self.store_metadata(&metadata)?,
                        Field { number: 2, bytes: Some(item) } => return Ok(Some(item)),
                        Field { number: 1 | 2, .. } => {
                            return Err(self.error("a field of the list is not a message"));
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// Parses the header of the next field, and leaves the header in the input. Returns `Ok(None)` if more of the body is
    /// needed.
    fn peek_header(&mut self) -> Result<Option<Header>, WireError> {
        loop {
            let start = self.input.front();
            if start.is_empty() {
                return Ok(None);
            }
            let length = start.len();
            if let Some(header) = parse_header(start).map_err(|problem| self.error(problem))? {
                return Ok(Some(header));
            }
            if !self.input.make_contiguous(length + 1) {
                return Ok(None);
            }
        }
    }

    /// Removes a field from the input; `Ok(None)` if more of the body is needed.
    fn take_field(&mut self, header: Header) -> Result<Option<Field>, WireError> {
        let size = match header.value {
            HeaderValue::Varint(_) => 0,
            HeaderValue::Bytes(size) => usize::try_from(size).unwrap_or(usize::MAX),
            HeaderValue::Fixed(size) => size,
        };
        if size > self.limit {
            return Err(WireError::TooLarge { limit: self.limit });
        }
        let total = header.length.saturating_add(size);
        if !self.input.make_contiguous(total) {
            return Ok(None);
        }
        let bytes = self.input.take(total).split_off(header.length);
        let bytes = matches!(header.value, HeaderValue::Bytes(_)).then_some(bytes);
        Ok(Some(Field { number: header.number, bytes }))
    }

    /// Begins the list of `size` bytes. Fails if the envelope already had a list, or if the kind in the envelope is not
    /// the list kind of the items.
    fn begin_list(&mut self, size: u64) -> Result<(), WireError> {
        if self.has_list {
            return Err(self.error("the envelope has two lists"));
        }
        let types = &self.head.types;
        self.kind
            .check_types((&types.api_version, &types.kind), "List")
            .map_err(WireError::UnexpectedKind)?;
        self.has_list = true;
        self.state = State::List(size);
        Ok(())
    }

    fn store_envelope_field(&mut self, field: &Field) -> Result<(), WireError> {
        match field {
            Field { number: 1, bytes: Some(types) } => {
                let (api_version, kind) = parse_types(types).map_err(|problem| self.error(problem))?;
                (self.head.types.api_version, self.head.types.kind) = (api_version.into(), kind.into());
                Ok(())
            }
            Field { number: number @ (3 | 4), bytes: Some(value) } => {
                check_content(*number, value).map_err(|problem| self.error(problem))
            }
            Field { number: 1..=4, bytes: _ } => {
                Err(self.error("a field of the envelope has the wrong type"))
            }
            _ => Ok(()),
        }
    }

    fn store_metadata(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let text = list_metadata_to_json(bytes).map_err(WireError::ListHead)?;
        self.head.metadata = json::decode(&text, &FieldSet::none()).map_err(WireError::ListHead)?;
        Ok(())
    }
}

impl Split for ListSplitter {
    type End = ListHead;

    fn push(&mut self, frame: Bytes) {
        self.input.push(frame);
    }

    fn next(&mut self) -> Option<Result<Bytes, WireError>> {
        self.next_item().transpose()
    }

    fn finish(self) -> Result<(Option<Bytes>, ListHead), WireError> {
        let is_complete =
            matches!(self.state, State::Envelope | State::List(0)) && self.input.buffered_bytes() == 0;
        match (is_complete, self.has_list) {
            (true, true) => Ok((None, self.head)),
            (true, false) => Err(self.error("the envelope has no list")),
            (false, _) => Err(self.input.truncated_error()),
        }
    }
}

/// The size of the length prefix of an event, in bytes.
const LENGTH_BYTES: usize = 4;

/// Splits the body of a watch into events. Each event has a length prefix, a big-endian number of four bytes.
pub(crate) struct EventSplitter {
    input: Input,
    /// The maximum size of an event, in bytes.
    limit: usize,
}

impl EventSplitter {
    /// A splitter for events of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { input: Input::default(), limit }
    }

    /// The number of bytes that were pushed and have not been emitted.
    pub(crate) fn buffered_bytes(&self) -> usize {
        self.input.buffered_bytes()
    }
}

impl Split for EventSplitter {
    type End = ();

    fn push(&mut self, frame: Bytes) {
        self.input.push(frame);
    }

    fn next(&mut self) -> Option<Result<Bytes, WireError>> {
        if self.input.buffered_bytes() == 0 || !self.input.make_contiguous(LENGTH_BYTES) {
            return None;
        }
        let length = *self.input.front().first_chunk::<LENGTH_BYTES>()?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > self.limit {
            return Some(Err(WireError::TooLarge { limit: self.limit }));
        }
        let total = LENGTH_BYTES.saturating_add(length);
        if !self.input.make_contiguous(total) {
            return None;
        }
        Some(Ok(self.input.take(total).split_off(LENGTH_BYTES)))
    }

    fn finish(self) -> Result<(Option<Bytes>, ()), WireError> {
        if self.input.buffered_bytes() == 0 { Ok((None, ())) } else { Err(self.input.truncated_error()) }
    }
}
