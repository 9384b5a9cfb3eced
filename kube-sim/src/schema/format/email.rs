//! The format `email`: one RFC 5322 address, with or without a display name.

/// Whether the string is exactly one address, such as `a@b` or `A B <a@b>`, or a group that contains exactly one address.
pub(super) fn is_address(text: &str) -> bool {
    let mut parser = Parser { rest: text };
    parser.parse_address(GroupRule::Allowed) == Some(1) && parser.skip_comments() && parser.rest.is_empty()
}

/// A parser of an email address. `rest` is the part of the text that has not been parsed.
struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    /// Parses an address, or a group of addresses if `groups` allows it. Returns the number of addresses.
    fn parse_address(&mut self, groups: GroupRule) -> Option<usize> {
        self.skip_space();
        let start = self.rest;
        if self.parse_addr_spec().is_some() {
            return Some(1);
        }
        self.rest = start;
        if !self.rest.starts_with('<') {
            self.parse_phrase()?;
        }
        self.skip_space();
        if groups == GroupRule::Allowed && self.skip_char(':') {
            return self.parse_group();
        }
        (self.skip_char('<') && self.parse_addr_spec().is_some() && self.skip_char('>')).then_some(1)
    }

    /// Parses the addresses of a group and the semicolon after them. Returns the number of addresses.
    fn parse_group(&mut self) -> Option<usize> {
        let mut count = 0;
        self.skip_space();
        while !self.skip_char(';') {
            if count > 0 && !self.skip_char(',') {
                return None;
            }
            count += self.parse_address(GroupRule::Denied)?;
            self.skip_comments().then_some(())?;
        }
        Some(count)
    }

    /// Parses an address without a display name: `local@domain` (`addr-spec`).
    fn parse_addr_spec(&mut self) -> Option<()> {
        self.skip_space();
        if self.rest.starts_with('"') {
            let quoted = self.parse_quoted_string()?;
            (!quoted.is_empty()).then_some(())?;
        } else {
            self.parse_atom(DotRule::Between)?;
        }
        self.skip_char('@').then_some(())?;
        self.skip_space();
        if self.rest.starts_with('[') {
            self.parse_domain_literal()
        } else {
            self.parse_atom(DotRule::Between)
        }
    }

    /// Parses a display name: a sequence of words and quoted strings.
    fn parse_phrase(&mut self) -> Option<()> {
        let mut words = 0;
        loop {
            self.skip_space();
            let word = if self.rest.starts_with('"') {
                self.parse_quoted_string().map(drop)
            } else {
                self.parse_atom(DotRule::Anywhere)
            };
            if word.is_none() {
                break;
            }
            words += 1;
        }
        (words > 0).then_some(())
    }

    /// Parses an atom: characters without a special meaning. A dot may be at any place that `dots` allows.
    fn parse_atom(&mut self, dots: DotRule) -> Option<()> {
        let part = |c: char| c > ' ' && c != '\u{7f}' && !"()<>[]:;@\\,\"".contains(c);
        let end = self.rest.find(|c| !part(c)).unwrap_or(self.rest.len());
        let (atom, rest) = self.rest.split_at(end);
        if atom.is_empty() || dots == DotRule::Between && atom.split('.').any(str::is_empty) {
            return None;
        }
        self.rest = rest;
        Some(())
    }

    /// Parses a quoted string and returns its content.
    fn parse_quoted_string(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut chars = self.rest.strip_prefix('"')?.char_indices();
        while let Some((index, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[index + 2..];
                    return Some(text);
                }
                '\\' => text.push(chars.next().map(|(_, c)| c).filter(|c| is_printable(*c))?),
                c if is_printable(c) => text.push(c),
                _ => return None,
            }
        }
        None
    }

    /// Parses a domain literal: an IP address in brackets instead of a domain.
    fn parse_domain_literal(&mut self) -> Option<()> {
        let (address, rest) = self.rest.strip_prefix('[')?.split_once(']')?;
        address.parse::<std::net::IpAddr>().ok()?;
        self.rest = rest;
        Some(())
    }

    /// Skips spaces and comments. Returns `false` if a comment is not terminated.
    fn skip_comments(&mut self) -> bool {
        self.skip_space();
        while self.skip_char('(') {
            let mut depth = 1;
            while depth > 0 {
                let mut chars = self.rest.chars();
                match chars.next() {
                    Some('(') => depth += 1,
                    Some(')') => depth -= 1,
                    Some('\\') => drop(chars.next()),
                    Some(_) => {}
                    None => return false,
                }
                self.rest = chars.as_str();
            }
            self.skip_space();
        }
        true
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    /// Skips the character `c`. Returns `false` if the rest does not begin with `c`.
    fn skip_char(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

fn is_printable(c: char) -> bool {
    !c.is_ascii_control() || c == '\t'
}

/// Whether the parser accepts a group of addresses where it expects an address. Groups do not nest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum GroupRule {
    Allowed,
    Denied,
}

/// The places at which an atom may contain dots.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DotRule {
    /// Dots are allowed only between non-empty parts (`dot-atom`).
    Between,
    /// Dots are allowed anywhere, as in `A. B.`.
    Anywhere,
}
