//! Functions for IP addresses and CIDR blocks.

use std::net::{IpAddr, Ipv6Addr};

use crate::cel::value::{Failure, Outcome, Val};
use crate::schema::quote;

/// A CIDR block. The bits of `address` after the first `prefix` bits may be set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::cel) struct Cidr {
    pub(in crate::cel) address: IpAddr,
    pub(in crate::cel) prefix: u8,
}

/// Calls a function of this library; see [`Library`](super::Library).
pub(super) fn call<'a>(name: &str, arguments: &[Val<'a>]) -> Option<Outcome<'a>> {
    Some(match (name, arguments) {
        ("ip", [Val::String(text)]) => parse_ip(text).map(Val::Ip),
        ("ip", [Val::Cidr(cidr)]) => Ok(Val::Ip(cidr.address)),
        ("isIP", [Val::String(text)]) => Ok(Val::Bool(parse_ip(text).is_ok())),
        ("ip.isCanonical", [Val::String(text)]) => {
            parse_ip(text).map(|address| Val::Bool(address.to_string() == **text))
        }
        ("family", [Val::Ip(address)]) => Ok(Val::Int(if address.is_ipv4() { 4 } else { 6 })),
        ("isUnspecified", [Val::Ip(address)]) => Ok(Val::Bool(address.is_unspecified())),
        ("isLoopback", [Val::Ip(address)]) => Ok(Val::Bool(address.is_loopback())),
        ("isLinkLocalMulticast", [Val::Ip(address)]) => Ok(Val::Bool(is_link_local_multicast(*address))),
        ("isLinkLocalUnicast", [Val::Ip(address)]) => Ok(Val::Bool(is_link_local_unicast(*address))),
        ("isGlobalUnicast", [Val::Ip(address)]) => Ok(Val::Bool(is_global_unicast(*address))),
        ("cidr", [Val::String(text)]) => parse_cidr(text).map(Val::Cidr),
        ("isCIDR", [Val::String(text)]) => Ok(Val::Bool(parse_cidr(text).is_ok())),
        ("containsIP", [Val::Cidr(cidr), Val::Ip(address)]) => Ok(Val::Bool(cidr.contains(*address))),
        ("containsIP", [Val::Cidr(cidr), Val::String(text)]) => {
            parse_ip(text).map(|address| Val::Bool(cidr.contains(address)))
        }
        ("containsCIDR", [Val::Cidr(cidr), Val::Cidr(inner)]) => Ok(Val::Bool(cidr.contains_block(inner))),
        ("containsCIDR", [Val::Cidr(cidr), Val::String(text)]) => {
            parse_cidr(text).map(|inner| Val::Bool(cidr.contains_block(&inner)))
        }
        ("prefixLength", [Val::Cidr(cidr)]) => Ok(Val::Int(cidr.prefix.into())),
        ("masked", [Val::Cidr(cidr)]) => Ok(Val::Cidr(cidr.masked())),
        _ => return None,
    })
}

impl Cidr {
    fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && masked_address(self.address, self.prefix) == masked_address(address, self.prefix)
    }

    fn contains_block(&self, inner: &Cidr) -> bool {
        self.prefix <= inner.prefix && self.contains(inner.address)
    }

    fn masked(self) -> Self {
        Self { address: masked_address(self.address, self.prefix), prefix: self.prefix }
    }
}

/// The address with zeros in all bits after the first `prefix` bits.
fn masked_address(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

fn is_link_local_multicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
    }
}

fn is_link_local_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn is_global_unicast(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !(address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || is_link_local_unicast(address)
        || broadcast)
}

fn parse_ip(text: &str) -> Result<IpAddr, Failure> {
    if text.contains('%') && text.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
    {
        return Err(Failure::new(format!("IP address {} with zone value is not allowed", quote(text))));
    }
    let address: IpAddr = text.parse().map_err(|_| {
        let quoted = quote(text);
        Failure::new(format!(
            "IP Address {quoted} parse error during conversion from string: ParseAddr({quoted}): {}",
            address_parse_problem(text)
        ))
    })?;
    reject_ipv4_mapped(text, address)?;
    Ok(address)
}

/// Rejects an IPv4-mapped IPv6 address. The error contains `text`.
fn reject_ipv4_mapped(text: &str, address: IpAddr) -> Result<(), Failure> {
    if matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
        return Err(Failure::new(format!("IPv4-mapped IPv6 address {} is not allowed", quote(text))));
    }
    Ok(())
}

/// The error text of Go's `netip.ParseAddr` for a text that is not an IP address.
fn address_parse_problem(text: &str) -> String {
    match text.find(['.', ':', '%']).map(|at| text.as_bytes()[at]) {
        Some(b'.') => {
            let mut parts = 0;
            for (index, part) in text.split('.').enumerate() {
                parts = index + 1;
                if part.is_empty() {
                    return "IPv4 field must have at least one digit".to_owned();
                }
                if let Some(bad) = part.find(|c: char| !c.is_ascii_digit()) {
                    let at = text.split('.').take(index).map(|part| part.len() + 1).sum::<usize>() + bad;
                    return format!("unexpected character (at {})", quote(&text[at..]));
                }
                if part.len() > 1 && part.starts_with('0') {
                    return "IPv4 field has octet with leading zero".to_owned();
                }
                if part.parse::<u8>().is_err() {
                    return "IPv4 field has value >255".to_owned();
                }
                if parts > 4 {
                    return "IPv4 address too long".to_owned();
                }
            }
            if parts < 4 { "IPv4 address too short".to_owned() } else { "unable to parse IP".to_owned() }
        }
        Some(b'%') => "missing IPv6 address".to_owned(),
        Some(_) => match text.find(|c: char| !(c.is_ascii_hexdigit() || c == ':')) {
            Some(at) => format!("unexpected character, want colon (at {})", quote(&text[at..])),
            None => "address string too short".to_owned(),
        },
        None => "unable to parse IP".to_owned(),
    }
}

fn parse_cidr(text: &str) -> Result<Cidr, Failure> {
    let quoted = quote(text);
    let refuse = |why: String| {
        let inner = format!(
            "network address parse error during conversion from string: netip.ParsePrefix({quoted}): {why}"
        );
        Err(Failure::new(format!("network address parse error during conversion from string: {inner}")))
    };
    let Some((address, bits)) = text.rsplit_once('/') else { return refuse("no '/'".to_owned()) };
    let parsed: IpAddr = match address.parse() {
        Ok(address) => address,
        Err(_) => {
            return refuse(format!("ParseAddr({}): {}", quote(address), address_parse_problem(address)));
        }
    };
    let max = if parsed.is_ipv4() { 32 } else { 128 };
    let plain = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || bits.len() > 1 && bits.starts_with('0') {
        return refuse(format!("bad bits after slash: {}", quote(bits)));
    }
    match bits.parse::<u8>() {
        Ok(prefix) if prefix <= max => {
            if reject_ipv4_mapped(text, parsed).is_err() {
                let why = format!("IPv4-mapped IPv6 address {quoted} is not allowed");
                return Err(Failure::new(format!(
                    "network address parse error during conversion from string: {why}"
                )));
            }
            Ok(Cidr { address: parsed, prefix })
        }
        _ => refuse("prefix length out of range".to_owned()),
    }
}
