//! `ListenAddress`: parses the address of `--listen`. Opens no socket.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// An address to listen on; port 0 selects a free port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenAddress(SocketAddr);

impl From<ListenAddress> for SocketAddr {
    fn from(listen: ListenAddress) -> Self {
        listen.0
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = match text.strip_prefix("localhost") {
            Some(port) if port.is_empty() || port.starts_with(':') => format!("127.0.0.1{port}"),
            _ => text.to_owned(),
        };
        let alone = || text.trim_matches(['[', ']']).parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
        text.parse().or_else(|_| alone()).map(Self).map_err(|_| {
            "expected an IP address with an optional port, such as 127.0.0.1:6443, 0.0.0.0 or [::1]:0"
                .to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_address(text: &str, expected: Option<&str>) {
        let parsed = text.parse::<ListenAddress>().ok().map(|listen| SocketAddr::from(listen).to_string());
        assert_eq!(parsed.as_deref(), expected, "{text}");
    }

    #[test]
    fn addresses_are_parsed_with_or_without_a_port() {
        check_address("127.0.0.1:6443", Some("127.0.0.1:6443"));
        check_address("0.0.0.0", Some("0.0.0.0:0"));
        check_address("[::1]:1", Some("[::1]:1"));
        check_address("::1", Some("[::1]:0"));
        check_address("localhost:80", Some("127.0.0.1:80"));
        check_address("localhost", Some("127.0.0.1:0"));
        check_address("localhost.example", None);
        check_address("6443", None);
        check_address("127.0.0.1:99999", None);
        check_address("", None);
    }
}
