//! Finds where one JSON value ends, in pieces as they arrive, without building anything; and how many elements a list has.
//!
//! Nesting is only counted: whether brackets pair up is left to the decoder that reads the value afterwards.
#![expect(
    clippy::inline_always,
    reason = "vector instructions are known only within the function that was dispatched to"
)]

use super::block::{BLOCK, Block};
use fearless_simd::{Level, Simd, dispatch};

/// The progress within one value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ValueScan {
    state: State,
    strings: Strings,
    depth: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    Scalar,
    String,
    Container,
}

impl ValueScan {
    /// Scans on. `Some(n)`: the value ends before `text[n]`; `None`: it goes on after `text`.
    ///
    /// The first byte of a value is the first that is handed in; white space before it is not skipped.
    pub(super) fn feed(&mut self, text: &[u8]) -> Option<usize> {
        match self.state {
            State::Start => match text.first()? {
                b'{' | b'[' => {
                    self.state = State::Container;
                    dispatch!(Level::new(), simd => self.container(simd, text))
                }
                b'"' => {
                    self.state = State::String;
                    self.string(&text[1..]).map(|end| 1 + end)
                }
                _ => {
                    self.state = State::Scalar;
                    scalar(text)
                }
            },
            State::Scalar => scalar(text),
            State::String => self.string(text),
            State::Container => dispatch!(Level::new(), simd => self.container(simd, text)),
        }
    }

    /// Whether what was scanned ends within a string.
    pub(super) fn is_in_string(&self) -> bool {
        match self.state {
            State::Start | State::Scalar => false,
            State::String => true,
            State::Container => self.strings.inside,
        }
    }

    #[inline(always)]
    fn container<S: Simd>(&mut self, simd: S, text: &[u8]) -> Option<usize> {
        let (strings, depth) = (&mut self.strings, &mut self.depth);
        let last = blocks(
            simd,
            text,
            #[inline(always)]
            |block, length| {
                let Outside { open, close, .. } = strings.outside(block, length);
                if *depth > ones(close) {
                    *depth = *depth + ones(open) - ones(close);
                    return None;
                }
                let mut marks = open | close;
                while let Some(mark) = take_first(&mut marks) {
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

    /// Behind the quote that opens it.
    fn string(&mut self, text: &[u8]) -> Option<usize> {
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

fn scalar(text: &[u8]) -> Option<usize> {
    text.iter().position(|byte| matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t'))
}

/// Whether some `{` may stand directly behind a value: behind `}`, or white space, which may stand behind it. False for compact
/// JSON of one value, unless its strings look like that.
pub(super) fn may_hold_objects_in_a_row(text: &[u8]) -> bool {
    dispatch!(Level::new(), simd => objects_in_a_row(simd, text))
}

#[inline(always)]
fn objects_in_a_row<S: Simd>(simd: S, text: &[u8]) -> bool {
    let mut behind = 0;
    blocks(
        simd,
        text,
        #[inline(always)]
        |block, _| {
            let before = block.equal(b'}') | block.white_space();
            let found = block.equal(b'{') & (before << 1 | behind);
            behind = before >> (BLOCK - 1);
            (found != 0).then_some(())
        },
    )
    .is_some()
}

/// How many elements a list has. `text` begins behind its bracket; `None` where the list does not end in it.
pub(super) fn count_elements(text: &[u8]) -> Option<usize> {
    let first = text.iter().find(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'))?;
    if *first == b']' {
        return Some(0);
    }
    dispatch!(Level::new(), simd => count(simd, text))
}

#[inline(always)]
fn count<S: Simd>(simd: S, text: &[u8]) -> Option<usize> {
    let (mut strings, mut depth, mut elements) = (Strings::default(), 1, 1);
    blocks(
        simd,
        text,
        #[inline(always)]
        |block, length| {
            let Outside { bytes, open, close } = strings.outside(block, length);
            // No comma in here stands between two elements.
            if depth > 1 + ones(close) {
                depth = depth + ones(open) - ones(close);
                return None;
            }
            let comma = block.equal(b',') & bytes;
            let mut marks = open | close | comma;
            while let Some(mark) = take_first(&mut marks) {
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

/// Hands the text out block by block, the last one filled up with zeroes, each with how many of its bytes are text; the first
/// answer, an offset within its block, as one within the text.
#[inline(always)]
fn blocks<S: Simd, T: Within>(
    simd: S,
    text: &[u8],
    mut f: impl FnMut(Block<S>, usize) -> Option<T>,
) -> Option<T> {
    let (whole, rest) = text.as_chunks::<BLOCK>();
    for (index, bytes) in whole.iter().enumerate() {
        if let Some(found) = f(Block::new(simd, bytes), BLOCK) {
            return Some(found.behind(index * BLOCK));
        }
    }
    if rest.is_empty() {
        return None;
    }
    let mut bytes = [0; BLOCK];
    bytes[..rest.len()].copy_from_slice(rest);
    f(Block::new(simd, &bytes), rest.len()).map(|found| found.behind(whole.len() * BLOCK))
}

/// What is found within a block.
trait Within {
    /// The same within the text, of which so many bytes come before the block.
    fn behind(self, before: usize) -> Self;
}

impl Within for usize {
    fn behind(self, before: usize) -> Self {
        self + before
    }
}

impl Within for () {
    fn behind(self, _: usize) {}
}

/// Which bytes are inside strings, block after block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Strings {
    /// Whether the next block begins inside of one.
    inside: bool,
    /// Whether the next block's first byte comes behind a backslash.
    escaped: bool,
}

/// The bytes of a block that are outside of strings, those behind its end included, and the brackets among them.
struct Outside {
    bytes: u64,
    open: u64,
    close: u64,
}

impl Strings {
    /// What of the next block is outside of strings.
    #[inline(always)]
    fn outside<S: Simd>(&mut self, block: Block<S>, length: usize) -> Outside {
        let mut backslashes = block.equal(b'\\');
        let mut quotes = block.equal(b'"');
        if backslashes != 0 || self.escaped {
            let mut escaped = u64::from(std::mem::take(&mut self.escaped));
            backslashes &= !escaped;
            while let Some(backslash) = take_first(&mut backslashes) {
                let next = backslash << 1;
                self.escaped = backslash.trailing_zeros() as usize + 1 == length;
                escaped |= next;
                backslashes &= !next;
            }
            quotes &= !escaped;
        }
        let inside = parity(quotes) ^ if self.inside { u64::MAX } else { 0 };
        self.inside = inside >> (BLOCK - 1) != 0;
        let (open, close) = block.brackets();
        Outside { bytes: !inside, open: open & !inside, close: close & !inside }
    }
}

/// Each bit tells whether an odd number of bits is set up to it.
#[inline(always)]
fn parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// The lowest bit that is set, which is cleared.
#[inline(always)]
fn take_first(bits: &mut u64) -> Option<u64> {
    let first = *bits & bits.wrapping_neg();
    *bits ^= first;
    (first != 0).then_some(first)
}

#[inline(always)]
fn ones(bits: u64) -> usize {
    bits.count_ones() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `text` in pieces of every size; the value ends after `expected` bytes each time.
    #[track_caller]
    fn check(text: &str, expected: Option<usize>) {
        for size in 1..=text.len() {
            let (mut scan, mut before, mut found) = (ValueScan::default(), 0, None);
            for piece in text.as_bytes().chunks(size) {
                if let Some(end) = scan.feed(piece) {
                    found = Some(before + end);
                    break;
                }
                before += piece.len();
            }
            assert_eq!(found, expected, "{text} in pieces of {size}");
        }
    }

    #[test]
    fn finds_the_end_of_every_kind_of_value() {
        check(r#"{"a":[1,{"b":"}"}]},"#, Some(19));
        check(r#"["]\"",{}] "#, Some(10));
        check(r#""a\\",1"#, Some(5));
        check("12.5e3,", Some(6));
        check("null}", Some(4));
        check(r#"{"a":"\\\""#, None);
        check("12", None);
    }

    #[test]
    fn finds_ends_beyond_a_block() {
        let quoted = |n: usize| format!("\\\"{}]}}", "x".repeat(n));
        for n in 0..150 {
            let value = format!(r#"{{"a":[{{"b":"{}"}},"{}\\"],"c":{{}}}}"#, quoted(n), quoted(n / 2));
            check(&value.replace('\u{20}', ""), Some(value.len()));
            check(&format!("{value},{value}"), Some(value.len()));
            check(&format!("[{}", &value[1..]), Some(value.len()));
        }
    }

    #[test]
    fn finds_objects_in_a_row_wherever_they_meet() {
        for n in 0..150 {
            let object = format!(r#"{{"a":[{{"b":"{}"}},{{"c":{{}}}}]}}"#, "x".repeat(n));
            assert!(!may_hold_objects_in_a_row(object.as_bytes()), "{n}");
            for between in ["", " ", "\t \r"] {
                assert!(may_hold_objects_in_a_row(format!("{object}{between}{object}").as_bytes()), "{n}");
            }
        }
    }

    #[test]
    fn counts_elements() {
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
