//! The error texts of Go's JSON decoder. Messages of the API server contain these texts.
//!
//! The scanner in this module only finds syntax errors. `serde_json` parses the values.

use serde_json::Value;

use crate::json::type_name;
use crate::schema::quote;

/// The error text of Go's decoder for text that is not JSON; `None` for JSON.
pub(crate) fn syntax_error(text: &[u8]) -> Option<String> {
    let mut scanner = Scanner { text, at: 0, open: Vec::new() };
    scanner.scan().err()
}

/// The error text of Go's decoder for a value `found` that does not have the Go type `expected`.
pub(crate) fn unmarshal_error(found: &Value, expected: &str) -> String {
    let found = type_name(found);
    format!("json: cannot unmarshal {found} into Go value of type {expected}")
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    /// The objects and lists that contain the current position.
    open: Vec<ObjectOrList>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ObjectOrList {
    Object,
    List,
}

/// What the decoder expects at the current position.
#[derive(Clone, Copy)]
enum Expectation {
    Value,
    /// The first item of a list, or the end of the list.
    ItemOrEnd,
    Key,
    /// The first key of an object, or the end of the object.
    KeyOrEnd,
    /// A comma, or the end of the object or list. After the top-level value, the end of the text.
    Next,
}

impl Scanner<'_> {
    fn scan(&mut self) -> Result<(), String> {
        let mut expected = Expectation::Value;
        loop {
            self.skip_space();
            if let (Expectation::Next, None) = (expected, self.open.last()) {
                return match self.text.get(self.at) {
                    None => Ok(()),
                    Some(_) => Err(self.error("after top-level value")),
                };
            }
            expected = self.step(expected)?;
        }
    }

    fn step(&mut self, expected: Expectation) -> Result<Expectation, String> {
        let byte = self.peek()?;
        match expected {
            Expectation::Next => self.scan_separator_or_end(byte),
            Expectation::ItemOrEnd if byte == b']' => Ok(self.close_object_or_list()),
            Expectation::KeyOrEnd if byte == b'}' => Ok(self.close_object_or_list()),
            Expectation::Value | Expectation::ItemOrEnd => self.scan_value(byte),
            Expectation::Key | Expectation::KeyOrEnd => {
                if byte != b'"' {
                    return Err(self.error("looking for beginning of object key string"));
                }
                self.scan_string()?;
                self.skip_space();
                if self.peek()? != b':' {
                    return Err(self.error("after object key"));
                }
                self.at += 1;
                Ok(Expectation::Value)
            }
        }
    }

    fn scan_separator_or_end(&mut self, byte: u8) -> Result<Expectation, String> {
        let (end, next, context) = match self.open.last() {
            Some(ObjectOrList::Object) => (b'}', Expectation::Key, "after object key:value pair"),
            _ => (b']', Expectation::Value, "after array element"),
        };
        if byte == end {
            return Ok(self.close_object_or_list());
        }
        if byte != b',' {
            return Err(self.error(context));
        }
        self.at += 1;
        Ok(next)
    }

    fn close_object_or_list(&mut self) -> Expectation {
        self.at += 1;
        self.open.pop();
        Expectation::Next
    }

    fn scan_value(&mut self, byte: u8) -> Result<Expectation, String> {
        let opened = match byte {
            b'{' => Some((ObjectOrList::Object, Expectation::KeyOrEnd)),
            b'[' => Some((ObjectOrList::List, Expectation::ItemOrEnd)),
            _ => None,
        };
        if let Some((container, next)) = opened {
            self.open.push(container);
            self.at += 1;
            return Ok(next);
        }
        match byte {
            b'"' => self.scan_string()?,
            b'-' | b'0'..=b'9' => self.scan_number()?,
            b't' => self.scan_literal("true")?,
            b'f' => self.scan_literal("false")?,
            b'n' => self.scan_literal("null")?,
            _ => return Err(self.error("looking for beginning of value")),
        }
        Ok(Expectation::Next)
    }

    fn scan_string(&mut self) -> Result<(), String> {
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    self.at += 1;
                    match self.peek()? {
                        b'u' => {
                            for _ in 0..4 {
                                self.at += 1;
                                if !self.peek()?.is_ascii_hexdigit() {
                                    return Err(self.error("in \\u hexadecimal character escape"));
                                }
                            }
                        }
                        b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => {}
                        _ => return Err(self.error("in string escape code")),
                    }
                }
                0..=0x1f => return Err(self.error("in string literal")),
                _ => {}
            }
            self.at += 1;
        }
        self.at += 1;
        Ok(())
    }

    fn scan_number(&mut self) -> Result<(), String> {
        if self.text[self.at] == b'-' {
            self.at += 1;
            self.require_digit("in numeric literal")?;
        }
        if self.text[self.at] == b'0' {
            self.at += 1;
        } else {
            self.skip_digits();
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.require_digit("after decimal point in numeric literal")?;
            self.skip_digits();
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.text.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.require_digit("in exponent of numeric literal")?;
            self.skip_digits();
        }
        Ok(())
    }

    fn scan_literal(&mut self, word: &str) -> Result<(), String> {
        for letter in word.bytes() {
            if self.peek()? != letter {
                return Err(self.error(&format!("in literal {word} (expecting '{}')", letter as char)));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn require_digit(&self, context: &str) -> Result<(), String> {
        if self.peek()?.is_ascii_digit() { Ok(()) } else { Err(self.error(context)) }
    }

    fn skip_digits(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn skip_space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Result<u8, String> {
        self.text.get(self.at).copied().ok_or_else(|| "unexpected end of JSON input".to_owned())
    }

    /// The error about the byte at the current position.
    fn error(&self, context: &str) -> String {
        // Go prints the byte as a Latin-1 character.
        let character = char::from(self.text[self.at]);
        let shown = match character {
            '\'' => "\\'".to_owned(),
            '"' => "\"".to_owned(),
            other => quote(&other.to_string()).trim_matches('"').to_owned(),
        };
        format!("invalid character '{shown}' {context}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_those_of_go() {
        for (text, expected) in [
            ("", Some("unexpected end of JSON input")),
            ("{", Some("unexpected end of JSON input")),
            ("[1,", Some("unexpected end of JSON input")),
            ("x", Some("invalid character 'x' looking for beginning of value")),
            ("{x", Some("invalid character 'x' looking for beginning of object key string")),
            ("{\"a\" 1}", Some("invalid character '1' after object key")),
            ("{\"a\":1 2}", Some("invalid character '2' after object key:value pair")),
            ("{\"a\":1,}", Some("invalid character '}' looking for beginning of object key string")),
            ("[1 2]", Some("invalid character '2' after array element")),
            ("{} {", Some("invalid character '{' after top-level value")),
            ("\"\n\"", Some("invalid character '\\n' in string literal")),
            ("\"\\x\"", Some("invalid character 'x' in string escape code")),
            ("\"\\u00g0\"", Some("invalid character 'g' in \\u hexadecimal character escape")),
            ("-", Some("unexpected end of JSON input")),
            ("-a", Some("invalid character 'a' in numeric literal")),
            ("1.x", Some("invalid character 'x' after decimal point in numeric literal")),
            ("1e+x", Some("invalid character 'x' in exponent of numeric literal")),
            ("01", Some("invalid character '1' after top-level value")),
            ("trux", Some("invalid character 'x' in literal true (expecting 'e')")),
            ("'", Some("invalid character '\\'' looking for beginning of value")),
            (" {\"a\": [1, -2.5e3, true, null, \"\\u00e4\\n\"], \"b\": {}} ", None),
        ] {
            assert_eq!(syntax_error(text.as_bytes()).as_deref(), expected, "{text}");
        }
    }

    /// The scanner and `serde_json` accept the same texts, except for numbers that are too large for `serde_json`.
    #[test]
    fn scanner_accepts_the_same_texts_as_serde_json() {
        use proptest::prelude::*;
        proptest!(|(text in "[\\[\\]{},:\"truefalsn0-9.e+\\\\ -]{0,12}")| {
            let parsed = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            // `serde_json` refuses numbers outside of the range of f64. In a text of at most 12 characters, only a number
            // with an exponent can be outside of this range.
            let may_overflow = text.contains('e');
            prop_assert!(parsed == syntax_error(text.as_bytes()).is_none() || may_overflow, "{text}");
        });
    }
}
