//! What comes from Debian: programs that need the system's C libraries or its kernel interfaces.

use std::collections::HashSet;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{Done, exec};

/// `runc` from Debian has seccomp, which one built from its Go module without the C library lacks; kube-proxy's nftables
/// mode runs `nft`; `busybox-static` goes into a hand-made image.
const PACKAGES: [&str; 11] = [
    "runc",
    "containernetworking-plugins",
    "iptables",
    "nftables",
    "iproute2",
    "conntrack",
    "busybox-static",
    "buildah",
    "openssl",
    "ca-certificates",
    "util-linux",
];

/// Installs the packages that are missing.
///
/// # Errors
/// When this is no Debian, or `apt-get` fails: the message lists what to install by hand.
pub fn ensure() -> Result<Done> {
    let mut missing = missing()?;
    if !has_venv() {
        missing.push("python3-venv");
    }
    if missing.is_empty() {
        return Ok(Done::Cached);
    }
    let advice = || format!("install these packages by hand, as root: {}", missing.join(" "));
    let apt = |arguments: &[&str]| {
        exec::output(Command::new("apt-get").arg("--quiet").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
            .with_context(advice)
    };
    apt(&["update"])?;
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(&missing);
    apt(&install)?;
    Ok(Done::Made)
}

fn missing() -> Result<Vec<&'static str>> {
    // Fails when one package is unknown, and still lists the others.
    let listed = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${db:Status-Status} ${Package}\n"])
        .args(PACKAGES)
        .output()
        .context("the testbed runs on Debian 12 or a system with its dpkg and apt-get")?;
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let installed: HashSet<&str> = text.lines().filter_map(|line| line.strip_prefix("installed ")).collect();
    Ok(PACKAGES.into_iter().filter(|package| !installed.contains(package)).collect())
}

fn has_venv() -> bool {
    exec::succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"]))
}
