//! Reads the proxy from the environment: `HTTPS_PROXY`, `HTTP_PROXY`, and the exceptions in `NO_PROXY`.
//!
//! This module implements the rules of Go's `httpproxy`, which kubectl uses: loopback addresses bypass the proxy, and
//! an entry of `NO_PROXY` is `*`, an IP address, a network in CIDR notation, or a domain. IP addresses and domains may
//! have a port.

use http::Uri;
use std::net::IpAddr;

use super::{address, env::Env, error::FieldError};

/// The proxy for a server; `None` if the environment sets no proxy, or if requests to the server bypass the proxy. The
/// error contains the name of the proxy variable.
pub(super) fn from_env(server: &Uri, env: Env<'_>) -> Result<Option<Uri>, (&'static str, FieldError)> {
    let names: [&'static str; 2] = match server.scheme_str() {
        Some("http") => ["HTTP_PROXY", "http_proxy"],
        _ => ["HTTPS_PROXY", "https_proxy"],
    };
    let Some((name, value)) = names.iter().find_map(|name| Some((*name, env.text_value(name)?))) else {
        return Ok(None);
    };
    let exempt = env.text_value("NO_PROXY").or_else(|| env.text_value("no_proxy")).unwrap_or_default();
    if bypasses_proxy(server, &exempt) {
        return Ok(None);
    }
    address::parse_proxy(&value).map(Some).map_err(|error| (name, error))
}

/// Whether requests to the server bypass the proxy. `exempt` is the value of `NO_PROXY`.
fn bypasses_proxy(server: &Uri, exempt: &str) -> bool {
    let host = address::bare_host(server).trim_end_matches('.').to_ascii_lowercase();
    let port = server.port_u16().unwrap_or(if server.scheme_str() == Some("http") { 80 } else { 443 });
    let ip: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
        return true;
    }
    exempt
        .split(',')
        .map(|entry| entry.trim().to_ascii_lowercase())
        .filter(|entry| !entry.is_empty())
        .any(|entry| entry == "*" || entry_matches(&entry, &host, ip, port))
}

/// Whether an entry of `NO_PROXY` other than `*` matches the host and the port.
fn entry_matches(entry: &str, host: &str, ip: Option<IpAddr>, port: u16) -> bool {
    if let Some((network, bits)) = entry.split_once('/') {
        return match (network.parse(), bits.parse(), ip) {
            (Ok(network), Ok(bits), Some(ip)) => network_contains(network, bits, ip),
            _ => false,
        };
    }
    let (name, wanted) = split_port(entry);
    if wanted.is_some_and(|wanted| wanted != port) {
        return false;
    }
    if let Ok(address) = name.parse::<IpAddr>() {
        return ip == Some(address);
    }
    // `.example.com` and `*.example.com` match only subdomains; `example.com` also matches the domain itself.
    let (domain, itself) = match name.strip_prefix("*.").or_else(|| name.strip_prefix('.')) {
        Some(domain) => (domain, false),
        None => (name, true),
    };
    (itself && host == domain)
        || host.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

/// Splits an entry such as `host:port`, `[v6]:port` or `[v6]` into the host and the port, if there is one. An IPv6 address
/// without brackets has no port. An entry with an invalid port is returned whole, as the host: no host matches this text.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if let Some(rest) = entry.strip_prefix('[')
        && let Some((address, rest)) = rest.split_once(']')
    {
        let port = rest.strip_prefix(':').and_then(|port| port.parse().ok());
        return if rest.is_empty() || port.is_some() { (address, port) } else { (entry, None) };
    }
    match entry.split_once(':') {
        Some((name, port)) if !port.contains(':') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

/// Whether the first `bits` bits of both addresses are equal.
fn network_contains(network: IpAddr, bits: u32, ip: IpAddr) -> bool {
    match (network, ip) {
        (IpAddr::V4(network), IpAddr::V4(ip)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            network.to_bits() & mask == ip.to_bits() & mask
        }
        (IpAddr::V6(network), IpAddr::V6(ip)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            network.to_bits() & mask == ip.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    #[track_caller]
    fn assert_bypass_is(cluster: &str, exempt: &str, expected: bool) {
        assert_eq!(
            bypasses_proxy(&cluster.parse().unwrap(), exempt),
            expected,
            "{cluster} with NO_PROXY={exempt}"
        );
    }

    #[test]
    fn requests_bypass_the_proxy_for_loopback_and_for_entries_of_the_no_proxy_variable() {
        assert_bypass_is("https://10.0.0.1:6443", "10.0.0.1", true);
        assert_bypass_is("https://10.0.0.1:6443", "10.0.0.2, 10.0.0.0/24", true);
        assert_bypass_is("https://10.0.1.1:6443", "10.0.0.0/24", false);
        assert_bypass_is("https://10.0.0.1:6443", "0.0.0.0/0", true);
        assert_bypass_is("https://10.0.0.1:6443", "10.0.0.1:443", false);
        assert_bypass_is("https://10.0.0.1:6443", "10.0.0.1:6443", true);
        assert_bypass_is("https://[fd00::1]:6443", "fd00::/8", true);
        assert_bypass_is("https://[fd00::1]:6443", "[fd00::1]:6443", true);
        assert_bypass_is("https://[fd00::1]:6443", "fd00::1", true);
        assert_bypass_is("https://[fd00::1]:6443", "[fd00::1]", true);
        assert_bypass_is("https://[fd00::1]:6443", "[fd00::1]:x", false);
        assert_bypass_is("https://api.example.com", "example.com", true);
        assert_bypass_is("https://example.com", "example.com", true);
        assert_bypass_is("https://example.com", ".example.com", false);
        assert_bypass_is("https://api.Example.com", "*.example.COM", true);
        assert_bypass_is("https://notexample.com", "example.com", false);
        assert_bypass_is("https://api.example.com", "*", true);
        assert_bypass_is("https://api.example.com", "", false);
        assert_bypass_is("https://localhost:6443", "", true);
        assert_bypass_is("https://127.0.0.1:6443", "", true);
        assert_bypass_is("https://[::1]:6443", "", true);
        assert_bypass_is("https://10.0.0.1", "10.0.0.0/33,nonsense/,/8", false);
    }

    #[test]
    fn the_scheme_of_the_cluster_selects_the_proxy_variable() {
        let lookup = |name: &str| match name {
            "HTTPS_PROXY" => Some(OsString::from("secure:3128")),
            "http_proxy" => Some(OsString::from("http://plain:3128")),
            _ => None,
        };
        let of = |cluster: &str| {
            from_env(&cluster.parse().unwrap(), Env::from_lookup(&lookup)).unwrap().map(|uri| uri.to_string())
        };
        assert_eq!(of("https://10.0.0.1").as_deref(), Some("http://secure:3128/"));
        assert_eq!(of("http://10.0.0.1").as_deref(), Some("http://plain:3128/"));
        assert_eq!(of("http://localhost"), None);
    }

    #[test]
    fn the_error_for_an_invalid_proxy_names_its_variable() {
        let lookup = |name: &str| (name == "HTTPS_PROXY").then(|| OsString::from("gopher://u:secret@x"));
        let (name, error) =
            from_env(&"https://10.0.0.1".parse().unwrap(), Env::from_lookup(&lookup)).unwrap_err();
        assert_eq!(name, "HTTPS_PROXY");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
