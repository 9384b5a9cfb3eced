//! The range of the cluster IPs of services. This module must not depend on the storage.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// The range of the cluster IPs of services, in the notation of kube-apiserver's `--service-cluster-ip-range`. The default
/// is `10.96.0.0/12`.
///
/// Only one IPv4 range is supported: IPv6 clusters and dual-stack clusters are not simulated.
///
/// # Examples
/// ```
/// use kube_sim::ServiceRange;
///
/// let range: ServiceRange = "10.0.0.7/24".parse()?;
/// assert_eq!(range.to_string(), "10.0.0.0/24");
/// assert!("10.0.0.0".parse::<ServiceRange>().is_err());
/// # Ok::<(), kube_sim::ParseServiceRangeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceRange {
    /// The address of the network, in which all host bits are zero.
    network: Ipv4Addr,
    /// The number of bits of the prefix.
    prefix: u32,
}

/// The error of parsing a [`ServiceRange`]: the text is not a range of cluster IPs, or kube-sim does not support the
/// range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a range of cluster IPs: {why}")]
pub struct ParseServiceRangeError {
    text: String,
    why: &'static str,
}

/// The longest prefix: kube-apiserver requires at least 8 addresses.
const MAX_PREFIX: u32 = 29;

impl ServiceRange {
    /// The number of hosts: all addresses except the address of the network and the broadcast address.
    pub(crate) fn host_count(self) -> u64 {
        (1 << (32 - self.prefix)) - 2
    }

    /// The host with this number; 0 is the first one, the address of the service `kubernetes`.
    pub(crate) fn host(self, number: u64) -> Ipv4Addr {
        // A range has at most 2^32 addresses.
        let offset = u32::try_from(number + 1).unwrap_or(u32::MAX);
        Ipv4Addr::from_bits(self.network.to_bits().saturating_add(offset))
    }

    /// Whether the address is one of the hosts.
    pub(crate) fn has_host(self, address: Ipv4Addr) -> bool {
        let (first, last) = (self.host(0), self.host(self.host_count() - 1));
        (first..=last).contains(&address)
    }

    /// The address of the network.
    pub(crate) fn network(self) -> Ipv4Addr {
        self.network
    }
}

impl Default for ServiceRange {
    fn default() -> Self {
        Self { network: Ipv4Addr::new(10, 96, 0, 0), prefix: 12 }
    }
}

impl FromStr for ServiceRange {
    type Err = ParseServiceRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map_err(|why| ParseServiceRangeError { text: text.to_owned(), why })
    }
}

fn parse(text: &str) -> Result<ServiceRange, &'static str> {
    if text.contains(',') {
        return Err("several ranges are not simulated");
    }
    if text.contains(':') {
        return Err("IPv6 is not simulated");
    }
    let malformed = "it must have the form 10.0.0.0/24";
    let (address, prefix) = text.split_once('/').ok_or(malformed)?;
    let address: Ipv4Addr = address.parse().map_err(|_| malformed)?;
    let is_number = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
    let prefix = prefix.parse::<u32>().ok().filter(|bits| is_number && *bits <= 32).ok_or(malformed)?;
    if prefix > MAX_PREFIX {
        return Err("it must have at least 8 addresses");
    }
    let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
    Ok(ServiceRange { network: Ipv4Addr::from_bits(address.to_bits() & mask), prefix })
}

impl fmt::Display for ServiceRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_parsed(text: &str, expected: Result<(&str, &str, u64), &str>) {
        let found = text.parse::<ServiceRange>();
        let found = found.map(|range| (range.to_string(), range.host(0).to_string(), range.host_count()));
        let expected = expected.map(|(text, first, hosts)| (text.to_owned(), first.to_owned(), hosts));
        assert_eq!(found.map_err(|error| error.why), expected, "{text}");
    }

    #[test]
    fn parsing_drops_host_bits_and_rejects_unsupported_ranges() {
        assert_parsed("10.0.0.0/24", Ok(("10.0.0.0/24", "10.0.0.1", 254)));
        assert_parsed("10.0.0.200/29", Ok(("10.0.0.200/29", "10.0.0.201", 6)));
        assert_parsed("10.0.0.7/8", Ok(("10.0.0.0/8", "10.0.0.1", 16_777_214)));
        assert_parsed("0.0.0.0/0", Ok(("0.0.0.0/0", "0.0.0.1", 4_294_967_294)));
        let malformed = Err("it must have the form 10.0.0.0/24");
        for text in ["", "10.0.0.0", "10.0.0/24", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/+8", "x/24"] {
            assert_parsed(text, malformed);
        }
        assert_parsed("10.0.0.0/30", Err("it must have at least 8 addresses"));
        assert_parsed("10.0.0.0/24,fd00::/108", Err("several ranges are not simulated"));
        assert_parsed("fd00::/108", Err("IPv6 is not simulated"));
    }

    #[test]
    fn the_network_and_the_broadcast_address_are_no_hosts() {
        let range: ServiceRange = "10.0.0.0/24".parse().unwrap();
        let has = |last: u8| range.has_host(Ipv4Addr::new(10, 0, 0, last));
        assert_eq!([has(0), has(1), has(254), has(255)], [false, true, true, false]);
        let all: ServiceRange = "0.0.0.0/0".parse().unwrap();
        assert_eq!(all.host(all.host_count() - 1), Ipv4Addr::new(255, 255, 255, 254));
    }
}
