//! Skips values and checks their syntax, unlike [`Reader::skip_value`], which only counts the brackets of objects and
//! lists.

use super::{Reader, Result, error, escape_length, find_special_byte, first_special_byte, unexpected_eof};

impl Reader<'_> {
    /// Skips the next value. Fails if the text of the value is not valid JSON.
    pub(in crate::wire::json) fn check_value(&mut self) -> Result<()> {
        match self.peek_or_fail("a value")? {
            b'{' => self.check_object(),
            b'[' => self.check_list(),
            b'"' => self.check_string(),
            _ => self.skip_value(),
        }
    }

    fn check_object(&mut self) -> Result<()> {
        self.enter_container()?;
        let mut is_first = true;
        while self.advance_to_key(&mut is_first)? {
            self.check_string()?;
            if self.peek_or_fail("an object")? != b':' {
                return error("expected `:`");
            }
            self.consume_byte();
            self.check_value()?;
        }
        Ok(())
    }

    fn check_list(&mut self) -> Result<()> {
        self.enter_container()?;
        let mut is_first = true;
        while self.advance_to_element(&mut is_first)? {
            self.check_value()?;
        }
        Ok(())
    }

    /// Moves to the next key of an object and returns true, or leaves the object and returns false.
    fn advance_to_key(&mut self, is_first: &mut bool) -> Result<bool> {
        match self.peek_or_fail("an object")? {
            b'}' => {
                self.leave_container();
                return Ok(false);
            }
            b'"' if *is_first => {}
            b',' if !*is_first => {
                self.consume_byte();
                match self.peek_or_fail("an object")? {
                    b'"' => {}
                    b'}' => return error("trailing comma"),
                    _ => return error("key must be a string"),
                }
            }
            _ if *is_first => return error("key must be a string"),
            _ => return error("expected `,` or `}`"),
        }
        *is_first = false;
        Ok(true)
    }

    /// Moves to the next element of a list and returns true, or leaves the list and returns false.
    pub(in crate::wire::json) fn advance_to_element(&mut self, is_first: &mut bool) -> Result<bool> {
        match self.peek_or_fail("a list")? {
            b']' => {
                self.leave_container();
                return Ok(false);
            }
            b',' if !*is_first => {
                self.consume_byte();
                if self.peek_or_fail("a list")? == b']' {
                    return error("trailing comma");
                }
            }
            _ if *is_first => {}
            _ => return error("expected `,` or `]`"),
        }
        *is_first = false;
        Ok(true)
    }

    /// Skips a string. Its opening quote has been peeked. A string with a lone surrogate is an error, because it does
    /// not decode.
    fn check_string(&mut self) -> Result<()> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut at = start + 1;
        loop {
            let short = bytes.get(at..).and_then(|rest| rest.first_chunk()).and_then(first_special_byte);
            let end = match short {
                Some(offset) => at + offset,
                None => find_special_byte(bytes, at),
            };
            match bytes.get(end) {
                Some(b'"') => {
                    self.at = end + 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    let escape = bytes.get(end..).unwrap_or_default();
                    at = end + escape_length(escape)?;
                    if is_surrogate(escape) {
                        // Strings with surrogates are rare: decode the whole string to check that its surrogates form pairs.
                        self.at = start;
                        return self.read_string().map(drop);
                    }
                }
                Some(_) => return error("control character (\\u0000-\\u001F) found while parsing a string"),
                None => {
                    self.at = bytes.len();
                    return unexpected_eof("a string");
                }
            }
        }
    }
}

/// Whether a text begins with the escape sequence of a surrogate, such as `\ud83d`.
fn is_surrogate(escape: &[u8]) -> bool {
    matches!(escape, [b'\\', b'u', b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..])
}
