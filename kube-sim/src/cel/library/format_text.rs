//! The string function `format`, with the directives `%s`, `%d`, `%f`, `%e`, `%b`, `%x`, `%X`, `%o` and `%%`.

use super::convert;
use crate::cel::value::{Failure, List, Val};
use crate::schema::quote;

/// The number of decimal places if a directive has no precision.
const DEFAULT_PRECISION: usize = 6;

/// Replaces the directives in `template` with the values.
///
/// # Errors
/// A directive is malformed, has no value, or does not fit its value.
pub(super) fn format(template: &str, values: &List<'_>) -> Result<String, Failure> {
    let mut out = String::new();
    let mut next = 0;
    let mut rest = template;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (precision, after) = parse_precision(rest)?;
        let Some(directive) = after.chars().next() else {
            return Err(formatting_error("unexpected end of string"));
        };
        let index = next;
        next += 1;
        let value =
            values.get(index).ok_or_else(|| formatting_error(&format!("index {index} out of range")))??;
        out.push_str(&format_value(directive, precision, &value).map_err(|why| formatting_error(&why))?);
        rest = &after[directive.len_utf8()..];
    }
    out.push_str(rest);
    Ok(out)
}

/// An error of the CEL function `format`.
fn formatting_error(why: &str) -> Failure {
    Failure::new(format!("error during formatting: {why}"))
}

/// Parses the precision of a directive, such as `.2`, and returns the rest of the text.
fn parse_precision(text: &str) -> Result<(Option<usize>, &str), Failure> {
    let Some(after) = text.strip_prefix('.') else { return Ok((None, text)) };
    let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    match after[..digits].parse() {
        Ok(precision) if precision <= 100 => Ok((Some(precision), &after[digits..])),
        _ => Err(formatting_error("error while parsing precision")),
    }
}

/// Formats a value for one directive.
fn format_value(directive: char, precision: Option<usize>, value: &Val<'_>) -> Result<String, String> {
    let refused = |what: &str| Err(format!("{what}, but was given {}", value.type_name()));
    match (directive, value) {
        ('s', value) => format_as_string(value),
        ('d', Val::Int(value)) => Ok(value.to_string()),
        ('d', Val::Uint(value)) => Ok(value.to_string()),
        ('d', _) => refused("decimal clause can only be used on integers"),
        ('f', Val::Double(value)) => Ok(format_fixed(*value, precision.unwrap_or(DEFAULT_PRECISION))),
        ('f', _) => refused("fixed-point clause can only be used on doubles"),
        ('e', Val::Double(value)) => Ok(format_scientific(*value, precision.unwrap_or(DEFAULT_PRECISION))),
        ('e', _) => refused("scientific clause can only be used on doubles"),
        ('b', Val::Int(value)) => Ok(format_signed(*value, |value| format!("{value:b}"))),
        ('b', Val::Uint(value)) => Ok(format!("{value:b}")),
        ('b', Val::Bool(value)) => Ok(u8::from(*value).to_string()),
        ('b', _) => refused("binary clause can only be used on integers and bools"),
        ('x', Val::Int(value)) => Ok(format_signed(*value, |value| format!("{value:x}"))),
        ('X', Val::Int(value)) => Ok(format_signed(*value, |value| format!("{value:X}"))),
        ('x', Val::Uint(value)) => Ok(format!("{value:x}")),
        ('X', Val::Uint(value)) => Ok(format!("{value:X}")),
        ('x', Val::String(value)) => Ok(format_hex(value.as_bytes())),
        ('x', Val::Bytes(value)) => Ok(format_hex(value)),
        ('X', Val::String(value)) => Ok(format_hex(value.as_bytes()).to_uppercase()),
        ('X', Val::Bytes(value)) => Ok(format_hex(value).to_uppercase()),
        ('x' | 'X', _) => refused("only integers, byte buffers, and strings can be formatted as hex"),
        ('o', Val::Int(value)) => Ok(format_signed(*value, |value| format!("{value:o}"))),
        ('o', Val::Uint(value)) => Ok(format!("{value:o}")),
        ('o', _) => refused("octal clause can only be used on integers"),
        (other, _) => {
            Err(format!("could not parse formatting clause: unrecognized formatting clause \"{other}\""))
        }
    }
}

/// Formats an integer. `digits` formats the absolute value; a minus sign precedes the digits if the integer is negative.
fn format_signed(value: i64, digits: impl Fn(u64) -> String) -> String {
    format!("{}{}", if value < 0 { "-" } else { "" }, digits(value.unsigned_abs()))
}

fn format_hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Formats a number for `%f`, with commas between groups of three digits.
fn format_fixed(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$}");
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) && digit.is_ascii_digit() {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{fraction}")
}

/// Formats a number for `%e`: a mantissa and a power of ten whose exponent has superscript digits.
fn format_scientific(value: f64, precision: usize) -> String {
    const SUPERSCRIPTS: [char; 10] = [
        '\u{2070}', '\u{b9}', '\u{b2}', '\u{b3}', '\u{2074}', '\u{2075}', '\u{2076}', '\u{2077}', '\u{2078}',
        '\u{2079}',
    ];
    let text = format!("{value:.precision$e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let (sign, digits) = exponent.strip_prefix('-').map_or(("", exponent), |digits| ("\u{207b}", digits));
    let digits = format!("{digits:0>2}");
    let raised: String = digits.bytes().map(|digit| SUPERSCRIPTS[usize::from(digit - b'0') % 10]).collect();
    format!("{mantissa}\u{d7}10{sign}{raised}")
}

/// Formats a value for `%s`. Strings in lists and maps are quoted.
fn format_as_string(value: &Val<'_>) -> Result<String, String> {
    let inner = |value: &Val<'_>| match value {
        Val::String(text) => Ok(quote(text)),
        Val::Double(double) => Ok(format!("{double:.DEFAULT_PRECISION$}")),
        other => format_as_string(other),
    };
    match value {
        Val::Null => Ok("null".to_owned()),
        Val::List(list) => {
            let items = list.items().map_err(|failure| failure.text().to_owned())?;
            Ok(format!("[{}]", items.iter().map(inner).collect::<Result<Vec<_>, _>>()?.join(", ")))
        }
        Val::Map(map) => {
            let mut entries = Vec::new();
            for key in map.keys() {
                let Some(Ok(value)) = map.get(&key) else { continue };
                entries.push(format!("{}:{}", inner(&key)?, inner(&value)?));
            }
            entries.sort();
            Ok(format!("{{{}}}", entries.join(", ")))
        }
        other => match convert::to_text(other).filter(|_| !matches!(other, Val::Ip(_) | Val::Cidr(_))) {
            Some(text) => text.map_err(|failure| failure.text().to_owned()),
            None => Err(format!(
                "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given {}",
                other.type_name()
            )),
        },
    }
}
