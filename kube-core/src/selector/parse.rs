//! Parses selectors in the syntax of `kubectl -l`.

use super::{Expression, ParseExpressionError, Selector};
use std::{collections::BTreeSet, str::FromStr};

impl FromStr for Selector {
    type Err = ParseExpressionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        split_conditions(text)?.into_iter().map(parse_expression).collect::<Result<_, _>>().map(Self)
    }
}

/// Splits a selector at the commas outside of parentheses.
fn split_conditions(text: &str) -> Result<Vec<&str>, ParseExpressionError> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let (mut parts, mut start, mut inside) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '(' if inside => return parse_error(text, "has a '(' inside parentheses"),
            '(' => inside = true,
            ')' if !inside => return parse_error(text, "has a ')' without '('"),
            ')' => inside = false,
            ',' if !inside => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if inside {
        return parse_error(text, "has a '(' without ')'");
    }
    parts.push(&text[start..]);
    Ok(parts)
}

/// Parses one condition of a selector.
fn parse_expression(part: &str) -> Result<Expression, ParseExpressionError> {
    let part = part.trim();
    if let Some(open) = part.find('(') {
        return parse_set_expression(part, open);
    }
    if let Some(key) = part.strip_prefix('!') {
        return Ok(Expression::DoesNotExist(parse_label_key(part, key)?));
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Ok(Expression::NotEqual(parse_label_key(part, key)?, parse_label_value(part, value)?));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok(Expression::Equal(parse_label_key(part, key)?, parse_label_value(part, value)?));
    }
    Ok(Expression::Exists(parse_label_key(part, part)?))
}

/// Parses `key in (a,b)` or `key notin (a,b)`. `open` is the offset of `(`.
fn parse_set_expression(part: &str, open: usize) -> Result<Expression, ParseExpressionError> {
    let Some(values) = part[open + 1..].strip_suffix(')') else {
        return parse_error(part, "has text after ')'");
    };
    let values: BTreeSet<String> =
        values.split(',').map(|v| parse_label_value(part, v)).collect::<Result<_, _>>()?;
    let mut words = part[..open].split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(key), Some("in"), None) => Ok(Expression::In(parse_label_key(part, key)?, values)),
        (Some(key), Some("notin"), None) => Ok(Expression::NotIn(parse_label_key(part, key)?, values)),
        _ => parse_error(part, "needs \"in\" or \"notin\" between the key and the values"),
    }
}

/// Trims a label key, and checks that its characters are valid. An error quotes `part`, the whole condition.
fn parse_label_key(part: &str, key: &str) -> Result<String, ParseExpressionError> {
    let key = key.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if key.is_empty() {
        parse_error(part, "has no label key")
    } else if key.chars().all(allowed) {
        Ok(key.to_owned())
    } else {
        parse_error(part, "has an invalid label key")
    }
}

/// Trims a label value, and checks that its characters are valid. An error quotes `part`, the whole condition.
fn parse_label_value(part: &str, value: &str) -> Result<String, ParseExpressionError> {
    let value = value.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if value.chars().all(allowed) {
        Ok(value.to_owned())
    } else {
        parse_error(part, "has an invalid label value")
    }
}

/// Returns the error for `part`, a selector or one of its conditions.
fn parse_error<T>(part: &str, problem: &str) -> Result<T, ParseExpressionError> {
    Err(ParseExpressionError(format!("{part:?} {problem}")))
}
