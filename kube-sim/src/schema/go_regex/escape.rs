//! Escapes of single characters (`\n`) and of sets of characters (`\d`, `\pL`), in classes and outside of them.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use regex::Regex;

use super::SyntaxError;

/// A class that matches no character.
const EMPTY_CLASS: &str = r"[^\x{0}-\x{10FFFF}]";

/// The expression that matches the character with the code point `c`. The expression for a surrogate matches nothing,
/// because no string contains a surrogate.
pub(super) fn literal(c: u32) -> String {
    if char::from_u32(c).is_some() { format!(r"\x{{{c:X}}}") } else { EMPTY_CLASS.to_owned() }
}

/// The class item for a range of characters, without surrogates.
pub(super) fn range(first: u32, last: u32) -> String {
    let surrogates = 0xD800..=0xDFFF_u32;
    let first = if surrogates.contains(&first) { 0xE000 } else { first };
    let last = if surrogates.contains(&last) { 0xD7FF } else { last };
    if first > last { EMPTY_CLASS.to_owned() } else { format!(r"\x{{{first:X}}}-\x{{{last:X}}}") }
}

/// The class items of an escape such as `\d`, `\pL` or `\p{Greek}`, and the remaining text; `None` for any escape that
/// does not stand for a set of characters.
pub(super) fn class_items(text: &str) -> Result<Option<(String, &str)>, SyntaxError> {
    let items = match text.as_bytes().get(1) {
        Some(b'd') => "0-9",
        Some(b'D') => "[^0-9]",
        Some(b's') => r"\t\n\x0C\r\x20",
        Some(b'S') => r"[^\t\n\x0C\r\x20]",
        Some(b'w') => "0-9A-Za-z_",
        Some(b'W') => "[^0-9A-Za-z_]",
        Some(b'p' | b'P') => return translate_unicode_property(text).map(Some),
        _ => return Ok(None),
    };
    Ok(Some((items.to_owned(), &text[2..])))
}

/// Translates an escape such as `\pL` or `\p{^Greek}`. Returns the class item and the remaining text.
fn translate_unicode_property(text: &str) -> Result<(String, &str), SyntaxError> {
    let unknown = |found: &str| ("invalid character class range", found.to_owned());
    let end = match text[2..].chars().next() {
        None => return Err(unknown(text)),
        Some('{') => text.find('}').ok_or_else(|| unknown(text))? + 1,
        Some(c) => 2 + c.len_utf8(),
    };
    let (found, rest) = text.split_at(end);
    let name = &found[2..];
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    let (inverted, name) = name.strip_prefix('^').map_or((false, name), |name| (true, name));
    // Go has a category of surrogates, but the `regex` crate has none. No string contains a surrogate, so the category
    // is translated to the negation of `any`.
    let is_surrogates = ["cs", "surrogate"].iter().any(|known| name.eq_ignore_ascii_case(known));
    let property =
        resolve_property(if is_surrogates { "any" } else { name }).ok_or_else(|| unknown(found))?;
    let negated = found.starts_with(r"\P") ^ inverted ^ is_surrogates;
    let letter = if negated { 'P' } else { 'p' };
    Ok((format!(r"\{letter}{{{property}}}"), rest))
}

/// The name that the `regex` crate has for a general category or script; `None` if Go does not accept `name`. Case,
/// spaces, dashes and underscores are ignored.
fn resolve_property(name: &str) -> Option<String> {
    static CACHE: LazyLock<Mutex<HashMap<String, Option<String>>>> = LazyLock::new(Mutex::default);
    let name: String = name.chars().filter(|c| !matches!(c, ' ' | '-' | '_')).collect();
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    let name = name.to_lowercase();
    let mut known = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(name).or_insert_with_key(|name| look_up_property(name)).clone()
}

/// Finds the general category or script `name`, and returns the property with the prefix `gc=` or `sc=`.
fn look_up_property(name: &str) -> Option<String> {
    /// The scripts with four-letter names. Other four-letter names are ISO 15924 codes, which Go does not accept.
    const SHORT_SCRIPTS: [&str; 8] = ["ahom", "cham", "kawi", "lisu", "modi", "newa", "thai", "toto"];
    // The `regex` crate ignores the prefix `is`; Go rejects a name with this prefix.
    if name.starts_with("is") {
        return None;
    }
    let category = Some(format!("gc={name}")).filter(|property| is_known_property(property));
    let script = || {
        let is_code = name.len() == 4 && !SHORT_SCRIPTS.contains(&name);
        Some(format!("sc={name}")).filter(|property| !is_code && is_known_property(property))
    };
    category.or_else(script)
}

/// Whether the `regex` crate knows the property.
fn is_known_property(property: &str) -> bool {
    Regex::new(&format!(r"\p{{{property}}}")).is_ok()
}

/// Parses the escape of a single character. Returns the code point and the remaining text.
pub(super) fn parse_character(text: &str) -> Result<(u32, &str), SyntaxError> {
    let mut chars = text[1..].chars();
    let Some(c) = chars.next() else {
        return Err(("trailing backslash at end of expression", String::new()));
    };
    let rest = chars.as_str();
    let invalid = |rest: &str| Err(("invalid escape sequence", text[..text.len() - rest.len()].to_owned()));
    let octal = |text: &str| text.bytes().take(2).take_while(|b| (b'0'..=b'7').contains(b)).count();
    match c {
        // A single digit from 1 to 7 would be a backreference, which Go does not support.
        '1'..='7' if octal(rest) == 0 => invalid(rest),
        '0'..='7' => {
            let digits = &text[1..2 + octal(rest)];
            Ok((u32::from_str_radix(digits, 8).unwrap_or(0), &text[1 + digits.len()..]))
        }
        'x' => parse_hexadecimal(rest).or_else(invalid),
        'a' => Ok((0x07, rest)),
        'f' => Ok((0x0C, rest)),
        'n' => Ok((0x0A, rest)),
        'r' => Ok((0x0D, rest)),
        't' => Ok((0x09, rest)),
        'v' => Ok((0x0B, rest)),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok((u32::from(c), rest)),
        _ => invalid(rest),
    }
}

/// Parses the hexadecimal digits after `\x`. Returns the code point and the remaining text.
///
/// # Errors
/// The error is the part of `text` after the invalid escape.
fn parse_hexadecimal(text: &str) -> Result<(u32, &str), &str> {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return Err(text) };
    if first != '{' {
        let second = chars.next();
        let digits = first.to_digit(16).zip(second.and_then(|c| c.to_digit(16)));
        return digits.map(|(high, low)| (high * 16 + low, chars.as_str())).ok_or(chars.as_str());
    }
    let mut value = None;
    loop {
        match chars.next() {
            Some('}') => return value.map(|value| (value, chars.as_str())).ok_or(chars.as_str()),
            Some(c) => {
                let next = c.to_digit(16).map(|digit| value.unwrap_or(0) * 16 + digit);
                value = Some(next.filter(|next| *next <= 0x10_FFFF).ok_or(chars.as_str())?);
            }
            None => return Err(""),
        }
    }
}
