//! Parses and validates the addresses of servers and proxies in configurations, and hides their userinfo.
//!
//! This module must not open connections or resolve names.

use http::{Uri, uri};
use std::net::IpAddr;

use super::error::FieldError;

/// Parses an API server's address.
pub(super) fn parse_server(text: &str) -> Result<Uri, FieldError> {
    let uri = parse_with_schemes(text, &["https", "http"])?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(invalid_address(
            text,
            "it must not contain a user name or a password; set them in the user's entry",
        ));
    }
    if uri.query().is_some() {
        return Err(invalid_address(text, "it must not have a query"));
    }
    Ok(uri)
}

/// The host without the brackets of an IPv6 address; empty if the address has no host.
pub(crate) fn bare_host(address: &Uri) -> &str {
    let host = address.host().unwrap_or_default();
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Whether the host is `localhost` or a loopback IP address.
pub(crate) fn is_loopback(address: &Uri) -> bool {
    let host = bare_host(address);
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Parses a proxy's address. The default scheme is `http`.
pub(super) fn parse_proxy(text: &str) -> Result<Uri, FieldError> {
    let text = text.trim();
    if text.contains("://") {
        parse_with_schemes(text, &["http", "https", "socks5", "socks5h"])
    } else {
        parse_with_schemes(&format!("http://{text}"), &["http"])
    }
}

/// Parses an address. The address must have a host and one of `schemes`.
fn parse_with_schemes(text: &str, schemes: &[&str]) -> Result<Uri, FieldError> {
    if !text.contains("://") {
        return Err(invalid_address(text, &format!("it must begin with {}://", schemes.join(":// or "))));
    }
    let uri: Uri =
        text.parse().map_err(|error: uri::InvalidUri| invalid_address(text, &error.to_string()))?;
    match (uri.scheme_str(), uri.host()) {
        _ if has_unusable_port(&uri) => Err(invalid_address(text, "its port is not a number up to 65535")),
        (Some(scheme), Some(host)) if schemes.contains(&scheme) && !host.is_empty() => Ok(uri),
        (Some(_), Some(host)) if !host.is_empty() => {
            Err(invalid_address(text, &format!("it must begin with {}://", schemes.join(":// or "))))
        }
        _ => Err(invalid_address(text, "it has no host")),
    }
}

/// Whether the address has a port that is not a number up to 65535. [`Uri::port`] ignores such a port.
pub(crate) fn has_unusable_port(uri: &Uri) -> bool {
    let Some(authority) = uri.authority() else { return false };
    let host = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host);
    let port = host.get(authority.host().len()..).unwrap_or_default();
    !matches!(port, "" | ":") && authority.port().is_none()
}

fn invalid_address(text: &str, why: &str) -> FieldError {
    FieldError::Address { value: without_userinfo(text), why: why.to_owned() }
}

/// The address with its userinfo (`user:password@`) replaced by `***@`.
///
/// Replaces everything between the scheme and the last `@`: in an address that does not parse, the password may contain `/`,
/// `?` or `#`.
pub(super) fn without_userinfo(text: &str) -> String {
    let is_scheme = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric());
    let scheme = text.find("://").filter(|at| is_scheme(&text[..*at]));
    let start = scheme.map_or(0, |at| at + 3);
    match text[start..].rfind('@') {
        Some(at) => format!("{}***{}", &text[..start], &text[start + at..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_address_requires_scheme_and_host_and_forbids_userinfo() {
        for good in ["https://10.0.0.1:6443", "http://localhost", "https://[::1]:6443/k8s/clusters/c-1"] {
            assert!(parse_server(good).is_ok(), "{good}");
        }
        for (text, why) in [
            ("localhost:8080", "must begin with https://"),
            ("ftp://host", "must begin with https://"),
            ("https://", "`https://`"),
            ("https://me:secret@host", "https://***@host"),
            ("https://me:secret/1@host", "https://***@host"),
            ("https://me:secret#1?@host", "https://***@host"),
            ("me:secret://1@host", "***@host"),
            ("https://host/?a=b", "query"),
            ("https://ho st", "invalid"),
            ("", "must begin with"),
        ] {
            let message = parse_server(text).unwrap_err().to_string();
            assert!(message.contains(why), "{text}: {message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn the_scheme_of_a_proxy_address_is_optional() {
        assert_eq!(parse_proxy("proxy:3128").unwrap().to_string(), "http://proxy:3128/");
        assert_eq!(parse_proxy("socks5://u:p@proxy:1080").unwrap().host(), Some("proxy"));
        assert!(parse_proxy("gopher://x").is_err());
    }

    #[test]
    fn a_port_is_a_number_up_to_65535() {
        for good in ["https://host:65535", "https://host:", "https://[::1]", "https://[::1]:1"] {
            assert!(parse_server(good).is_ok(), "{good}");
        }
        for bad in ["https://host:65536", "https://host:644300/x", "https://host:port", "https://[::1]:99999"]
        {
            let refused = parse_server(bad).and(parse_proxy(bad)).map_err(|error| error.to_string());
            assert!(refused.is_err_and(|why| why.contains("port")), "{bad}");
        }
    }
}
