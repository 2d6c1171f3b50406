//! The addresses of a cluster, from its index: two clusters side by side share none.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// How many clusters can run at once.
pub const CLUSTERS: u8 = 16;

/// A cluster's place among those of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Index(u8);

impl Index {
    /// Every index that a cluster can have.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..CLUSTERS).map(Self)
    }

    /// The lowest index that no other cluster has.
    ///
    /// # Errors
    /// When all are taken.
    pub fn lowest_free(taken: &[Self]) -> Result<Self> {
        Self::all()
            .find(|index| !taken.contains(index))
            .with_context(|| format!("{CLUSTERS} clusters run already: take one down with `cargo xtask cluster down`"))
    }

    /// `172.30.I.0/24`: the nodes, and the servers beside them.
    #[must_use]
    pub fn nodes(self) -> Subnet {
        Subnet { base: Ipv4Addr::new(172, 30, self.0, 0), prefix: 24 }
    }

    /// A part of `10.224.0.0/12`: the pods.
    #[must_use]
    pub fn pods(self) -> Subnet {
        Subnet { base: Ipv4Addr::new(10, 224 + self.0, 0, 0), prefix: 16 }
    }

    /// The pods of one node.
    #[must_use]
    pub fn pods_of_node(self, node: u8) -> Subnet {
        Subnet { base: Ipv4Addr::new(10, 224 + self.0, node, 0), prefix: 24 }
    }

    /// The pods that kwok pretends to run: no packet goes there.
    #[must_use]
    pub fn simulated_pods(self) -> Subnet {
        Subnet { base: Ipv4Addr::new(10, 224 + self.0, 128, 0), prefix: 17 }
    }

    /// A part of `10.96.0.0/12`: the services.
    #[must_use]
    pub fn services(self) -> Subnet {
        Subnet { base: Ipv4Addr::new(10, 96 + self.0, 0, 0), prefix: 16 }
    }

    /// The API server, the S3 server, the registry and CoreDNS.
    #[must_use]
    pub fn control_plane(self) -> Ipv4Addr {
        self.nodes().host(1)
    }

    /// A node, counted from 0.
    #[must_use]
    pub fn node(self, node: u8) -> Ipv4Addr {
        self.nodes().host(11 + u16::from(node))
    }

    /// The host's end of the link to the cluster.
    #[must_use]
    pub fn host(self) -> Ipv4Addr {
        self.nodes().host(254)
    }

    /// A next hop that nobody has. Routes through it make the kernel accept a service's address as reachable, so that
    /// kube-proxy can rewrite it; a packet that nobody rewrote ends here.
    #[must_use]
    pub fn nobody(self) -> Ipv4Addr {
        self.nodes().host(253)
    }

    /// The service `kubernetes`.
    #[must_use]
    pub fn api_service(self) -> Ipv4Addr {
        self.services().host(1)
    }

    /// The service `kube-dns`.
    #[must_use]
    pub fn dns_service(self) -> Ipv4Addr {
        self.services().host(10)
    }
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    base: Ipv4Addr,
    prefix: u8,
}

impl Subnet {
    /// The address with this number in the range.
    #[must_use]
    pub fn host(self, number: u16) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.base) + u32::from(number))
    }

    /// The length of the prefix.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    #[cfg(test)]
    fn contains(self, other: Self) -> bool {
        let mask = u32::MAX << (32 - u32::from(self.prefix));
        self.prefix <= other.prefix && u32::from(other.base) & mask == u32::from(self.base)
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_index_is_taken_and_the_last_is_the_last() {
        assert_eq!(Index::lowest_free(&[]).unwrap(), Index(0));
        assert_eq!(Index::lowest_free(&[Index(0), Index(2)]).unwrap(), Index(1));
        let all: Vec<Index> = (0..CLUSTERS).map(Index).collect();
        assert!(Index::lowest_free(&all).is_err());
    }

    #[test]
    fn no_two_ranges_of_any_two_clusters_overlap() {
        let ranges: Vec<Subnet> = (0..CLUSTERS).map(Index).flat_map(|i| [i.nodes(), i.pods(), i.services()]).collect();
        for (n, a) in ranges.iter().enumerate() {
            for b in &ranges[n + 1..] {
                assert!(!a.contains(*b) && !b.contains(*a), "{a} {b}");
            }
        }
    }

    #[test]
    fn the_parts_of_a_cluster_lie_inside_its_ranges() {
        let index = Index(3);
        assert_eq!(index.node(1).to_string(), "172.30.3.12");
        assert_eq!(index.dns_service().to_string(), "10.99.0.10");
        assert!(index.pods().contains(index.pods_of_node(1)));
        assert!(index.pods().contains(index.simulated_pods()));
        assert!(!index.simulated_pods().contains(index.pods_of_node(1)));
    }
}
