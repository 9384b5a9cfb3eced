//! Chooses free ports on this machine. Another process may take a chosen port before a component of the cluster listens
//! on the port: the caller must then retry with other ports.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::bail;

/// The range of the chosen ports. It is below the usual ranges of ephemeral ports, so that no outgoing connection takes
/// the port of a server while the server restarts.
const PORT_RANGE: std::ops::Range<u16> = 10_000..32_000;

/// Chooses `count` different ports of 127.0.0.1 on which no process listens.
pub(crate) fn choose_free(count: usize) -> anyhow::Result<Vec<u16>> {
    let mut ports = Vec::with_capacity(count);
    let mut tried = HashSet::new();
    while ports.len() < count {
        let port = fastrand::u16(PORT_RANGE);
        if tried.insert(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            ports.push(port);
        }
        if tried.len() > 5000 {
            bail!(
                "found no {count} free ports on 127.0.0.1 between {} and {}",
                PORT_RANGE.start,
                PORT_RANGE.end
            );
        }
    }
    Ok(ports)
}

/// Whether `log`, the log of a component, says that a port is in use.
pub(crate) fn log_has_conflict(log: &str) -> bool {
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
        assert!(log_has_conflict("listen tcp 127.0.0.1:1: bind: address already in use"));
        assert!(!log_has_conflict("connection refused"));
    }
}
