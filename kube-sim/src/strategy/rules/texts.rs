//! Checks of texts. Each function returns the reason that a text is invalid, or `None` for a valid text.

use std::net::{IpAddr, Ipv4Addr};

use crate::names;

pub(super) fn dns_label(text: &str) -> Option<&'static str> {
    names::label_problem(text)
}

pub(super) fn dns_label_1035(text: &str) -> Option<&'static str> {
    names::label_1035_problem(text)
}

pub(super) fn subdomain(text: &str) -> Option<&'static str> {
    names::subdomain_problem(text)
}

/// A subdomain, or `*.` and a subdomain.
pub(super) fn host(text: &str) -> Option<&'static str> {
    if !text.contains('*') {
        return subdomain(text);
    }
    let rest = text.strip_prefix("*.").filter(|rest| names::is_subdomain(rest));
    rest.is_none().then_some(
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    )
}

pub(super) fn qualified_name(text: &str) -> Option<&'static str> {
    (!names::is_qualified(text)).then_some(names::INVALID_QUALIFIED_NAME)
}

/// A qualified name after conversion to lower case.
pub(super) fn qualified_name_of_any_case(text: &str) -> Option<&'static str> {
    qualified_name(&text.to_lowercase())
}

pub(super) fn label_value(text: &str) -> Option<&'static str> {
    (!names::is_label_value(text)).then_some(names::INVALID_LABEL_VALUE)
}

/// The name of a port (RFC 6335): at most 15 lower-case letters, digits and single dashes, with at least one letter.
pub(super) fn port_name(text: &str) -> Option<&'static str> {
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

pub(super) fn ip_address(text: &str) -> Option<&'static str> {
    text.parse::<IpAddr>().is_err().then_some("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")
}

pub(super) fn ipv4_address(text: &str) -> Option<&'static str> {
    text.parse::<Ipv4Addr>().is_err().then_some("must be a valid IPv4 address")
}

/// An IP address, `/` and the length of the prefix (RFC 4632).
pub(super) fn cidr(text: &str) -> Option<&'static str> {
    let valid = text.split_once('/').is_some_and(|(address, length)| {
        let most = match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        length.parse::<u8>().is_ok_and(|length| length <= most)
    });
    (!valid).then_some("must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")
}

/// `DOMAIN/PATH`, such as `acme.io/foo`.
pub(super) fn domain_prefixed_path(text: &str) -> Option<&'static str> {
    let valid =
        text.split_once('/').is_some_and(|(domain, path)| names::is_subdomain(domain) && !path.is_empty());
    (!valid).then_some("must be a domain-prefixed path (such as \"acme.io/foo\")")
}

/// A domain with a dot, `/` and a path, such as `example.com/signer`.
pub(super) fn signer_name(text: &str) -> Option<&'static str> {
    let valid = text.split_once('/').is_some_and(|(domain, path)| {
        domain.contains('.') && names::is_subdomain(domain) && names::is_subdomain(path)
    });
    (!valid).then_some("must be a fully qualified domain and path of the form 'example.com/signer-name'")
}

/// `VERSION` or `GROUP/VERSION`.
pub(super) fn group_version(text: &str) -> Option<&'static str> {
    let (group, version) =
        text.split_once('/').map_or((None, text), |(group, version)| (Some(group), version));
    let valid = group.is_none_or(names::is_subdomain) && names::is_label_1035(version);
    (!valid).then_some("must be in the form of GROUP/VERSION")
}

/// A subdomain with at least three segments.
pub(super) fn fully_qualified_name(text: &str) -> Option<&'static str> {
    if text.split('.').count() < 3 {
        return Some("should be a domain with at least three segments separated by dots");
    }
    subdomain(text)
}

/// The name of a variable in CEL.
pub(super) fn cel_identifier(text: &str) -> Option<&'static str> {
    let start = |c: char| c.is_ascii_alphabetic() || c == '_';
    let valid = text.starts_with(start) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (!valid).then_some("name is not a valid CEL identifier")
}

/// A path of a URL, or `*`; a `*` is only permitted at the end.
pub(super) fn non_resource_url(text: &str) -> Option<&'static str> {
    if text == "*" {
        return None;
    }
    if !text.starts_with('/') {
        return Some("must start with '/'");
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
