//! The values of `format` in the schemas of custom resources.
//!
//! This module owns the list of formats that the API server validates, and a predicate for each string format. The
//! server ignores other formats. The predicates accept the same strings as the Go libraries of the API server. These
//! libraries deviate from the specifications of the formats. For example, they accept `PT5M` as a `duration`, because
//! it contains `5M`.

mod check_digit;
mod duration;
mod email;
mod network;
mod uri;

use std::sync::LazyLock;

use regex::Regex;

use super::node::{Kind, Schema};

/// The format that `schema` specifies, if the API server validates it; `None` otherwise.
pub(super) fn validated_format(schema: &Schema) -> Option<&str> {
    let format = schema.format.as_deref()?;
    let is_validated = match schema.kind() {
        Kind::Any | Kind::String => {
            let name = format.replace('-', "");
            KNOWN_FORMATS.contains(&name.as_str())
        }
        Kind::Integer => matches!(format, "int32" | "int64"),
        Kind::Number => matches!(format, "float" | "double"),
        _ => false,
    };
    is_validated.then_some(format)
}

/// The string formats that the API server validates. The names are written without dashes.
const KNOWN_FORMATS: [&str; 26] = [
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "datetime",
    "k8sshortname",
    "k8slongname",
];

/// Whether `text` is valid in the named format. Dashes in the name are ignored.
pub(crate) fn accepts(format: &str, text: &str) -> bool {
    match format.replace('-', "").as_str() {
        "bsonobjectid" => text.len() == 24 && text.bytes().all(|b| b.is_ascii_hexdigit()),
        "uri" => uri::is_request_uri(text),
        "email" => email::is_address(text),
        "hostname" => is_hostname(text),
        "ipv4" => network::is_ipv4(text),
        "ipv6" => network::is_ipv6(text),
        "cidr" => network::is_cidr(text),
        "mac" => network::is_mac(text),
        "uuid" => is_uuid(text, None),
        "uuid3" => is_uuid(text, Some('3')),
        "uuid4" => is_uuid(text, Some('4')),
        "uuid5" => is_uuid(text, Some('5')),
        "isbn" => check_digit::is_isbn10(text) || check_digit::is_isbn13(text),
        "isbn10" => check_digit::is_isbn10(text),
        "isbn13" => check_digit::is_isbn13(text),
        "creditcard" => check_digit::is_credit_card(text),
        "ssn" => SSN.is_match(text),
        "hexcolor" => HEX_COLOR.is_match(text),
        "rgbcolor" => RGB_COLOR.is_match(text),
        "byte" => is_base64(text),
        "date" => is_date(text),
        "duration" => duration::is_duration(text),
        "datetime" => is_date_time(text),
        "k8sshortname" => text.len() <= 63 && LABEL.is_match(text),
        "k8slongname" => text.len() <= 253 && text.split('.').all(|part| LABEL.is_match(part)),
        // The API server accepts any string for `password` and for unknown formats.
        _ => true,
    }
}

/// Compiles a constant pattern.
#[expect(clippy::expect_used, reason = "the patterns are constants, and a test compiles them")]
fn compile_pattern(source: &str) -> Regex {
    Regex::new(source).expect("the patterns of formats compile, as a test shows")
}

/// A host name: one label or several labels. The last of several labels consists of letters. All other labels may also
/// contain digits and symbols such as `=`.
static HOSTNAME: LazyLock<Regex> = LazyLock::new(|| {
    const CHARACTER: &str = r"[0-9\p{L}\p{S}]";
    const INNER_CHARACTER: &str = r"[0-9\p{L}\p{S}-]";
    compile_pattern(&format!(
        r"^(?:{CHARACTER}(?:-?{CHARACTER}{{0,62}})?|(?:{CHARACTER}(?:{INNER_CHARACTER}{{0,61}}{CHARACTER})?\.)+[a-zA-Z\p{{L}}]{{2,63}})$"
    ))
});
static UUID: LazyLock<Regex> = LazyLock::new(|| {
    compile_pattern(r"^(?i:[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12})$")
});
/// A social security number of the United States.
static SSN: LazyLock<Regex> = LazyLock::new(|| compile_pattern(r"^[0-9]{3}[- ][0-9]{2}[- ][0-9]{4}$"));
static HEX_COLOR: LazyLock<Regex> = LazyLock::new(|| compile_pattern(r"^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"));
static RGB_COLOR: LazyLock<Regex> = LazyLock::new(|| {
    const SPACE: &str = r"[\t\n\f\r ]*";
    const BYTE: &str = "(?:0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])";
    compile_pattern(&format!(r"^rgb\({SPACE}{BYTE}{SPACE},{SPACE}{BYTE}{SPACE},{SPACE}{BYTE}{SPACE}\)$"))
});
static DATE: LazyLock<Regex> = LazyLock::new(|| compile_pattern("^[0-9]{4}-[0-9]{2}-[0-9]{2}$"));
static TIME_OF_DAY: LazyLock<Regex> = LazyLock::new(|| {
    // As in the API server, any character may stand for the decimal point, and the offset may be out of range.
    compile_pattern("^([0-9]{2}):([0-9]{2}):([0-9]{2})(?:.[0-9]+)?(?:z|[+-][0-9]{2}:[0-9]{2})$")
});
/// A DNS label (RFC 1123) of any length.
static LABEL: LazyLock<Regex> = LazyLock::new(|| compile_pattern(r"^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$"));

fn is_hostname(text: &str) -> bool {
    text.len() <= 255 && HOSTNAME.is_match(text) && text.split('.').all(|label| label.len() <= 63)
}

fn is_uuid(text: &str, version: Option<char>) -> bool {
    if !UUID.is_match(text) {
        return false;
    }
    let compact: Vec<char> = text.chars().filter(|c| *c != '-').collect();
    match version {
        None => true,
        Some(version) => {
            let variant = version == '3' || matches!(compact[16].to_ascii_lowercase(), '8' | '9' | 'a' | 'b');
            compact[12] == version && variant
        }
    }
}

/// Whether the string is non-empty base64 with the standard alphabet and padding. Trailing bits are ignored.
fn is_base64(text: &str) -> bool {
    let data = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    !data.is_empty() && text.len().is_multiple_of(4) && data.bytes().all(plain)
}

fn is_date(text: &str) -> bool {
    DATE.is_match(text) && text.parse::<jiff::civil::Date>().is_ok()
}

/// Whether the string is a date and a time of day with an offset. As in the API server, text after a second `T` is
/// ignored.
fn is_date_time(text: &str) -> bool {
    let text = text.to_lowercase();
    let mut parts = text.split('t');
    let (Some(date), Some(time)) = (parts.next(), parts.next()) else { return false };
    let in_range = |found: regex::Captures<'_>| &found[1] <= "23" && &found[2] <= "59" && &found[3] <= "59";
    is_date(date) && TIME_OF_DAY.captures(time).is_some_and(in_range)
}

#[cfg(test)]
mod tests;
