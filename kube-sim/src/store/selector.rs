//! Label selectors, and the terms of field selectors, parsed as in the API server.
//!
//! This module must not know about resources; the caller defines the fields that a kind supports.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::names;

/// The labels of an object, sorted by key. Clones share the labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels(Arc<[(Box<str>, Box<str>)]>);

impl Labels {
    /// The labels in the metadata of an object.
    pub(crate) fn of(metadata: &Value) -> Self {
        let pairs = metadata["labels"].as_object().into_iter().flatten();
        let mut all: Vec<_> =
            pairs.filter_map(|(k, v)| Some((Box::from(k.as_str()), Box::from(v.as_str()?)))).collect();
        all.sort();
        Self(all.into())
    }

    /// Whether `self` and `other` share the memory of their labels.
    #[cfg(test)]
    pub(super) fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The value of a label.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
        Some(&self.0[at].1)
    }
}

/// The condition of a requirement on the value of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    /// As `In`, but `Display` writes a single value as `key in (a)` instead of `key=a`.
    InSet(Vec<String>),
    In(Vec<String>),
    NotIn(Vec<String>),
    /// As `NotIn`, but `Display` writes a single value as `key notin (a)` instead of `key!=a`.
    NotInSet(Vec<String>),
    Exists,
    DoesNotExist,
    GreaterThan(i64),
    LessThan(i64),
}

/// A label selector. An object matches if it meets all requirements; an empty selector matches all objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector(Vec<(String, Condition)>);

impl LabelSelector {
    /// Parses the text of a label selector, such as `app=web,tier in (a, b)`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { tokens: tokenize(text), at: 0 };
        let mut all = Vec::new();
        if parser.peek() == Token::End {
            return Ok(Self(all));
        }
        // The API server has this error text only for the first token of a selector.
        if !matches!(parser.peek(), Token::Word(_) | Token::Not) {
            return Err(format!("found '{}', expected: !, identifier, or 'end of string'", parser.peek()));
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
    pub(crate) fn from_json(selector: &Value) -> Self {
        let mut all = Vec::new();
        let plain = selector.get("matchLabels").is_none() && selector.get("matchExpressions").is_none();
        let labels = if plain { selector } else { &selector["matchLabels"] };
        for (key, value) in labels.as_object().into_iter().flatten() {
            all.push((key.clone(), Condition::In(vec![value.as_str().unwrap_or_default().to_owned()])));
        }
        for term in selector["matchExpressions"].as_array().into_iter().flatten() {
            let values = term["values"].as_array().into_iter().flatten();
            let values = values.filter_map(|v| v.as_str().map(str::to_owned)).collect();
            let test = match term["operator"].as_str() {
                Some("In") => Condition::InSet(values),
                Some("NotIn") => Condition::NotInSet(values),
                Some("DoesNotExist") => Condition::DoesNotExist,
                _ => Condition::Exists,
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
                Condition::In(values) | Condition::InSet(values) => {
                    value.is_some_and(|v| values.iter().any(|x| x == v))
                }
                Condition::NotIn(values) | Condition::NotInSet(values) => {
                    value.is_none_or(|v| values.iter().all(|x| x != v))
                }
                Condition::Exists => value.is_some(),
                Condition::DoesNotExist => value.is_none(),
                Condition::GreaterThan(limit) => number().is_some_and(|n| n > *limit),
                Condition::LessThan(limit) => number().is_some_and(|n| n < *limit),
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
                Condition::In(values) if values.len() == 1 => write!(f, "{key}={}", values[0])?,
                Condition::In(values) | Condition::InSet(values) => {
                    let mut values: Vec<&str> = values.iter().map(String::as_str).collect();
                    values.sort_unstable();
                    write!(f, "{key} in ({})", values.join(","))?;
                }
                Condition::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", values[0])?,
                Condition::NotIn(values) | Condition::NotInSet(values) => {
                    let mut values: Vec<&str> = values.iter().map(String::as_str).collect();
                    values.sort_unstable();
                    write!(f, "{key} notin ({})", values.join(","))?;
                }
                Condition::Exists => f.write_str(key)?,
                Condition::DoesNotExist => write!(f, "!{key}")?,
                Condition::GreaterThan(n) => write!(f, "{key}>{n}")?,
                Condition::LessThan(n) => write!(f, "{key}<{n}")?,
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
    LeftParenthesis,
    RightParenthesis,
    Not,
    Equals,
    NotEquals,
    GreaterThan,
    LessThan,
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Word(word) => word,
            Self::Comma => ",",
            Self::LeftParenthesis => "(",
            Self::RightParenthesis => ")",
            Self::Not => "!",
            Self::Equals => "=",
            Self::NotEquals => "!=",
            Self::GreaterThan => ">",
            Self::LessThan => "<",
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
            '(' => Some(Token::LeftParenthesis),
            ')' => Some(Token::RightParenthesis),
            '>' => Some(Token::GreaterThan),
            '<' => Some(Token::LessThan),
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

    fn parse_requirement(&mut self) -> Result<(String, Condition), String> {
        let absent = self.peek() == Token::Not;
        if absent {
            self.next();
        }
        let key = match self.next() {
            Token::Word(word) => word,
            other => return Err(format!("found '{other}', expected: identifier")),
        };
        check_label_key(&key)?;
        if absent {
            return Ok((key, Condition::DoesNotExist));
        }
        let test = match self.peek() {
            Token::End | Token::Comma => return Ok((key, Condition::Exists)),
            Token::Equals => {
                self.next();
                Condition::In(vec![self.parse_value(&key)?])
            }
            Token::NotEquals => {
                self.next();
                Condition::NotIn(vec![self.parse_value(&key)?])
            }
            Token::GreaterThan | Token::LessThan => self.parse_comparison(&key)?,
            Token::Word(word) if word == "in" || word == "notin" => {
                self.next();
                let values = self.parse_values(&key)?;
                if word == "in" { Condition::InSet(values) } else { Condition::NotInSet(values) }
            }
            other => {
                return Err(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt"));
            }
        };
        Ok((key, test))
    }

    fn parse_comparison(&mut self, key: &str) -> Result<Condition, String> {
        let above = self.next() == Token::GreaterThan;
        let text = self.parse_value(key)?;
        let number = text.parse().map_err(|_| {
            format!(
                "values[0]: Invalid value: \"{text}\": for 'Gt', 'Lt' operators, the value must be an integer"
            )
        })?;
        Ok(if above { Condition::GreaterThan(number) } else { Condition::LessThan(number) })
    }

    fn parse_value(&mut self, key: &str) -> Result<String, String> {
        match self.peek() {
            Token::Word(word) => {
                self.next();
                check_label_value(key, &word)?;
                Ok(word)
            }
            Token::End | Token::Comma => Ok(String::new()),
            other => Err(format!("found '{other}', expected: identifier")),
        }
    }

    fn parse_values(&mut self, key: &str) -> Result<Vec<String>, String> {
        match self.next() {
            Token::LeftParenthesis => {}
            other => return Err(format!("found '{other}' expected: '('")),
        }
        let mut all = Vec::new();
        loop {
            match self.next() {
                Token::Word(word) => {
                    check_label_value(key, &word)?;
                    all.push(word);
                }
                Token::Comma if matches!(self.peek(), Token::Comma | Token::RightParenthesis) => {
                    all.push(String::new());
                }
                Token::Comma => {}
                Token::RightParenthesis => {
                    if all.is_empty() {
                        all.push(String::new());
                    }
                    return Ok(all);
                }
                other if all.is_empty() => {
                    return Err(format!("found '{other}', expected: ',', ')' or identifier"));
                }
                other => return Err(format!("found '{other}', expected: ',' or ')'")),
            }
        }
    }
}

fn check_label_key(key: &str) -> Result<(), String> {
    let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
    if key.matches('/').count() > 1 {
        return Err(format!("<nil>: Invalid value: \"{key}\": {}", names::TOO_MANY_SLASHES));
    }
    if names::is_label_value(name) && !name.is_empty() {
        return Ok(());
    }
    Err(format!("<nil>: Invalid value: \"{key}\": {}", names::INVALID_NAME_PART))
}

fn check_label_value(key: &str, value: &str) -> Result<(), String> {
    if names::is_label_value(value) {
        return Ok(());
    }
    Err(format!("values[0][{key}]: Invalid value: \"{value}\": {}", names::INVALID_LABEL_VALUE))
}

/// One term of a field selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldTerm {
    pub(crate) field: String,
    pub(crate) value: String,
    /// Whether the operator is `=` or `==`. If this is false, the operator is `!=`.
    pub(crate) equal: bool,
}

/// Parses a field selector such as `a=b,c!=d`. Values may contain the escapes `\\`, `\,` and `\=`.
pub(crate) fn parse_field_selector(text: &str) -> Result<Vec<FieldTerm>, String> {
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

/// Splits a term. Returns the field, the value, and true if the operator is `=` or `==`. Returns `None` if the term has no
/// operator.
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

/// Removes the escapes from the value of a term. `whole` is the complete field selector, for an error text.
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
                return Err(format!("invalid field selector: invalid escape sequence: \\{shown}"));
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
    fn assert_match_is(selector: &str, labels: &Value, expected: bool) {
        let parsed = LabelSelector::parse(selector).unwrap();
        let labels = Labels::of(&json!({ "labels": labels }));
        assert_eq!(parsed.matches(&labels), expected, "{selector} on {labels:?}");
    }

    #[test]
    fn label_selectors_match_as_in_the_api_server() {
        assert_match_is("", &json!({}), true);
        assert_match_is("a=b", &json!({"a": "b"}), true);
        assert_match_is("a==b", &json!({"a": "c"}), false);
        assert_match_is("a!=b", &json!({}), true);
        assert_match_is("a in (b, c)", &json!({"a": "c"}), true);
        assert_match_is("a in (b,c)", &json!({}), false);
        assert_match_is("a notin (b,c)", &json!({}), true);
        assert_match_is("a notin (b,c)", &json!({"a": "b"}), false);
        assert_match_is("a", &json!({"a": ""}), true);
        assert_match_is("!a", &json!({"a": ""}), false);
        assert_match_is("a=,b", &json!({"a": "", "b": "x"}), true);
        assert_match_is("n>3,n<7", &json!({"n": "5"}), true);
        assert_match_is("n>3", &json!({"n": "x"}), false);
        assert_match_is("example.com/x=y", &json!({"example.com/x": "y"}), true);
    }

    #[test]
    fn malformed_label_selectors_are_rejected() {
        for bad in ["a in b", "=b", "a=b=c", "a,,b", "a in (", "a>x", "-a=b", "a=b c"] {
            assert!(LabelSelector::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn field_selectors_are_split_and_unescaped() {
        let terms = parse_field_selector("metadata.name=a,status.phase!=Running,x==1\\,2").unwrap();
        assert_eq!(terms.len(), 3);
        assert!(terms[0].equal && !terms[1].equal && terms[2].equal);
        assert_eq!(terms[2].value, "1,2");
        assert!(parse_field_selector("oops").is_err());
        assert!(parse_field_selector("a=b=c").is_err());
        assert!(parse_field_selector("a=\\x").is_err());
    }
}
