//! Chooses free ports on this machine. Another process may use a chosen port first: the caller must retry.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::bail;

/// The range of the chosen ports. It is below the usual ranges of ephemeral ports, so that no outgoing connection takes
/// the port of a server while the server restarts.
const RANGE: std::ops::Range<u16> = 10_000..32_000;

/// Chooses `count` different ports of 127.0.0.1 on which no process listens.
pub(crate) fn choose_free(count: usize) -> anyhow::Result<Vec<u16>> {
    let mut ports = Vec::with_capacity(count);
    let mut tried = HashSet::new();
    while ports.len() < count {
        let port = fastrand::u16(RANGE);
        if tried.insert(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            ports.push(port);
        }
        if tried.len() > 5000 {
            bail!("found no {count} free ports on 127.0.0.1 between {} and {}", RANGE.start, RANGE.end);
        }
    }
    Ok(ports)
}

/// Whether the log of a component contains the error that its port is in use.
pub(crate) fn is_conflict_in(log: &str) -> bool {
    log.to_lowercase().contains("address already in use")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_different_and_can_be_bound() {
        let ports = choose_free(20).unwrap();
        let listeners: Vec<_> =
            ports.iter().map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).unwrap()).collect();
        assert_eq!(listeners.len(), 20);
    }

    #[test]
    fn recognizes_a_port_conflict() {
        assert!(is_conflict_in("listen tcp 127.0.0.1:1: bind: address already in use"));
        assert!(!is_conflict_in("connection refused"));
    }
}
