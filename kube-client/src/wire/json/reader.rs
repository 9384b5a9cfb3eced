//! `Reader`: a place in a text, and the steps that lead on from it.

use super::super::block::{SMALL, first_special};
use super::super::scan::ValueScan;
use super::Result;
use serde::de::Error as _;
use std::borrow::Cow;

/// How deep values may be nested: as deep as serde_json lets them. What is ignored may be nested deeper.
const MAX_DEPTH: u8 = 127;

#[derive(Clone)]
pub(super) struct Reader<'de> {
    text: &'de str,
    at: usize,
    depth: u8,
    /// A bit for each depth at which a list was not left, because of an error in it.
    lists: u128,
}

#[cold]
#[inline(never)]
pub(super) fn error<T>(problem: &str) -> Result<T> {
    Err(serde_json::Error::custom(problem))
}

#[cold]
#[inline(never)]
fn too_early<T>(what: &str) -> Result<T> {
    Err(serde_json::Error::custom(format_args!("EOF while parsing {what}")))
}

impl<'de> Reader<'de> {
    pub(super) fn new(text: &'de str) -> Self {
        Self { text, at: 0, depth: 0, lists: 0 }
    }

    /// What has been read.
    pub(super) fn before(&self) -> &'de [u8] {
        &self.text.as_bytes()[..self.at.min(self.text.len())]
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'de [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// The next byte that is not white space, which is left behind; `None` at the end.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// The next byte that is not white space, or an error that says what ends too early.
    #[inline]
    pub(super) fn need(&mut self, what: &str) -> Result<u8> {
        match self.peek() {
            Some(byte) => Ok(byte),
            None => too_early(what),
        }
    }

    /// Goes behind the byte that was looked at.
    #[inline]
    pub(super) fn bump(&mut self) {
        self.at += 1;
    }

    /// Nothing but white space may follow.
    pub(super) fn end(&mut self) -> Result<()> {
        self.come_up_to(0)?;
        match self.peek() {
            None => Ok(()),
            Some(_) => error("trailing characters"),
        }
    }

    /// Goes into a container, whose bracket was looked at.
    #[inline]
    pub(super) fn enter(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return error("recursion limit exceeded");
        }
        self.at += 1;
        Ok(())
    }

    /// How deep this is.
    #[inline]
    pub(super) fn depth(&self) -> u8 {
        self.depth
    }

    /// Comes out of a container, whose end was looked at.
    #[inline]
    pub(super) fn close(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    /// Comes out of containers deeper than `depth`: objects, which their visitors have left without looking for their end, and
    /// lists that hold an error.
    #[inline]
    pub(super) fn come_up_to(&mut self, depth: u8) -> Result<()> {
        if self.depth > depth { self.come_up(depth) } else { Ok(()) }
    }

    #[cold]
    fn come_up(&mut self, depth: u8) -> Result<()> {
        while self.depth > depth {
            let list = list_at(self.depth);
            let bracket = if self.lists & list == 0 { b'}' } else { b']' };
            match self.peek() {
                Some(byte) if byte == bracket => self.close(),
                other => return not_left(other),
            }
            self.lists &= !list;
        }
        Ok(())
    }

    /// Notes that the list at `depth` was not left: its end has to come before anything else.
    #[cold]
    pub(super) fn stay_in_list(&mut self, depth: u8) {
        self.lists |= list_at(depth);
    }

    /// Comes out of the container at `depth`, at whose end this should stand.
    #[inline]
    pub(super) fn leave(&mut self, depth: u8, bracket: u8) -> Result<()> {
        self.come_up_to(depth)?;
        match self.peek() {
            Some(byte) if byte == bracket => {
                self.close();
                Ok(())
            }
            other => {
                if bracket == b']' {
                    self.stay_in_list(depth);
                }
                not_left(other)
            }
        }
    }

    /// Reads `true`, `false` or `null`, whose first letter was looked at.
    #[inline]
    pub(super) fn literal(&mut self, literal: &str) -> Result<()> {
        if self.rest().starts_with(literal.as_bytes()) {
            self.at += literal.len();
            return Ok(());
        }
        self.bump();
        error("expected ident")
    }

    /// Reads a string, whose quote was looked at.
    #[inline]
    pub(super) fn string(&mut self) -> Result<Cow<'de, str>> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        // Most strings are short, and all keys are.
        let short = bytes.get(start..).and_then(|rest| rest.first_chunk()).and_then(first_special);
        let end = match short {
            Some(offset) => start + offset,
            None => plain_end(bytes, start),
        };
        if bytes.get(end) == Some(&b'"')
            && let Some(plain) = self.text.get(start..end)
        {
            self.at = end + 1;
            return Ok(Cow::Borrowed(plain));
        }
        self.other_string(end)
    }

    /// Reads a string that does not stand for itself, or that does not end.
    #[cold]
    #[inline(never)]
    fn other_string(&mut self, end: usize) -> Result<Cow<'de, str>> {
        if end >= self.text.len() {
            self.at = self.text.len();
            return too_early("a string");
        }
        // Reads one value and leaves what follows alone.
        let rest = self.text.get(self.at..).unwrap_or_default();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        let string = values.next().unwrap_or_else(|| error("EOF while parsing a string"));
        self.at += values.byte_offset();
        string.map(Cow::Owned)
    }

    /// Goes behind a string, whose quote was looked at. Its escapes have to be valid, and need not be text: half of a surrogate
    /// pair may stand alone.
    fn skip_string(&mut self) -> Result<()> {
        let bytes = self.text.as_bytes();
        self.at += 1;
        loop {
            self.at = plain_end(bytes, self.at);
            match bytes.get(self.at) {
                Some(b'"') => {
                    self.bump();
                    return Ok(());
                }
                Some(b'\\') => self.at += escape_length(self.rest())?,
                Some(_) => return error("control character (\\u0000-\\u001F) found while parsing a string"),
                None => return too_early("a string"),
            }
        }
    }

    /// The text of the next value, which is gone behind.
    pub(super) fn raw(&mut self) -> Result<&'de str> {
        self.need("a value")?;
        let start = self.at;
        self.skip()?;
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    /// The text of a string with its quotes, the first of which was looked at. Nothing in it is checked.
    pub(super) fn raw_string(&mut self) -> Result<&'de str> {
        let Some(length) = ValueScan::default().feed(self.rest()) else {
            self.at = self.text.len();
            return too_early("a string");
        };
        let start = self.at;
        self.at += length;
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    /// Goes behind the next value. Of containers only the brackets are looked at.
    pub(super) fn skip(&mut self) -> Result<()> {
        let first = self.need("a value")?;
        match first {
            b'n' => return self.literal("null"),
            b't' => return self.literal("true"),
            b'f' => return self.literal("false"),
            b'"' => return self.skip_string(),
            b'-' | b'0'..=b'9' => return self.skip_number(),
            b'{' | b'[' => {}
            _ => return error("expected value"),
        }
        if let Some(length) = ValueScan::default().feed(self.rest()) {
            self.at += length;
            return Ok(());
        }
        self.at = self.text.len();
        error(if first == b'{' { "EOF while parsing an object" } else { "EOF while parsing a list" })
    }

    /// The bytes that come next and belong together, which are gone behind.
    pub(super) fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'de str {
        let length = self.rest().iter().position(|byte| !belongs(*byte)).unwrap_or(self.rest().len());
        let taken = self.text.get(self.at..self.at + length).unwrap_or_default();
        self.at += length;
        taken
    }
}

/// How long the escape is that a text begins with.
fn escape_length(text: &[u8]) -> Result<usize> {
    match text.get(1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
        Some(b'u') if text.get(2..6).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) => Ok(6),
        Some(_) => error("invalid escape"),
        None => too_early("a string"),
    }
}

/// The bit of a list at a depth, which is at least 1 and at most [`MAX_DEPTH`].
fn list_at(depth: u8) -> u128 {
    1u128.checked_shl(u32::from(depth) - 1).unwrap_or_default()
}

/// Where the part of a string ends that stands for itself; the text's end where the string does not end.
#[inline(never)]
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<SMALL>()) {
        match first_special(chunk) {
            Some(offset) => return at + offset,
            None => at += SMALL,
        }
    }
    let special = |byte: &u8| *byte < b' ' || matches!(byte, b'"' | b'\\');
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().position(special).map_or(bytes.len(), |offset| at + offset)
}

/// What stands where a container should end.
#[cold]
#[inline(never)]
fn not_left(byte: Option<u8>) -> Result<()> {
    match byte {
        Some(b',') => error("trailing comma"),
        Some(_) => error("trailing characters"),
        None => too_early("a value"),
    }
}
