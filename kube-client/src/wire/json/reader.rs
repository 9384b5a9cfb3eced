//! `Reader` reads tokens and skips values, and must not call visitors of serde.

mod check;

use super::super::block::{SMALL_BLOCK_BYTES, first_special_byte};
use super::super::scan::ValueScan;
use super::Result;
use serde::de::Error as _;
use std::borrow::Cow;

/// The recursion limit, equal to serde_json's. It does not apply to `skip_value`, which does not recurse.
const MAX_DEPTH: u8 = 127;

/// A cursor in a JSON text.
#[derive(Clone)]
pub(super) struct Reader<'de> {
    text: &'de str,
    at: usize,
    depth: u8,
    /// Bit `n - 1` is set if the list at depth `n` was not read to its `]`: an element failed to decode, or the list
    /// has more elements than the Rust type accepts.
    unclosed_lists: u128,
}

/// An error without a position; `decode` and `cut_skipped_fields` add the position.
#[cold]
#[inline(never)]
pub(super) fn error<T>(problem: &str) -> Result<T> {
    Err(serde_json::Error::custom(problem))
}

/// The error for a text that ends within the incomplete value `what`.
#[cold]
#[inline(never)]
fn unexpected_eof<T>(what: &str) -> Result<T> {
    Err(serde_json::Error::custom(format_args!("EOF while parsing {what}")))
}

impl<'de> Reader<'de> {
    pub(super) fn new(text: &'de str) -> Self {
        Self { text, at: 0, depth: 0, unclosed_lists: 0 }
    }

    /// The text before the cursor.
    pub(super) fn consumed_text(&self) -> &'de [u8] {
        &self.text.as_bytes()[..self.at.min(self.text.len())]
    }

    /// The text after the cursor.
    pub(super) fn rest(&self) -> &'de [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Skips white space and returns the next byte without consuming it; `None` at the end of the text.
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

    /// Like [`peek`](Self::peek), but the end of the text is an error that names the incomplete value `what`.
    #[inline]
    pub(super) fn peek_or_fail(&mut self, what: &str) -> Result<u8> {
        match self.peek() {
            Some(byte) => Ok(byte),
            None => unexpected_eof(what),
        }
    }

    /// Consumes the peeked byte.
    #[inline]
    pub(super) fn consume_byte(&mut self) {
        self.at += 1;
    }

    /// Leaves all objects and lists. Fails if a closing bracket is missing, or if the text after the value contains
    /// anything but white space.
    pub(super) fn expect_end(&mut self) -> Result<()> {
        self.leave_containers_down_to(0)?;
        match self.peek() {
            None => Ok(()),
            Some(_) => error("trailing characters"),
        }
    }

    /// Enters an object or list. Its opening bracket has been peeked.
    #[inline]
    pub(super) fn enter_container(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return error("recursion limit exceeded");
        }
        self.at += 1;
        Ok(())
    }

    /// The number of objects and lists that were entered and not left.
    #[inline]
    pub(super) fn depth(&self) -> u8 {
        self.depth
    }

    /// Leaves an object or list. Its closing bracket has been peeked.
    #[inline]
    pub(super) fn leave_container(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    /// Reads the closing brackets of all open objects and lists deeper than `depth`. An object is still open if
    /// its visitor returned before the `}`. A list is still open if it was not read to the `]`. Fails if the next
    /// tokens are not these closing brackets.
    #[inline]
    pub(super) fn leave_containers_down_to(&mut self, depth: u8) -> Result<()> {
        if self.depth > depth { self.close_open_containers(depth) } else { Ok(()) }
    }

    /// Reads the closing brackets of all objects and lists deeper than `depth`. The caller has checked that the reader is
    /// deeper than `depth`.
    #[cold]
    fn close_open_containers(&mut self, depth: u8) -> Result<()> {
        while self.depth > depth {
            let list = list_bit(self.depth);
            let bracket = if self.unclosed_lists & list == 0 { b'}' } else { b']' };
            match self.peek() {
                Some(byte) if byte == bracket => self.leave_container(),
                other => return missing_bracket_error(other),
            }
            self.unclosed_lists &= !list;
        }
        Ok(())
    }

    /// Records that the list at `depth` was not read to the `]`. Later,
    /// [`leave_containers_down_to`](Self::leave_containers_down_to) fails if the next token is not this `]`.
    #[cold]
    pub(super) fn mark_list_unclosed(&mut self, depth: u8) {
        self.unclosed_lists |= list_bit(depth);
    }

    /// Leaves the object or list at `depth`. Fails if the next token is not its closing `bracket`.
    #[inline]
    pub(super) fn expect_closing_bracket(&mut self, depth: u8, bracket: u8) -> Result<()> {
        self.leave_containers_down_to(depth)?;
        match self.peek() {
            Some(byte) if byte == bracket => {
                self.leave_container();
                Ok(())
            }
            other => {
                if bracket == b']' {
                    self.mark_list_unclosed(depth);
                }
                missing_bracket_error(other)
            }
        }
    }

    /// Reads `true`, `false` or `null`. The first letter has been peeked.
    #[inline]
    pub(super) fn read_literal(&mut self, literal: &str) -> Result<()> {
        if self.rest().starts_with(literal.as_bytes()) {
            self.at += literal.len();
            return Ok(());
        }
        self.consume_byte();
        error("expected ident")
    }

    /// Reads a string. Its opening quote has been peeked. Strings without escapes are borrowed.
    #[inline]
    pub(super) fn read_string(&mut self) -> Result<Cow<'de, str>> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        // Most strings and nearly all keys end within one small block.
        let short = bytes.get(start..).and_then(|rest| rest.first_chunk()).and_then(first_special_byte);
        let end = match short {
            Some(offset) => start + offset,
            None => find_special_byte(bytes, start),
        };
        if bytes.get(end) == Some(&b'"')
            && let Some(plain) = self.text.get(start..end)
        {
            self.at = end + 1;
            return Ok(Cow::Borrowed(plain));
        }
        self.read_string_with_escapes(end)
    }

    /// Reads a string that contains an escape, contains a control character, or has no closing quote. `first` is the
    /// offset of the first backslash or control character, or the length of the text.
    ///
    /// Field names in `managedFields` and JSON in annotations contain many quotes. Therefore, if all escapes have two
    /// characters, such as `\"`, this function decodes the string without serde_json, and with one allocation of the
    /// exact length.
    #[inline(never)]
    fn read_string_with_escapes(&mut self, first: usize) -> Result<Cow<'de, str>> {
        let bytes = self.text.as_bytes();
        let (mut end, mut escapes) = (first, 0);
        loop {
            match (bytes.get(end), bytes.get(end + 1)) {
                (Some(b'"'), _) => break,
                (Some(b'\\'), Some(letter)) if unescape_letter(*letter).is_some() => {
                    escapes += 1;
                    end = find_special_byte(bytes, end + 2);
                }
                _ => return self.read_string_with_unicode_escapes(first),
            }
        }
        let mut rest = self.text.get(self.at + 1..end).unwrap_or_default();
        let mut string = String::with_capacity(rest.len() - escapes);
        while let Some((plain, escaped)) = rest.split_once('\\') {
            string.push_str(plain);
            let mut letters = escaped.chars();
            string.extend(letters.next().and_then(|letter| unescape_letter(u8::try_from(letter).ok()?)));
            rest = letters.as_str();
        }
        string.push_str(rest);
        self.at = end + 1;
        Ok(Cow::Owned(string))
    }

    /// Reads a string with a Unicode escape, or a string that is not well formed.
    #[cold]
    #[inline(never)]
    fn read_string_with_unicode_escapes(&mut self, first: usize) -> Result<Cow<'de, str>> {
        if first >= self.text.len() {
            self.at = self.text.len();
            return unexpected_eof("a string");
        }
        // The stream deserializer reads one value and does not check the text after it.
        let rest = self.text.get(self.at..).unwrap_or_default();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        let string = values.next().unwrap_or_else(|| error("EOF while parsing a string"));
        self.at += values.byte_offset();
        string.map(Cow::Owned)
    }

    /// Skips a string. Its opening quote has been peeked. Escapes must be well formed. Lone surrogates are accepted:
    /// serde_json also accepts them in ignored strings.
    fn skip_string(&mut self) -> Result<()> {
        let bytes = self.text.as_bytes();
        self.at += 1;
        loop {
            self.at = find_special_byte(bytes, self.at);
            match bytes.get(self.at) {
                Some(b'"') => {
                    self.consume_byte();
                    return Ok(());
                }
                Some(b'\\') => self.at += escape_length(self.rest())?,
                Some(_) => return error("control character (\\u0000-\\u001F) found while parsing a string"),
                None => return unexpected_eof("a string"),
            }
        }
    }

    /// Consumes the next value and returns its text.
    pub(super) fn read_raw_value(&mut self) -> Result<&'de str> {
        self.peek_or_fail("a value")?;
        let start = self.at;
        self.skip_value()?;
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    /// Consumes a string and returns its text with both quotes. The opening quote has been peeked. Escapes are not
    /// checked.
    pub(super) fn read_raw_string(&mut self) -> Result<&'de str> {
        let Some(length) = ValueScan::default().feed(self.rest()) else {
            self.at = self.text.len();
            return unexpected_eof("a string");
        };
        let start = self.at;
        self.at += length;
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    /// Skips the next value. Skips an object or list by counting brackets outside of strings, without validating its
    /// content.
    pub(super) fn skip_value(&mut self) -> Result<()> {
        let first = self.peek_or_fail("a value")?;
        match first {
            b'n' => return self.read_literal("null"),
            b't' => return self.read_literal("true"),
            b'f' => return self.read_literal("false"),
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

    /// Consumes bytes while `belongs` accepts them, and returns them.
    pub(super) fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'de str {
        let length = self.rest().iter().position(|byte| !belongs(*byte)).unwrap_or(self.rest().len());
        let taken = self.text.get(self.at..self.at + length).unwrap_or_default();
        self.at += length;
        taken
    }
}

/// The character that a backslash and `letter` represent; `None` if they are not a two-character escape.
#[inline]
fn unescape_letter(letter: u8) -> Option<char> {
    Some(match letter {
        b'"' | b'\\' | b'/' => char::from(letter),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        _ => return None,
    })
}

/// The length of the escape sequence at the beginning of `text`.
fn escape_length(text: &[u8]) -> Result<usize> {
    match text.get(1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
        Some(b'u') if text.get(2..6).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) => Ok(6),
        Some(_) => error("invalid escape"),
        None => unexpected_eof("a string"),
    }
}

/// The bit of the list at `depth` in `Reader::unclosed_lists`. Depths are 1 to [`MAX_DEPTH`].
fn list_bit(depth: u8) -> u128 {
    1u128.checked_shl(u32::from(depth) - 1).unwrap_or_default()
}

/// The offset of the first quote, backslash or control character from `at` on; the length of `bytes` if there is none.
#[inline(never)]
fn find_special_byte(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<SMALL_BLOCK_BYTES>()) {
        match first_special_byte(chunk) {
            Some(offset) => return at + offset,
            None => at += SMALL_BLOCK_BYTES,
        }
    }
    let special = |byte: &u8| *byte < b' ' || matches!(byte, b'"' | b'\\');
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().position(special).map_or(bytes.len(), |offset| at + offset)
}

/// The error for a missing closing bracket: the text continues with `byte` instead, or ends if `byte` is `None`.
#[cold]
#[inline(never)]
fn missing_bracket_error(byte: Option<u8>) -> Result<()> {
    match byte {
        Some(b',') => error("trailing comma"),
        Some(_) => error("trailing characters"),
        None => unexpected_eof("a value"),
    }
}
