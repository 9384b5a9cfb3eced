//! Finds where one JSON value ends, in pieces as they arrive, without building anything.
//!
//! Nesting is only counted: whether brackets pair up is left to the decoder that reads the value afterwards.

/// The progress within one value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ValueScan {
    depth: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    Scalar,
    Between,
    InString,
    Escaped,
}

impl ValueScan {
    /// Scans on. `Some(n)`: the value ends before `text[n]`; `None`: it goes on after `text`.
    ///
    /// The first byte of a value is the first that is handed in; white space before it is not skipped.
    pub(super) fn feed(&mut self, text: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < text.len() {
            match self.state {
                State::InString => match memchr::memchr2(b'"', b'\\', &text[at..]) {
                    None => return None,
                    Some(offset) => {
                        at += offset + 1;
                        if text[at - 1] == b'\\' {
                            self.state = State::Escaped;
                        } else if self.depth == 0 {
                            return Some(at);
                        } else {
                            self.state = State::Between;
                        }
                    }
                },
                State::Escaped => {
                    at += 1;
                    self.state = State::InString;
                }
                State::Start | State::Between => {
                    let byte = text[at];
                    at += 1;
                    if self.step(byte) {
                        return Some(at);
                    }
                }
                State::Scalar => {
                    let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t');
                    return text[at..].iter().position(ends).map(|offset| at + offset);
                }
            }
        }
        None
    }

    /// One byte outside strings; whether the value ends with it.
    fn step(&mut self, byte: u8) -> bool {
        match byte {
            b'"' => self.state = State::InString,
            b'{' | b'[' => {
                self.depth += 1;
                self.state = State::Between;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ if self.state == State::Start => self.state = State::Scalar,
            _ => {}
        }
        false
    }
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
}
