//! The formats of texts that custom resources may declare.
//!
//! Owns the list of formats that a server knows (others are ignored) and one predicate for each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{civil::date, fmt::temporal::Pieces};
use regex::Regex;

use super::node::{Kind, Schema};

/// The declared format, if the server acts on it: a known one of a text, or a width of a number.
pub(super) fn known(schema: &Schema) -> Option<&str> {
    let format = schema.format.as_deref()?;
    let acts = match schema.kind() {
        Kind::Any | Kind::String => {
            let plain = format.replace('-', "");
            KNOWN.contains(&plain.as_str())
        }
        Kind::Integer => matches!(format, "int32" | "int64"),
        Kind::Number => matches!(format, "float" | "double"),
        _ => false,
    };
    acts.then_some(format)
}

const KNOWN: [&str; 26] = [
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

/// Whether a text has a format; dashes in the format's name do not matter.
pub(super) fn accepts(format: &str, text: &str) -> bool {
    match format.replace('-', "").as_str() {
        "bsonobjectid" => text.len() == 24 && text.bytes().all(|b| b.is_ascii_hexdigit()),
        "uri" => text.starts_with('/') || URI.is_match(text),
        "email" => EMAIL.is_match(text),
        "hostname" => is_hostname(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => MAC.is_match(text),
        "uuid" => is_uuid(text, None),
        "uuid3" => is_uuid(text, Some('3')),
        "uuid4" => is_uuid(text, Some('4')),
        "uuid5" => is_uuid(text, Some('5')),
        "isbn" => is_isbn10(text) || is_isbn13(text),
        "isbn10" => is_isbn10(text),
        "isbn13" => is_isbn13(text),
        "creditcard" => is_credit_card(text),
        "ssn" => SSN.is_match(text),
        "hexcolor" => HEX_COLOR.is_match(text),
        "rgbcolor" => is_rgb_color(text),
        "byte" => STANDARD.decode(text).is_ok(),
        "date" => DATE.is_match(text) && text.parse::<jiff::civil::Date>().is_ok(),
        "duration" => DURATION.is_match(text),
        "datetime" => text.contains(['T', 't']) && is_time(text),
        "k8sshortname" => text.len() <= 63 && LABEL.is_match(text),
        "k8slongname" => text.len() <= 253 && text.split('.').all(|part| LABEL.is_match(part)),
        // `password` and everything that is not known.
        _ => true,
    }
}

/// Whether this is a time with an offset. Go takes times up to the end of the year 9999, a day longer than `Timestamp` does.
pub(super) fn is_time(text: &str) -> bool {
    let on_the_last_days = || {
        Pieces::parse(text).is_ok_and(|pieces| {
            pieces.time().is_some() && pieces.offset().is_some() && pieces.date() >= date(9999, 12, 30)
        })
    };
    text.parse::<jiff::Timestamp>().is_ok() || on_the_last_days()
}

fn regex(source: &str) -> Regex {
    Regex::new(source).expect("the patterns in this file compile, as a test shows")
}

static URI: LazyLock<Regex> = LazyLock::new(|| regex(r"^[A-Za-z][A-Za-z0-9+.-]*:[^\s]+$"));
static EMAIL: LazyLock<Regex> = LazyLock::new(|| regex(r"^(?:.*<)?[^\s@<>]+@[^\s@<>]+>?$"));
static MAC: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^(?i:[0-9a-f]{2}(?::[0-9a-f]{2}){5}(?:(?::[0-9a-f]{2}){2})?|[0-9a-f]{2}(?:-[0-9a-f]{2}){5}|[0-9a-f]{4}(?:\.[0-9a-f]{4}){2})$",
    )
});
static UUID: LazyLock<Regex> =
    LazyLock::new(|| regex(r"^(?i:[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12})$"));
static SSN: LazyLock<Regex> = LazyLock::new(|| regex(r"^\d{3}[- ]?\d{2}[- ]?\d{4}$"));
static HEX_COLOR: LazyLock<Regex> = LazyLock::new(|| regex(r"^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"));
static DATE: LazyLock<Regex> = LazyLock::new(|| regex(r"^\d{4}-\d{2}-\d{2}$"));
static DURATION: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|ms|s|m|h)(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|ms|s|m|h))*|0|\d+\s*(?:ns|nanos?|us|µs|micros?|ms|millis?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?))$",
    )
});
static LABEL: LazyLock<Regex> = LazyLock::new(|| regex(r"^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$"));

fn is_hostname(text: &str) -> bool {
    let label = |part: &str| {
        let plain = part.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
        (1..=63).contains(&part.len()) && plain && !part.starts_with('-') && !part.ends_with('-')
    };
    text.len() <= 255 && text.trim_end_matches('.').split('.').all(label)
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let plain = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
    let bits: u8 = bits.parse().unwrap_or(u8::MAX);
    plain
        && match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => bits <= 32,
            Ok(IpAddr::V6(_)) => bits <= 128,
            Err(_) => false,
        }
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

fn digits(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, ' ' | '-')).collect()
}

fn is_isbn10(text: &str) -> bool {
    let text = digits(text);
    let value = |(index, c): (usize, char)| match c {
        'X' | 'x' if index == 9 => Some(10),
        c => c.to_digit(10),
    };
    let values: Option<Vec<u32>> = text.chars().enumerate().map(value).collect();
    let weighted =
        |values: Vec<u32>| -> u32 { (1..).zip(values).map(|(weight, value)| weight * value).sum() };
    text.len() == 10 && values.is_some_and(|values| weighted(values) % 11 == 0)
}

fn is_isbn13(text: &str) -> bool {
    let values: Option<Vec<u32>> = digits(text).chars().map(|c| c.to_digit(10)).collect();
    values.is_some_and(|values| {
        let sum: u32 =
            values.iter().zip([1, 3].into_iter().cycle()).map(|(value, weight)| value * weight).sum();
        values.len() == 13 && sum.is_multiple_of(10)
    })
}

/// The digits form a card number of a known length whose check digit is right.
fn is_credit_card(text: &str) -> bool {
    let values: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let double = |(index, value): (usize, &u32)| match (index % 2, value * 2) {
        (0, _) => *value,
        (_, doubled) if doubled > 9 => doubled - 9,
        (_, doubled) => doubled,
    };
    let sum: u32 = values.iter().rev().enumerate().map(double).sum();
    (13..=16).contains(&values.len()) && sum.is_multiple_of(10)
}

fn is_rgb_color(text: &str) -> bool {
    let Some(inner) = text.strip_prefix("rgb(").and_then(|rest| rest.strip_suffix(')')) else { return false };
    let parts: Vec<&str> = inner.split(',').map(str::trim).collect();
    parts.len() == 3 && parts.iter().all(|part| part.parse::<u8>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_takes_its_own_and_refuses_others() {
        let cases: [(&str, &str, &str); 26] = [
            ("bsonobjectid", "507f1f77bcf86cd799439011", "507f"),
            ("uri", "https://a.b/c?d", "not a uri"),
            ("email", "a@b.c", "a.b.c"),
            ("hostname", "a-1.example.com", "-a.b"),
            ("ipv4", "10.0.0.1", "10.0.0.256"),
            ("ipv6", "fe80::1", "10.0.0.1"),
            ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
            ("mac", "01:23:45:67:89:ab", "01:23:45:67:89"),
            ("uuid", "a987fbc9-4bed-3078-9f07-9141ba07c9f3", "a987"),
            ("uuid3", "a987fbc9-4bed-3078-9f07-9141ba07c9f3", "a987fbc9-4bed-4078-9f07-9141ba07c9f3"),
            ("uuid4", "57b73598-8764-4ad0-a76a-679bb6640eb1", "57b73598-8764-4ad0-c76a-679bb6640eb1"),
            ("uuid5", "987fbc97-4bed-5078-af07-9141ba07c9f3", "987fbc97-4bed-4078-af07-9141ba07c9f3"),
            ("isbn", "978-0321751041", "978-0321751042"),
            ("isbn10", "0321751043", "0321751044"),
            ("isbn13", "978-0321751041", "0321751043"),
            ("creditcard", "4111-1111-1111-1111", "4111-1111-1111-1112"),
            ("ssn", "111-11-1111", "11-11-1111"),
            ("hexcolor", "#FFFFFF", "#FFFFFG"),
            ("rgbcolor", "rgb(1, 2, 255)", "rgb(1,2,256)"),
            ("byte", "aGVsbG8=", "a"),
            ("date", "2024-02-29", "2023-02-29"),
            ("duration", "1h30m", "1 parsec"),
            ("date-time", "2014-12-15T19:30:20.000Z", "2014-12-15"),
            ("datetime", "2014-12-15T19:30:20+01:00", "x"),
            ("k8s-short-name", "a-b", "a_b"),
            ("k8s-long-name", "a.b-c.d", "a..b"),
        ];
        for (format, good, bad) in cases {
            assert!(accepts(format, good), "{format} should take {good}");
            assert!(!accepts(format, bad), "{format} should refuse {bad}");
        }
        assert!(accepts("password", "anything"));
    }
}
