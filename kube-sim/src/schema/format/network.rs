//! The formats of network addresses: `ipv4`, `ipv6`, `cidr` and `mac`.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Whether the string is an IPv4 address, or an IPv6 address that ends with an IPv4 address. The octets may have
/// leading zeros.
pub(super) fn is_ipv4(text: &str) -> bool {
    text.contains('.') && (parse_lenient_v4(text).is_some() || is_lenient_v6(text))
}

/// Whether the string is an IPv6 address without a zone.
pub(super) fn is_ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok()
}

/// Whether the string is an IP address and a prefix length. IPv4 octets and the prefix length may have leading zeros.
pub(super) fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let max = if parse_lenient_v4(address).is_some() {
        32
    } else if is_lenient_v6(address) {
        128
    } else {
        return false;
    };
    is_decimal_number(bits) && bits.parse::<u32>().is_ok_and(|bits| bits <= max)
}

/// Whether the string is a MAC address of six, eight or twenty bytes. The separator is `:` or `-` after every two hex
/// digits, or `.` after every four. An address without separators is also accepted.
pub(super) fn is_mac(text: &str) -> bool {
    let groups: Vec<&str> = match text.as_bytes() {
        [_, _, b':', ..] => text.split(':').collect(),
        [_, _, b'-', ..] => text.split('-').collect(),
        [_, _, _, _, b'.', ..] => text.split('.').collect(),
        _ => vec![text],
    };
    let size = match text.as_bytes() {
        [_, _, b':' | b'-', ..] => 2,
        [_, _, _, _, b'.', ..] => 4,
        bytes => bytes.len(),
    };
    let hex = |group: &&str| group.len() == size && group.bytes().all(|b| b.is_ascii_hexdigit());
    matches!(groups.len() * size, 12 | 16 | 40) && groups.iter().all(hex)
}

fn is_decimal_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Parses an IPv4 address whose octets may have leading zeros.
fn parse_lenient_v4(text: &str) -> Option<Ipv4Addr> {
    let parts: Option<Vec<u8>> =
        text.split('.').map(|part| if is_decimal_number(part) { part.parse().ok() } else { None }).collect();
    let parts: [u8; 4] = parts?.try_into().ok()?;
    Some(parts.into())
}

/// Whether the string is an IPv6 address. If the address ends with an IPv4 address, the octets may have leading zeros.
fn is_lenient_v6(text: &str) -> bool {
    let embedded = text.rsplit_once(':').filter(|(_, last)| last.contains('.'));
    match embedded {
        Some((head, last)) => parse_lenient_v4(last)
            .is_some_and(|address| format!("{head}:{address}").parse::<Ipv6Addr>().is_ok()),
        None => text.parse::<Ipv6Addr>().is_ok(),
    }
}
