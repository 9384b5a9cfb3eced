//! Character classes in brackets, such as `[a-z[:digit:]]`. Go has neither nested classes nor set operations.

use super::{SyntaxError, escape};

/// The names of the POSIX classes, such as `alpha` in `[:alpha:]`.
const CLASS_NAMES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// Translates the class at the beginning of `text`. Returns the translation and the remaining text.
pub(super) fn translate(text: &str) -> Result<(String, &str), SyntaxError> {
    let mut rest = &text[1..];
    let mut class = "[".to_owned();
    if let Some(after) = rest.strip_prefix('^') {
        class.push('^');
        rest = after;
    }
    let mut is_first = true;
    // A `]` in first position is a literal.
    while is_first || !rest.starts_with(']') {
        is_first = false;
        if let Some((item, after)) = split_named_class(rest)? {
            class.push_str(item);
            rest = after;
            continue;
        }
        if rest.starts_with('\\')
            && let Some((items, after)) = escape::class_items(rest)?
        {
            class.push_str(&items);
            rest = after;
            continue;
        }
        let start = rest;
        let (first, after) = parse_class_character(rest, text)?;
        rest = after;
        let mut last = first;
        if let Some(after) =
            rest.strip_prefix('-').filter(|after| !after.is_empty() && !after.starts_with(']'))
        {
            (last, rest) = parse_class_character(after, text)?;
        }
        if last < first {
            let range = start[..start.len() - rest.len()].to_owned();
            return Err(("invalid character class range", range));
        }
        class.push_str(&escape::range(first, last));
    }
    class.push(']');
    Ok((class, &rest[1..]))
}

/// Splits a named class such as `[:alpha:]` from the beginning of `text`. Returns `None` if the text does not begin with
/// a named class.
fn split_named_class(text: &str) -> Result<Option<(&str, &str)>, SyntaxError> {
    let Some(end) = text.strip_prefix("[:").and_then(|name| name.find(":]")) else { return Ok(None) };
    let (class, rest) = text.split_at(end + 4);
    let name = &class[2..class.len() - 2];
    if CLASS_NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
        return Ok(Some((class, rest)));
    }
    Err(("invalid character class range", class.to_owned()))
}

/// Parses one character of a class. Returns the code point and the remaining text. The error for a missing `]` quotes
/// `class`.
fn parse_class_character<'a>(text: &'a str, class: &str) -> Result<(u32, &'a str), SyntaxError> {
    if text.starts_with('\\') {
        return escape::parse_character(text);
    }
    let mut chars = text.chars();
    match chars.next() {
        Some(c) => Ok((u32::from(c), chars.as_str())),
        None => Err(("missing closing ]", class.to_owned())),
    }
}
