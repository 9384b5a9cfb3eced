//! Regular expressions in the syntax of Go's `regexp`, which Kubernetes uses.
//!
//! This module owns the translation of Go's syntax to that of the `regex` crate, and Go's error texts. The syntax of
//! the crate is larger than Go's and differs in details. In Go, `\d` and `\w` match only ASCII, a class has no set
//! operations, `{,3}` and `\<` are literals, and a count is at most 1000.

mod class;
mod escape;
mod repeat;

use regex::{Regex, RegexBuilder};

use self::repeat::Nesting;

/// Compiles an expression.
///
/// # Errors
/// Go's error text, such as ``error parsing regexp: missing closing ): `(` ``.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    let problem = |(code, found): SyntaxError| format!("error parsing regexp: {code}: `{found}`");
    let mut translator = Translator {
        whole: pattern,
        rest: pattern,
        out: String::new(),
        flags: String::new(),
        ends_greedy: false,
        nesting: Nesting::default(),
    };
    translator.translate().map_err(problem)?;
    RegexBuilder::new(&translator.out)
        // The limits must be high enough for every expression that Go accepts.
        .size_limit(1 << 28)
        .nest_limit(1000)
        .build()
        .map_err(|_| problem(("expression too large", pattern.to_owned())))
}

/// Go's error code (`syntax.ErrorCode`), and the part of the expression that the error quotes.
type SyntaxError = (&'static str, String);

/// Translates the expression `whole`. `rest` is the part that has not been translated; `out` is the translation of the
/// part before `rest`.
struct Translator<'a> {
    whole: &'a str,
    rest: &'a str,
    out: String,
    /// Flag groups such as `(?i)` that have been read but not appended to `out`. The flags apply from the next
    /// element on. A repetition operator directly after flags repeats the element before the flags.
    flags: String,
    /// Whether `out` ends with a greedy repetition operator.
    ends_greedy: bool,
    nesting: Nesting,
}

impl<'a> Translator<'a> {
    fn translate(&mut self) -> Result<(), SyntaxError> {
        let mut last_repeat = "";
        while let Some(c) = self.rest.chars().next() {
            let mut repeat = "";
            match c {
                '(' if self.rest.starts_with("(?") => self.translate_group_or_flags()?,
                '(' => self.open_group("(?:", 1),
                '|' => {
                    self.nesting.begin_alternative();
                    self.copy_bytes(1);
                }
                ')' => {
                    if !self.nesting.close_group() {
                        return Err(("unexpected )", self.whole.to_owned()));
                    }
                    self.copy_bytes(1);
                }
                '^' | '$' | '.' => {
                    self.nesting.begin_element();
                    self.copy_bytes(1);
                }
                '[' => {
                    let (class, rest) = class::translate(self.rest)?;
                    self.push_element(&class, rest);
                }
                '*' | '+' | '?' => {
                    repeat = self.rest;
                    self.push_repetition(&self.rest[1..], None, last_repeat)?;
                }
                '{' => match repeat::parse(self.rest) {
                    Some((counts, after)) => {
                        repeat = self.rest;
                        self.push_repetition(after, Some(counts), last_repeat)?;
                    }
                    None => self.push_literal(c),
                },
                '\\' => self.translate_escape()?,
                c => self.push_literal(c),
            }
            last_repeat = repeat;
        }
        if self.nesting.has_open_group() {
            return Err(("missing closing )", self.whole.to_owned()));
        }
        Ok(())
    }

    /// Appends the pending flags and then `translated` to `out`. `translated` must not be a repetition operator.
    fn push_translation(&mut self, translated: &str) {
        self.out.push_str(&std::mem::take(&mut self.flags));
        self.out.push_str(translated);
        self.ends_greedy = false;
    }

    /// Appends the next `length` bytes of the expression unchanged.
    fn copy_bytes(&mut self, length: usize) {
        let (copied, rest) = self.rest.split_at(length);
        self.push_translation(copied);
        self.rest = rest;
    }

    /// Appends an element that matches `c`, the next character of the expression.
    fn push_literal(&mut self, c: char) {
        self.push_element(&escape::literal(u32::from(c)), &self.rest[c.len_utf8()..]);
    }

    /// Appends an element that a repetition operator may follow. `rest` is the remaining expression.
    fn push_element(&mut self, translated: &str, rest: &'a str) {
        self.nesting.begin_element();
        self.push_translation(translated);
        self.rest = rest;
    }

    /// Opens a group. `length` is the length in bytes of the part that `translated` replaces.
    fn open_group(&mut self, translated: &str, length: usize) {
        self.nesting.open_group();
        self.push_translation(translated);
        self.rest = &self.rest[length..];
    }

    /// Appends the repetition operator with which `self.rest` begins. `after` is the expression after the operator; if the
    /// operator is lazy, `after` begins with its `?`. `counts` are the counts in braces. If a repetition operator precedes
    /// `self.rest` directly, `last_repeat` is the part of the expression that begins with the preceding operator.
    /// Otherwise, `last_repeat` is empty.
    fn push_repetition(
        &mut self,
        after: &'a str,
        counts: Option<repeat::Counts>,
        last_repeat: &str,
    ) -> Result<(), SyntaxError> {
        let up_to = |start: &str, end: &str| start[..start.len() - end.len()].to_owned();
        if counts.is_some_and(|counts| !counts.are_in_range()) {
            return Err(("invalid repeat count", up_to(self.rest, after)));
        }
        let after = after.strip_prefix('?').unwrap_or(after);
        if !last_repeat.is_empty() {
            return Err(("invalid nested repetition operator", up_to(last_repeat, after)));
        }
        let operator = up_to(self.rest, after);
        if !self.nesting.can_repeat() {
            return Err(("missing argument to repetition operator", operator));
        }
        if !self.nesting.repeat_last_element(counts) {
            return Err(("invalid repeat count", operator));
        }
        if self.ends_greedy && operator.starts_with('?') {
            // After a greedy operator, a single `?` would only make that operator lazy. Therefore, one `?` is added: the
            // first `?` makes the operator lazy, and the second `?` makes the element optional. A lazy operator matches
            // the same strings as the greedy operator.
            self.out.push('?');
        }
        self.out.push_str(&operator);
        self.ends_greedy = operator.len() == 1 || !operator.ends_with('?');
        self.rest = after;
        Ok(())
    }

    /// Translates a construct that begins with `(?`: a named group, flags for the rest of the enclosing group, or a group
    /// with its own flags.
    fn translate_group_or_flags(&mut self) -> Result<(), SyntaxError> {
        const INVALID_SYNTAX: &str = "invalid or unsupported Perl syntax";
        let named = ["(?P<", "(?<"].into_iter().find(|start| self.rest.starts_with(start));
        if let Some(start) = named.filter(|start| self.rest.len() > start.len()) {
            const INVALID_NAME: &str = "invalid named capture";
            let Some(end) = self.rest.find('>') else { return Err((INVALID_NAME, self.rest.to_owned())) };
            let name = &self.rest[start.len()..end];
            if name.is_empty() || !name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()) {
                return Err((INVALID_NAME, self.rest[..=end].to_owned()));
            }
            self.open_group("(?:", end + 1);
            return Ok(());
        }
        let (mut on, mut off) = (String::new(), String::new());
        let mut negated = false;
        for (index, c) in self.rest.char_indices().skip(2) {
            let end = index + c.len_utf8();
            match c {
                'i' | 'm' | 's' | 'U' => {
                    let flags = if negated { &mut off } else { &mut on };
                    if !flags.contains(c) {
                        flags.push(c);
                    }
                }
                '-' if !negated => negated = true,
                ':' | ')' if !negated || !off.is_empty() => {
                    on.retain(|flag| !off.contains(flag));
                    let dash = if off.is_empty() { "" } else { "-" };
                    let flags = format!("(?{on}{dash}{off}{c}");
                    match (c, flags.as_str()) {
                        (':', flags) => self.open_group(flags, end),
                        (_, "(?)") => self.rest = &self.rest[end..],
                        (_, flags) => {
                            self.flags.push_str(flags);
                            self.rest = &self.rest[end..];
                        }
                    }
                    return Ok(());
                }
                _ => return Err((INVALID_SYNTAX, self.rest[..end].to_owned())),
            }
        }
        Err((INVALID_SYNTAX, self.rest.to_owned()))
    }

    /// Translates an escape: an assertion such as `\b`, a quotation `\Q...\E`, a class or a character.
    fn translate_escape(&mut self) -> Result<(), SyntaxError> {
        let mut chars = self.rest.chars().skip(1);
        let after = || &self.rest[2..];
        match chars.next() {
            Some('A') => self.push_element(r"\A", after()),
            Some('z') => self.push_element(r"\z", after()),
            Some('b') => self.push_element(r"(?-u:\b)", after()),
            Some('B') => self.push_element(r"(?-u:\B)", after()),
            Some('C') => return Err(("invalid escape sequence", self.rest[..2].to_owned())),
            Some('Q') => {
                let (quoted, rest) = after().split_once(r"\E").unwrap_or((after(), ""));
                for c in quoted.chars() {
                    self.nesting.begin_element();
                    self.push_translation(&escape::literal(u32::from(c)));
                }
                self.rest = rest;
            }
            _ => {
                let (translated, rest) = if let Some((items, rest)) = escape::class_items(self.rest)? {
                    (format!("[{items}]"), rest)
                } else {
                    let (c, rest) = escape::parse_character(self.rest)?;
                    (escape::literal(c), rest)
                };
                self.push_element(&translated, rest);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
