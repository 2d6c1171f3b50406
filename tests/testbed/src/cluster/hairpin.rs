//! A pod that calls itself through a service.
//!
//! Such a packet would come back with the pod's own address as its source, and the pod would drop it, so its source has
//! to be replaced. kube-proxy does so for the pods of its own node, and ours serves two.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::Result;

use crate::exec;

use super::subnets::Index;
use super::{netns, nodes};

/// Adds the rules to the cluster's network namespace.
///
/// # Errors
/// When `nft` fails.
pub fn masquerade(netns: &str, index: Index) -> Result<()> {
    let mut nft: Command = netns::in_netns(netns, "nft");
    exec::output_with_input(nft.args(["-f", "-"]), &rules(index)).map(|_| ())
}

/// A packet whose two addresses can only be compared by looking both up: so every pair is listed.
fn rules(index: Index) -> String {
    let mut pairs = String::new();
    for node in nodes::REAL {
        let pods = index.pods_of_node(node.number);
        for address in (2..255).map(|number| pods.host(number)) {
            let _written = write!(pairs, "{address} . {address}, ");
        }
    }
    format!(
        "table ip millrace-testbed {{
  set same {{ type ipv4_addr . ipv4_addr; elements = {{ {} }} }}
  chain postrouting {{
    type nat hook postrouting priority 90;
    ct status dnat ip saddr . ip daddr @same masquerade
  }}
}}
",
        pairs.trim_end_matches(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pods_of_every_real_node_are_listed() {
        let rules = rules(Index::lowest_free(&[]).unwrap());
        assert!(rules.contains("10.224.0.2 . 10.224.0.2,"), "{rules}");
        assert!(rules.contains("10.224.1.254 . 10.224.1.254 }"), "{rules}");
    }
}
