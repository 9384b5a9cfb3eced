//! Label selectors, and the terms of field selectors, parsed as in the API server.
//!
//! This module must not know about resources; the caller defines the fields that a kind supports.

use std::fmt;

use serde_json::Value;

use crate::names;

/// The labels of an object, sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels(Vec<(Box<str>, Box<str>)>);

impl Labels {
    pub(crate) fn of(metadata: &Value) -> Self {
        let pairs = metadata["labels"].as_object().into_iter().flatten();
        let mut all: Vec<_> =
            pairs.filter_map(|(k, v)| Some((Box::from(k.as_str()), Box::from(v.as_str()?)))).collect();
        all.sort();
        Self(all)
    }

    fn get(&self, key: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
        Some(&self.0[at].1)
    }
}

/// The condition of a requirement on the value of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    Above(i64),
    Below(i64),
}

/// A label selector. An object matches if it meets all requirements; an empty selector matches all objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector(Vec<(String, Test)>);

impl LabelSelector {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { tokens: tokenize(text), at: 0 };
        let mut all = Vec::new();
        if parser.peek() == Token::End {
            return Ok(Self(all));
        }
        loop {
            all.push(parser.parse_requirement().map_err(|e| format!("unable to parse requirement: {e}"))?);
            match parser.next() {
                Token::End => return Ok(Self(all)),
                Token::Comma => {}
                other => return Err(format!("found '{other}', expected: ',' or 'end of string'")),
            }
        }
    }

    /// Parses the selector in an object: `matchLabels` and `matchExpressions`, or a map of labels as in a service.
    pub(crate) fn of_object(selector: &Value) -> Self {
        let mut all = Vec::new();
        let plain = selector.get("matchLabels").is_none() && selector.get("matchExpressions").is_none();
        let labels = if plain { selector } else { &selector["matchLabels"] };
        for (key, value) in labels.as_object().into_iter().flatten() {
            all.push((key.clone(), Test::In(vec![value.as_str().unwrap_or_default().to_owned()])));
        }
        for term in selector["matchExpressions"].as_array().into_iter().flatten() {
            let values = term["values"].as_array().into_iter().flatten();
            let values = values.filter_map(|v| v.as_str().map(str::to_owned)).collect();
            let test = match term["operator"].as_str() {
                Some("In") => Test::In(values),
                Some("NotIn") => Test::NotIn(values),
                Some("DoesNotExist") => Test::Absent,
                _ => Test::Exists,
            };
            all.push((term["key"].as_str().unwrap_or_default().to_owned(), test));
        }
        Self(all)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|(key, test)| {
            let value = labels.get(key);
            let number = || value.and_then(|v| v.parse::<i64>().ok());
            match test {
                Test::In(values) => value.is_some_and(|v| values.iter().any(|x| x == v)),
                Test::NotIn(values) => value.is_none_or(|v| values.iter().all(|x| x != v)),
                Test::Exists => value.is_some(),
                Test::Absent => value.is_none(),
                Test::Above(limit) => number().is_some_and(|n| n > *limit),
                Test::Below(limit) => number().is_some_and(|n| n < *limit),
            }
        })
    }
}

/// Formats the selector as a string, as in `status.selector` of the scale subresource.
impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (key, test)) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            match test {
                Test::In(values) if values.len() == 1 => write!(f, "{key}={}", values[0])?,
                Test::In(values) => write!(f, "{key} in ({})", values.join(","))?,
                Test::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", values[0])?,
                Test::NotIn(values) => write!(f, "{key} notin ({})", values.join(","))?,
                Test::Exists => f.write_str(key)?,
                Test::Absent => write!(f, "!{key}")?,
                Test::Above(n) => write!(f, "{key}>{n}")?,
                Test::Below(n) => write!(f, "{key}<{n}")?,
            }
        }
        Ok(())
    }
}

/// A token of a label selector.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Comma,
    Open,
    Close,
    Not,
    Equals,
    NotEquals,
    Above,
    Below,
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Word(word) => word,
            Self::Comma => ",",
            Self::Open => "(",
            Self::Close => ")",
            Self::Not => "!",
            Self::Equals => "=",
            Self::NotEquals => "!=",
            Self::Above => ">",
            Self::Below => "<",
            Self::End => "",
        })
    }
}

fn tokenize(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&c) = chars.peek() {
        if c.is_whitespace() {
            chars.next();
            continue;
        }
        let simple = match c {
            ',' => Some(Token::Comma),
            '(' => Some(Token::Open),
            ')' => Some(Token::Close),
            '>' => Some(Token::Above),
            '<' => Some(Token::Below),
            '=' => Some(Token::Equals),
            '!' => Some(Token::Not),
            _ => None,
        };
        if let Some(mut token) = simple {
            chars.next();
            if chars.peek() == Some(&'=') && matches!(c, '=' | '!') {
                chars.next();
                token = if c == '!' { Token::NotEquals } else { Token::Equals };
            }
            out.push(token);
            continue;
        }
        let mut word = String::new();
        while let Some(&c) = chars.peek() {
            if c.is_whitespace() || ",()=!<>".contains(c) {
                break;
            }
            word.push(c);
            chars.next();
        }
        out.push(Token::Word(word));
    }
    out
}

/// Parses the tokens of a label selector. `at` is the index of the next token.
struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Token {
        self.tokens.get(self.at).cloned().unwrap_or(Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn parse_requirement(&mut self) -> Result<(String, Test), String> {
        let absent = self.peek() == Token::Not;
        if absent {
            self.next();
        }
        let key = match self.next() {
            Token::Word(word) => word,
            other => return Err(format!("found '{other}', expected: identifier")),
        };
        check_key(&key)?;
        if absent {
            return Ok((key, Test::Absent));
        }
        let test = match self.peek() {
            Token::End | Token::Comma => return Ok((key, Test::Exists)),
            Token::Equals => {
                self.next();
                Test::In(vec![self.parse_value()?])
            }
            Token::NotEquals => {
                self.next();
                Test::NotIn(vec![self.parse_value()?])
            }
            Token::Above | Token::Below => self.parse_comparison()?,
            Token::Word(word) if word == "in" || word == "notin" => {
                self.next();
                let values = self.parse_values()?;
                if word == "in" { Test::In(values) } else { Test::NotIn(values) }
            }
            other => {
                return Err(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt"));
            }
        };
        Ok((key, test))
    }

    fn parse_comparison(&mut self) -> Result<Test, String> {
        let above = self.next() == Token::Above;
        let text = self.parse_value()?;
        let number = text.parse().map_err(|_| {
            format!(
                "values[0]: Invalid value: \"{text}\": for 'Gt', 'Lt' operators, the value must be an integer"
            )
        })?;
        Ok(if above { Test::Above(number) } else { Test::Below(number) })
    }

    fn parse_value(&mut self) -> Result<String, String> {
        match self.peek() {
            Token::Word(word) => {
                self.next();
                check_value(&word)?;
                Ok(word)
            }
            Token::End | Token::Comma => Ok(String::new()),
            other => Err(format!("found '{other}', expected: identifier")),
        }
    }

    fn parse_values(&mut self) -> Result<Vec<String>, String> {
        match self.next() {
            Token::Open => {}
            other => return Err(format!("found '{other}' expected: '('")),
        }
        let mut all = Vec::new();
        loop {
            match self.next() {
                Token::Word(word) => {
                    check_value(&word)?;
                    all.push(word);
                }
                Token::Comma if matches!(self.peek(), Token::Comma | Token::Close) => all.push(String::new()),
                Token::Comma => {}
                Token::Close => {
                    if all.is_empty() {
                        all.push(String::new());
                    }
                    return Ok(all);
                }
                other => return Err(format!("found '{other}', expected: ',', or ')'")),
            }
        }
    }
}

fn check_key(key: &str) -> Result<(), String> {
    let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
    if names::is_label_value(name) && !name.is_empty() {
        return Ok(());
    }
    Err(format!("<nil>: Invalid value: \"{key}\": {}", names::INVALID_QUALIFIED_NAME))
}

fn check_value(value: &str) -> Result<(), String> {
    if names::is_label_value(value) {
        return Ok(());
    }
    Err(format!("values[0]: Invalid value: \"{value}\": {}", names::INVALID_LABEL_VALUE))
}

/// One term of a field selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldTerm {
    pub(crate) field: String,
    pub(crate) value: String,
    pub(crate) equal: bool,
}

/// Parses a field selector such as `a=b,c!=d`. Values may contain the escapes `\\`, `\,` and `\=`.
pub(crate) fn field_terms(text: &str) -> Result<Vec<FieldTerm>, String> {
    let mut terms = Vec::new();
    let mut part = String::new();
    let mut chars = text.chars();
    let mut parts = Vec::new();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                part.push(c);
                part.extend(chars.next());
            }
            ',' => parts.push(std::mem::take(&mut part)),
            _ => part.push(c),
        }
    }
    parts.push(part);
    for part in parts.iter().filter(|p| !p.is_empty()) {
        let (field, value, equal) = split_term(part)
            .ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{part}'"))?;
        terms.push(FieldTerm { field: field.to_owned(), value: unescape(value, text)?, equal });
    }
    Ok(terms)
}

fn split_term(part: &str) -> Option<(&str, &str, bool)> {
    let mut escaped = false;
    for (at, c) in part.char_indices() {
        if escaped {
            escaped = false;
            continue;
        }
        let rest = &part[at..];
        if c == '\\' {
            escaped = true;
        } else if let Some(value) = rest.strip_prefix("!=") {
            return Some((&part[..at], value, false));
        } else if let Some(value) = rest.strip_prefix("==").or_else(|| rest.strip_prefix('=')) {
            return Some((&part[..at], value, true));
        }
    }
    None
}

fn unescape(value: &str, whole: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            if c == '=' {
                return Err(format!(
                    "invalid field selector: unescaped character in value: '=' in '{whole}'"
                ));
            }
            out.push(c);
            continue;
        }
        match chars.next() {
            Some(c @ ('\\' | ',' | '=')) => out.push(c),
            other => {
                let shown = other.map(String::from).unwrap_or_default();
                return Err(format!(
                    "invalid field selector: invalid escape sequence: '\\{shown}' in '{whole}'"
                ));
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(selector: &str, labels: &Value, expected: bool) {
        let parsed = LabelSelector::parse(selector).unwrap();
        let labels = Labels::of(&json!({ "labels": labels }));
        assert_eq!(parsed.matches(&labels), expected, "{selector} on {labels:?}");
    }

    #[test]
    fn matches_as_the_api_server() {
        check("", &json!({}), true);
        check("a=b", &json!({"a": "b"}), true);
        check("a==b", &json!({"a": "c"}), false);
        check("a!=b", &json!({}), true);
        check("a in (b, c)", &json!({"a": "c"}), true);
        check("a in (b,c)", &json!({}), false);
        check("a notin (b,c)", &json!({}), true);
        check("a notin (b,c)", &json!({"a": "b"}), false);
        check("a", &json!({"a": ""}), true);
        check("!a", &json!({"a": ""}), false);
        check("a=,b", &json!({"a": "", "b": "x"}), true);
        check("n>3,n<7", &json!({"n": "5"}), true);
        check("n>3", &json!({"n": "x"}), false);
        check("example.com/x=y", &json!({"example.com/x": "y"}), true);
    }

    #[test]
    fn rejects_malformed_selectors() {
        for bad in ["a in b", "=b", "a=b=c", "a,,b", "a in (", "a>x", "-a=b", "a=b c"] {
            assert!(LabelSelector::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn field_terms_split_and_unescape() {
        let terms = field_terms("metadata.name=a,status.phase!=Running,x==1\\,2").unwrap();
        assert_eq!(terms.len(), 3);
        assert!(terms[0].equal && !terms[1].equal && terms[2].equal);
        assert_eq!(terms[2].value, "1,2");
        assert!(field_terms("oops").is_err());
        assert!(field_terms("a=b=c").is_err());
        assert!(field_terms("a=\\x").is_err());
    }
}
