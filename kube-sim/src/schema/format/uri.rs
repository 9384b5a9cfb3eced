//! The format `uri`: an absolute path, an absolute URI or `*`, as defined by Go's `url.ParseRequestURI`.

use std::net::Ipv6Addr;

/// Whether the string is an absolute URI, an absolute path or `*`.
pub(super) fn is_request_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|b| b < b' ' || b == 0x7f) {
        return false;
    }
    if text == "*" {
        return true;
    }
    let Some((scheme, rest)) = split_scheme(text) else { return false };
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    if !rest.starts_with('/') {
        // Go does not validate the part after the scheme of an opaque URI such as `mailto:a@b`.
        return !scheme.is_empty();
    }
    let path = match rest.strip_prefix("//").filter(|_| !scheme.is_empty()) {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if !is_authority(authority) {
                return false;
            }
            path
        }
        None => rest,
    };
    percent_encoded_bytes(path).is_some()
}

/// Splits the string into the scheme, which may be empty, and the rest. Returns `None` if the string begins with a colon.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    for (index, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if index > 0 => {}
            ':' if index == 0 => return None,
            ':' => return Some((&text[..index], &text[index + 1..])),
            _ => break,
        }
    }
    Some(("", text))
}

fn is_authority(authority: &str) -> bool {
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let in_user = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
    user.chars().all(in_user) && percent_encoded_bytes(user).is_some() && is_host(host)
}

fn is_host(host: &str) -> bool {
    if let Some(literal) = host.strip_prefix('[') {
        let Some((address, port)) = literal.rsplit_once(']') else { return false };
        let (address, zone) = address.split_once("%25").unwrap_or((address, ""));
        return is_port(port) && percent_encoded_bytes(zone).is_some() && address.parse::<Ipv6Addr>().is_ok();
    }
    let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
    // In a host, Go accepts percent-encoding only for the percent sign and for non-ASCII bytes.
    let escaped = percent_encoded_bytes(name)
        .is_some_and(|bytes| bytes.iter().all(|byte| *byte >= 0x80 || *byte == b'%'));
    let in_name = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "-_.~!$&'()*+,;=<>\"%]".contains(c);
    is_port(port) && escaped && name.chars().all(in_name)
}

fn is_port(port: &str) -> bool {
    port.is_empty() || port.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
}

/// The decoded values of the percent-encoded bytes in `text`. `None` if a percent-encoding is malformed.
fn percent_encoded_bytes(text: &str) -> Option<Vec<u8>> {
    text.split('%')
        .skip(1)
        .map(|rest| {
            u8::from_str_radix(rest.get(..2).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))?, 16)
                .ok()
        })
        .collect()
}
