//! Finds the end of a JSON value in text that arrives in frames, counts the elements of a list, and detects
//! text that may contain a second object after the first.
//!
//! This module must not allocate. It does not distinguish the types of brackets, so it accepts `[}`. The
//! decoder checks that the opening and closing brackets of the values that it decodes match.
#![expect(
    clippy::inline_always,
    reason = "vector instructions are enabled only within the dispatched function, so its callees have to be inlined"
)]

use super::block::{BLOCK_BYTES, Block, Vectors};
use archmage::{incant, magetypes};

/// A scan for the end of one value, which may arrive in several parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ValueScan {
    state: State,
    strings: StringState,
    depth: usize,
}

/// The type of the value; `Start` before its first byte. A scalar is a number, `true`, `false` or `null`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    Scalar,
    String,
    Container,
}

impl ValueScan {
    /// Continues the scan. `Some(n)`: the value ends before `text[n]`. `None`: the value may continue after `text`.
    ///
    /// The first text must begin with the first byte of the value, without white space before it.
    pub(super) fn feed(&mut self, text: &[u8]) -> Option<usize> {
        if self.state == State::Start {
            self.state = match text.first()? {
                b'{' | b'[' => State::Container,
                b'"' => {
                    self.state = State::String;
                    return self.scan_string(&text[1..]).map(|end| 1 + end);
                }
                _ => State::Scalar,
            };
        }
        match self.state {
            State::Start | State::Scalar => scalar_end(text),
            State::String => self.scan_string(text),
            State::Container => incant!(scan_container(self, text), [v3, v1, neon, scalar]),
        }
    }

    /// Whether the scanned text ends within a string. Must be called only while [`feed`](Self::feed) returns `None`.
    pub(super) fn is_in_string(&self) -> bool {
        match self.state {
            State::Start | State::Scalar => false,
            State::String => true,
            State::Container => self.strings.inside,
        }
    }

    /// Continues the scan of a string after the opening quote.
    fn scan_string(&mut self, text: &[u8]) -> Option<usize> {
        let mut at = 0;
        if self.strings.escaped && !text.is_empty() {
            (self.strings.escaped, at) = (false, 1);
        }
        loop {
            at += memchr::memchr2(b'"', b'\\', text.get(at..)?)? + 1;
            if text[at - 1] == b'"' {
                return Some(at);
            }
            if at == text.len() {
                self.strings.escaped = true;
                return None;
            }
            at += 1;
        }
    }
}

/// Continues the scan of an object or list.
#[magetypes(v3, v1, neon, scalar)]
fn scan_container(token: Token, scan: &mut ValueScan, text: &[u8]) -> Option<usize> {
    let (strings, depth) = (&mut scan.strings, &mut scan.depth);
    let last = search_blocks(
        token,
        text,
        #[inline(always)]
        |block, length| {
            let MasksOutsideOfStrings { open, close, .. } = strings.mask_block(block, length);
            if *depth > count_ones(close) {
                *depth = *depth + count_ones(open) - count_ones(close);
                return None;
            }
            let mut marks = open | close;
            while let Some(mark) = take_lowest_bit(&mut marks) {
                if open & mark != 0 {
                    *depth += 1;
                } else {
                    *depth = depth.saturating_sub(1);
                    if *depth == 0 {
                        return Some(mark.trailing_zeros() as usize);
                    }
                }
            }
            None
        },
    );
    last.map(|last| last + 1)
}

/// The offset of the byte after a scalar; `None` if the scalar may continue after `text`.
fn scalar_end(text: &[u8]) -> Option<usize> {
    text.iter().position(|byte| matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t'))
}

/// Whether `text` may contain a second object after the end of the first. Returns true if at least one `{`
/// directly follows a `}`, white space or a control character. Compact JSON of one value contains such a pair
/// of bytes only in strings.
pub(super) fn may_hold_consecutive_objects(text: &[u8]) -> bool {
    incant!(finds_consecutive_objects(text), [v3, v1, neon, scalar])
}

/// Implements [`may_hold_consecutive_objects`].
#[magetypes(v3, v1, neon, scalar)]
fn finds_consecutive_objects(token: Token, text: &[u8]) -> bool {
    let mut carry = 0;
    search_blocks(
        token,
        text,
        #[inline(always)]
        |block, _| {
            let before = block.bytes_equal_to(b'}') | block.white_space_or_control();
            let found = block.bytes_equal_to(b'{') & (before << 1 | carry);
            carry = before >> (BLOCK_BYTES - 1);
            (found != 0).then_some(())
        },
    )
    .is_some()
}

/// Counts the elements of a list. `text` begins after the opening bracket of the list. Returns `None` if
/// `text` does not contain the closing bracket.
pub(super) fn count_elements(text: &[u8]) -> Option<usize> {
    let first = text.iter().find(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'))?;
    if *first == b']' {
        return Some(0);
    }
    incant!(count_elements_of_nonempty_list(text), [v3, v1, neon, scalar])
}

/// Counts the elements of a list that is not empty: see [`count_elements`].
#[magetypes(v3, v1, neon, scalar)]
fn count_elements_of_nonempty_list(token: Token, text: &[u8]) -> Option<usize> {
    let (mut strings, mut depth, mut elements) = (StringState::default(), 1, 1);
    search_blocks(
        token,
        text,
        #[inline(always)]
        |block, length| {
            let MasksOutsideOfStrings { bytes, open, close } = strings.mask_block(block, length);
            // The whole block is nested deeper than the elements.
            if depth > 1 + count_ones(close) {
                depth = depth + count_ones(open) - count_ones(close);
                return None;
            }
            let comma = block.bytes_equal_to(b',') & bytes;
            let mut marks = open | close | comma;
            while let Some(mark) = take_lowest_bit(&mut marks) {
                if comma & mark != 0 {
                    elements += usize::from(depth == 1);
                } else if open & mark != 0 {
                    depth += 1;
                } else {
                    depth -= 1;
                    if depth == 0 {
                        return Some(());
                    }
                }
            }
            None
        },
    )
    .map(|()| elements)
}

/// Calls `search` with each block and its number of text bytes, until `search` returns a result. The last block is
/// padded with zeroes. An offset in the returned result is relative to the whole text.
#[inline(always)]
fn search_blocks<V: Vectors, T: SearchResult>(
    vectors: V,
    text: &[u8],
    mut search: impl FnMut(Block<'_, V>, usize) -> Option<T>,
) -> Option<T> {
    let (whole, rest) = text.as_chunks::<BLOCK_BYTES>();
    for (index, bytes) in whole.iter().enumerate() {
        if let Some(found) = search(Block::new(vectors, bytes), BLOCK_BYTES) {
            return Some(found.offset_by(index * BLOCK_BYTES));
        }
    }
    if rest.is_empty() {
        return None;
    }
    let mut bytes = [0; BLOCK_BYTES];
    bytes[..rest.len()].copy_from_slice(rest);
    search(Block::new(vectors, &bytes), rest.len()).map(|found| found.offset_by(whole.len() * BLOCK_BYTES))
}

/// The result of a search in one block: an offset, or `()` for a search that only tests for a match.
trait SearchResult {
    /// Converts an offset within the block into an offset within the text. The block begins at `start`.
    fn offset_by(self, start: usize) -> Self;
}

impl SearchResult for usize {
    fn offset_by(self, start: usize) -> Self {
        self + start
    }
}

impl SearchResult for () {
    fn offset_by(self, _: usize) {}
}

/// The state that a scan keeps between two blocks: whether the scan is within a JSON string or after a backslash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct StringState {
    /// Whether the next block begins within a string.
    inside: bool,
    /// Whether a backslash escapes the first byte of the next block.
    escaped: bool,
}

/// Bit masks of the bytes outside of strings (including padding), and of the brackets outside of strings.
struct MasksOutsideOfStrings {
    bytes: u64,
    open: u64,
    close: u64,
}

impl StringState {
    /// Continues with the next block, which has `length` bytes of text. Returns the bit masks of this block.
    #[inline(always)]
    fn mask_block<V: Vectors>(&mut self, block: Block<'_, V>, length: usize) -> MasksOutsideOfStrings {
        let mut backslashes = block.bytes_equal_to(b'\\');
        let mut quotes = block.bytes_equal_to(b'"');
        if backslashes != 0 || self.escaped {
            let mut escaped = u64::from(std::mem::take(&mut self.escaped));
            backslashes &= !escaped;
            while let Some(backslash) = take_lowest_bit(&mut backslashes) {
                let next = backslash << 1;
                self.escaped = backslash.trailing_zeros() as usize + 1 == length;
                escaped |= next;
                backslashes &= !next;
            }
            quotes &= !escaped;
        }
        let inside = prefix_xor(quotes) ^ if self.inside { u64::MAX } else { 0 };
        self.inside = inside >> (BLOCK_BYTES - 1) != 0;
        let (open, close) = block.brackets();
        MasksOutsideOfStrings { bytes: !inside, open: open & !inside, close: close & !inside }
    }
}

/// Bit `n` of the result is set if an odd number of the bits `0..=n` of the input is set.
#[inline(always)]
fn prefix_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// Clears the lowest set bit and returns it.
#[inline(always)]
fn take_lowest_bit(bits: &mut u64) -> Option<u64> {
    let first = *bits & bits.wrapping_neg();
    *bits ^= first;
    (first != 0).then_some(first)
}

#[inline(always)]
fn count_ones(bits: u64) -> usize {
    bits.count_ones() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts that the value ends after `expected` bytes, with frames of every size.
    #[track_caller]
    fn assert_end(text: &str, expected: Option<usize>) {
        for size in 1..=text.len() {
            let (mut scan, mut before, mut found) = (ValueScan::default(), 0, None);
            for piece in text.as_bytes().chunks(size) {
                if let Some(end) = scan.feed(piece) {
                    found = Some(before + end);
                    break;
                }
                before += piece.len();
            }
            assert_eq!(found, expected, "{text} in frames of {size} bytes");
        }
    }

    #[test]
    fn the_scan_finds_the_end_of_every_type_of_value() {
        assert_end(r#"{"a":[1,{"b":"}"}]},"#, Some(19));
        assert_end(r#"["]\"",{}] "#, Some(10));
        assert_end(r#""a\\",1"#, Some(5));
        assert_end("12.5e3,", Some(6));
        assert_end("null}", Some(4));
        assert_end(r#"{"a":"\\\""#, None);
        assert_end("12", None);
    }

    #[test]
    fn the_scan_finds_the_end_of_a_value_beyond_the_first_block() {
        let quoted = |n: usize| format!("\\\"{}]}}", "x".repeat(n));
        for n in 0..150 {
            let value = format!(r#"{{"a":[{{"b":"{}"}},"{}\\"],"c":{{}}}}"#, quoted(n), quoted(n / 2));
            assert_end(&value.replace('\u{20}', ""), Some(value.len()));
            assert_end(&format!("{value},{value}"), Some(value.len()));
            assert_end(&format!("[{}", &value[1..]), Some(value.len()));
        }
    }

    #[test]
    fn consecutive_objects_are_detected_at_any_offset() {
        for n in 0..150 {
            let object = format!(r#"{{"a":[{{"b":"{}"}},{{"c":{{}}}}]}}"#, "x".repeat(n));
            assert!(!may_hold_consecutive_objects(object.as_bytes()), "{n}");
            for between in ["", " ", "\t \r"] {
                assert!(may_hold_consecutive_objects(format!("{object}{between}{object}").as_bytes()), "{n}");
            }
        }
    }

    #[test]
    fn the_elements_of_a_complete_list_are_counted() {
        for (text, expected) in [
            ("]", Some(0)),
            (" \n]", Some(0)),
            ("1]", Some(1)),
            (r#""a,\"]",2]"#, Some(2)),
            ("[1,2,[3,4]],{\"a\":[5,6],\"b\":7},8],9", Some(3)),
            ("1,2", None),
            ("", None),
        ] {
            assert_eq!(count_elements(text.as_bytes()), expected, "{text}");
        }
        for n in 1..200 {
            let elements: Vec<_> = (0..n).map(|i| format!(r#"{{"k{i}":[{i},"]"]}}"#)).collect();
            assert_eq!(count_elements(format!("{}],[]", elements.join(",")).as_bytes()), Some(n));
        }
    }
}
