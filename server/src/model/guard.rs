//! Which addresses a store may have: public ones, and those that the platform allows. Asked after name resolution,
//! so that a name can't point inside.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

/// Ranges of a store that lift the guard.
#[derive(Clone, Debug, Default)]
pub struct Guard(Arc<Vec<(IpAddr, u8)>>);

impl Guard {
    /// From CIDR texts.
    ///
    /// # Errors
    /// A text that is none.
    pub fn new(cidrs: &[String]) -> Result<Self, String> {
        let one = |text: &String| {
            let (address, bits) = text.split_once('/').unwrap_or((text, ""));
            let address: IpAddr = address.parse().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = if bits.is_empty() { most } else { bits.parse().ok().filter(|bits| *bits <= most)? };
            Some((address, bits))
        };
        let parsed: Option<Vec<_>> = cidrs.iter().map(one).collect();
        parsed.map(|ranges| Self(Arc::new(ranges))).ok_or_else(|| format!("{cidrs:?} aren't address ranges"))
    }

    /// Whether an address may be connected to.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        public(address) || self.0.iter().any(|&(range, bits)| within(address, range, bits))
    }

    /// Whether a host of a URL, which may be an address itself, may be asked for at all.
    #[must_use]
    pub fn allows_host(&self, host: &str) -> bool {
        host.trim_matches(['[', ']']).parse::<IpAddr>().map_or(true, |address| self.allows(address))
    }
}

fn within(address: IpAddr, range: IpAddr, bits: u8) -> bool {
    match (address, range) {
        (IpAddr::V4(a), IpAddr::V4(r)) => bits == 0 || (a.to_bits() ^ r.to_bits()) >> (32 - u32::from(bits)) == 0,
        (IpAddr::V6(a), IpAddr::V6(r)) => bits == 0 || (a.to_bits() ^ r.to_bits()) >> (128 - u32::from(bits)) == 0,
        _ => false,
    }
}

fn public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => public_v4(v4),
        IpAddr::V6(v6) => public_v6(v6),
    }
}

fn public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    // Besides the obvious: shared address space (100.64/10), IETF assignments, benchmarks (198.18/15), reserved (240/4).
    let special = matches!((a, b, c), (0, ..) | (100, 64..=127, _) | (192, 0, 0) | (198, 18..=19, _) | (240..=255, ..));
    !(special
        || v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_documentation())
}

fn public_v6(v6: Ipv6Addr) -> bool {
    let head = v6.segments()[0];
    // 2000::/3 is what is routed; of it, not documentation (2001:db8) nor tunnels that hide an IPv4 address (2002, 2001:0).
    head & 0xe000 == 0x2000 && head != 0x2002 && !(head == 0x2001 && matches!(v6.segments()[1], 0 | 0xdb8))
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<_> = found.into_iter().filter(|address| guard.allows(address.ip())).collect();
            if allowed.is_empty() {
                return Err("the store's name has no address that this platform allows for it".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let none = Guard::default();
        let some = Guard::new(&["10.1.0.0/16".into(), "fd00::/8".into(), "127.0.0.1".into()]).unwrap();
        for (address, bare, listed) in [
            ("8.8.8.8", true, true),
            ("10.1.2.3", false, true),
            ("10.2.0.1", false, false),
            ("127.0.0.1", false, true),
            ("127.0.0.2", false, false),
            ("169.254.169.254", false, false),
            ("100.100.100.200", false, false),
            ("0.0.0.0", false, false),
            ("::1", false, false),
            ("fd00::7", false, true),
            ("fe80::1", false, false),
            ("::ffff:169.254.169.254", false, false),
            ("64:ff9b::a9fe:a9fe", false, false),
            ("2002:a9fe:a9fe::", false, false),
            ("2606:4700::1111", true, true),
        ] {
            let address = address.parse().unwrap();
            assert_eq!((none.allows(address), some.allows(address)), (bare, listed), "{address}");
        }
        assert!(!none.allows_host("[::1]") && none.allows_host("example.org"));
        assert!(Guard::new(&["10.0.0.0/33".into()]).is_err());
    }
}
