//! Checks of texts. A function `*_problem` returns the reason that a text is invalid, or `None` for a valid text.

use std::net::{IpAddr, Ipv4Addr};

use crate::names;

pub(super) fn dns_label_problem(text: &str) -> Option<&'static str> {
    names::dns_label_problem(text)
}

pub(in crate::strategy) fn dns_label_1035_problem(text: &str) -> Option<&'static str> {
    names::label_1035_problem(text)
}

pub(in crate::strategy) fn subdomain_problem(text: &str) -> Option<&'static str> {
    names::subdomain_problem(text)
}

/// The reason that a text is neither a subdomain nor a wildcard such as `*.example.com`.
pub(super) fn host_problem(text: &str) -> Option<&'static str> {
    if !text.contains('*') {
        return subdomain_problem(text);
    }
    let rest = text.strip_prefix("*.").filter(|rest| names::is_subdomain(rest));
    rest.is_none().then_some(
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    )
}

/// The reason that a text is neither a host name nor a wildcard such as `*.example.com`. IP addresses are invalid.
pub(super) fn dns_host_problem(text: &str) -> Option<&'static str> {
    if text.parse::<IpAddr>().is_ok() {
        return Some("must be a DNS name, not an IP address");
    }
    host_problem(text)
}

pub(in crate::strategy) fn qualified_name_problem(text: &str) -> Option<&'static str> {
    (!names::is_qualified_name(text)).then_some(names::INVALID_NAME_PART)
}

/// The reason that a text, converted to lower case, is not a qualified name.
pub(super) fn lowercased_qualified_name_problem(text: &str) -> Option<&'static str> {
    qualified_name_problem(&text.to_lowercase())
}

pub(super) fn label_value_problem(text: &str) -> Option<&'static str> {
    (!names::is_label_value(text)).then_some(names::INVALID_LABEL_VALUE)
}

/// The reason that a text is not a valid port name (RFC 6335). A valid name has at most 15 characters:
/// lower-case letters, digits and single dashes. It contains at least one letter. It does not begin or end
/// with a dash.
pub(super) fn port_name_problem(text: &str) -> Option<&'static str> {
    if text.len() > 15 {
        return Some("must be no more than 15 characters");
    }
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || !text.chars().all(allowed) {
        return Some("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    }
    if !text.contains(|c: char| c.is_ascii_lowercase()) {
        return Some("must contain at least one letter (a-z)");
    }
    if text.contains("--") {
        return Some("must not contain consecutive hyphens");
    }
    (text.starts_with('-') || text.ends_with('-')).then_some("must not begin or end with a hyphen")
}

const INVALID_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const LEADING_ZEROS: &str = "must not have leading 0s";
const MAPPED_IPV4: &str = "must not be an IPv4-mapped IPv6 address";

/// Parses an IP address. Accepts an IPv4 address with leading zeros.
fn parse_ip(text: &str) -> Option<IpAddr> {
    let without_zeros = || {
        let parts = text.split('.').map(|part| match part.trim_start_matches('0') {
            "" if !part.is_empty() => "0",
            digits => digits,
        });
        parts.collect::<Vec<_>>().join(".")
    };
    text.parse().ok().or_else(|| without_zeros().parse::<Ipv4Addr>().ok().map(IpAddr::V4))
}

/// The reason that the API server refuses `text`, the text form of `address`. The API server refuses a text
/// that other programs may parse as a different address.
fn ambiguity_problem(text: &str, address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(_) => text.parse::<IpAddr>().is_err().then_some(LEADING_ZEROS),
        IpAddr::V6(address) => address.to_ipv4_mapped().map(|_| MAPPED_IPV4),
    }
}

pub(in crate::strategy) fn ip_address_problem(text: &str) -> Option<&'static str> {
    match parse_ip(text) {
        Some(address) => ambiguity_problem(text, address),
        None => Some(INVALID_IP),
    }
}

/// The reason that a text is not valid as the address of an endpoint or the external IP of a service. Unspecified,
/// loopback and link-local addresses are invalid.
pub(super) fn external_ip_address_problem(text: &str) -> Option<&'static str> {
    if let Some(why) = ip_address_problem(text) {
        return Some(why);
    }
    let is_link_local = |first: u16| first & 0xffc0 == 0xfe80;
    match parse_ip(text)? {
        IpAddr::V4(ip) if ip.is_unspecified() => Some("may not be unspecified (0.0.0.0)"),
        IpAddr::V6(ip) if ip.is_unspecified() => Some("may not be unspecified (::)"),
        ip if ip.is_loopback() => Some("may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        IpAddr::V4(ip) if ip.is_link_local() => Some(LINK_LOCAL),
        IpAddr::V6(ip) if is_link_local(ip.segments()[0]) => Some(LINK_LOCAL),
        IpAddr::V4(ip) if ip.octets()[..3] == [224, 0, 0] => Some(LINK_LOCAL_MULTICAST),
        IpAddr::V6(ip) if ip.segments()[0] & 0xff0f == 0xff02 => Some(LINK_LOCAL_MULTICAST),
        _ => None,
    }
}

const LINK_LOCAL: &str = "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
const LINK_LOCAL_MULTICAST: &str = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)";

/// Whether an IP address is an IPv6 address. Returns `None` if the text is not an IP address.
pub(super) fn is_ipv6(text: &str) -> Option<bool> {
    parse_ip(text).map(|address| address.is_ipv6())
}

/// The canonical form of an IP address, or `None` if the text is not an IP address.
pub(in crate::strategy) fn canonical_ip(text: &str) -> Option<String> {
    parse_ip(text).map(|address| address.to_string())
}

/// The reason that a text is not a CIDR (RFC 4632). A CIDR consists of an IP address, `/`, and the length of
/// the prefix. The bits of the address beyond the prefix must be zero.
pub(super) fn cidr_problem(text: &str) -> Option<&'static str> {
    const INVALID: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
    let Some((address_text, length_text)) = text.split_once('/') else { return Some(INVALID) };
    let Some(address) = parse_ip(address_text) else { return Some(INVALID) };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let is_number = !length_text.is_empty() && length_text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(length) = length_text.parse::<u32>().ok().filter(|length| is_number && *length <= most) else {
        return Some(INVALID);
    };
    let has_leading_zero = length_text.len() > 1 && length_text.starts_with('0');
    match ambiguity_problem(address_text, address) {
        Some(LEADING_ZEROS) => return Some("must not have leading 0s in IP or prefix length"),
        Some(_) => return Some("must not have an IPv4-mapped IPv6 address"),
        None if has_leading_zero => return Some("must not have leading 0s in IP or prefix length"),
        None => {}
    }
    let host_bits = match address {
        IpAddr::V4(ip) => u128::from(u32::from(ip).checked_shl(length).unwrap_or(0)),
        IpAddr::V6(ip) => u128::from(ip).checked_shl(length).unwrap_or(0),
    };
    (host_bits != 0).then_some("must not have bits set beyond the prefix length")
}

/// The reason that a text is not an interface address, such as `10.9.8.7/24`, in its canonical form.
pub(super) fn interface_address_problem(text: &str) -> Option<&'static str> {
    const INVALID: &str = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)";
    let Some((address, length)) = text.split_once('/') else { return Some(INVALID) };
    let parsed = parse_ip(address).zip(length.parse::<u8>().ok());
    let Some((ip, bits)) = parsed.filter(|(ip, bits)| *bits <= if ip.is_ipv4() { 32 } else { 128 }) else {
        return Some(INVALID);
    };
    let is_canonical = text == format!("{ip}/{bits}") && ambiguity_problem(address, ip).is_none();
    (!is_canonical).then_some("must be in canonical form")
}

/// The reason that a text is not a CIDR in its canonical form.
pub(in crate::strategy) fn canonical_cidr_problem(text: &str) -> Option<String> {
    if let Some(why) = cidr_problem(text) {
        return Some(why.to_owned());
    }
    let (address, length) = text.split_once('/')?;
    let canonical = format!("{}/{length}", canonical_ip(address)?);
    (canonical != text).then(|| format!("must be in canonical form ({canonical:?})"))
}

/// The reason that a text cannot be one segment of a URL path.
pub(in crate::strategy) fn path_segment_problem(text: &str) -> Option<&'static str> {
    match text {
        "." => Some("may not be '.'"),
        ".." => Some("may not be '..'"),
        _ if text.contains('/') => Some("may not contain '/'"),
        _ => text.contains('%').then_some("may not contain '%'"),
    }
}

/// The reason that a text does not have the form `DOMAIN/PATH`, such as `acme.io/foo`.
pub(super) fn domain_prefixed_path_problem(text: &str) -> Option<&'static str> {
    let valid =
        text.split_once('/').is_some_and(|(domain, path)| names::is_subdomain(domain) && !path.is_empty());
    (!valid).then_some("must be a domain-prefixed path (such as \"acme.io/foo\")")
}

/// The reason that a text is not the name of a signer, such as `example.com/signer`. The domain must contain a dot.
pub(super) fn signer_name_problem(text: &str) -> Option<&'static str> {
    let valid = text.split_once('/').is_some_and(|(domain, path)| {
        domain.contains('.') && names::is_subdomain(domain) && names::is_subdomain(path)
    });
    (!valid).then_some("must be a fully qualified domain and path of the form 'example.com/signer-name'")
}

/// The reason that a text has neither the form `VERSION` nor the form `GROUP/VERSION`.
pub(super) fn group_version_problem(text: &str) -> Option<&'static str> {
    let (group, version) =
        text.split_once('/').map_or((None, text), |(group, version)| (Some(group), version));
    let valid = group.is_none_or(names::is_subdomain) && names::is_label_1035(version);
    (!valid).then_some("must be in the form of GROUP/VERSION")
}

/// The reason that a text is not a subdomain with at least three segments.
pub(super) fn fully_qualified_name_problem(text: &str) -> Option<&'static str> {
    if text.split('.').count() < 3 {
        return Some("should be a domain with at least three segments separated by dots");
    }
    subdomain_problem(text)
}

/// The reason that a text is not a CEL identifier. Reserved words, such as `in`, are not rejected.
pub(super) fn cel_identifier_problem(text: &str) -> Option<&'static str> {
    let start = |c: char| c.is_ascii_alphabetic() || c == '_';
    let valid = text.starts_with(start) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (!valid).then_some("name is not a valid CEL identifier")
}

/// The reason that a text is neither a path of a URL nor `*`. A path may contain `*` only as its last segment.
pub(super) fn non_resource_url_problem(text: &str) -> Option<&'static str> {
    if text == "*" {
        return None;
    }
    if !text.starts_with('/') {
        return Some("must start with slash");
    }
    if text.contains(' ') {
        return Some("must not contain white-space");
    }
    if text.contains("//") {
        return Some("must not contain double slash");
    }
    let star = text.find('*').is_some_and(|at| at + 1 != text.len() || !text.ends_with("/*"));
    star.then_some("wildcard can only do suffix matching")
}
