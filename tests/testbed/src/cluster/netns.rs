//! The network of a cluster: a namespace with a bridge that the host has one leg in, and no way out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::exec;

use super::name::ClusterName;
use super::nodes;
use super::subnets::Index;

/// Where `ip` keeps named namespaces. It mounts the folder onto itself when it makes the first one.
pub const NAMED: &str = "/run/netns";
/// The bridge inside: it carries the addresses of the nodes.
const BRIDGE: &str = "nodes0";
/// The inner end of the link to the host.
const UPLINK: &str = "up0";

/// Makes the namespace. Deleting it removes the link and with it the host's routes.
///
/// # Errors
/// When a command fails, for example without root.
pub fn create(name: &ClusterName, index: Index) -> Result<()> {
    let (netns, outer) = (name.netns(), name.host_interface());
    let prefix = index.nodes().prefix();
    ip(&format!("netns add {netns}")).context("network namespaces need root")?;
    let inside = |command: &str| ip(&format!("-n {netns} {command}"));
    inside("link set lo up")?;
    inside(&format!("link add {BRIDGE} type bridge"))?;
    ip(&format!("link add {outer} type veth peer name {UPLINK} netns {netns}"))?;
    inside(&format!("link set {UPLINK} master {BRIDGE} up"))?;
    inside(&format!("addr add {}/{prefix} dev {BRIDGE}", index.control_plane()))?;
    for node in nodes::REAL {
        inside(&format!("addr add {}/{prefix} dev {BRIDGE}", index.node(node.number)))?;
    }
    inside(&format!("link set {BRIDGE} up"))?;
    inside(&format!("route add {} via {}", index.services(), index.nobody()))?;
    // Answers at once where a missing route to a silent next hop would hang for seconds.
    inside("route add unreachable default")?;
    in_netns(&netns, "sysctl").args(["-qw", "net.ipv4.ip_forward=1"]).status().context("sysctl")?;

    ip(&format!("addr add {}/{prefix} dev {outer}", index.host()))?;
    ip(&format!("link set {outer} up"))?;
    for subnet in [index.pods(), index.services()] {
        ip(&format!("route add {subnet} via {} dev {outer}", index.control_plane()))
            .context("another network of this host has the addresses that the cluster needs")?;
    }
    Ok(())
}

/// The indices whose networks this host has, whoever started those clusters.
///
/// # Errors
/// When `ip` can't be run.
pub fn in_use() -> Result<Vec<Index>> {
    let addresses = ip("-o -4 addr show")?;
    Ok(Index::all().filter(|index| addresses.contains(&format!(" {}/", index.host()))).collect())
}

/// Deletes the namespace and the link, whatever is left of them.
///
/// # Errors
/// When they can't be deleted.
pub fn delete(name: &ClusterName) -> Result<()> {
    if link_exists(name) {
        ip(&format!("link del {}", name.host_interface()))?;
    }
    if exists(name) {
        ip(&format!("netns del {}", name.netns()))?;
    }
    Ok(())
}

/// Whether the namespace is there.
#[must_use]
pub fn exists(name: &ClusterName) -> bool {
    path(name).exists()
}

/// Whether the host's end of the link is there.
#[must_use]
pub fn link_exists(name: &ClusterName) -> bool {
    Path::new("/sys/class/net").join(name.host_interface()).exists()
}

/// The namespace's file.
#[must_use]
pub fn path(name: &ClusterName) -> PathBuf {
    Path::new(NAMED).join(name.netns())
}

/// The folder of named namespaces, if none is left in it.
#[must_use]
pub fn empty_folder() -> Option<&'static Path> {
    let mut entries = fs::read_dir(NAMED).ok()?;
    entries.next().is_none().then_some(Path::new(NAMED))
}

/// A command inside the namespace. `ip netns exec` won't do: it mounts /sys anew, and the kubelet finds no cgroups there.
#[must_use]
pub fn in_netns(netns: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(flag(netns)).arg(program);
    command
}

/// What tells nsenter the namespace.
#[must_use]
pub fn flag(netns: &str) -> String {
    format!("--net={NAMED}/{netns}")
}

fn ip(arguments: &str) -> Result<String> {
    exec::output(Command::new("ip").args(arguments.split_whitespace()))
}
