//! The cluster's DNS.

use std::fs;

use anyhow::Result;

use super::Site;
use crate::cluster::process::Program;

/// CoreDNS beside the API server; the service `kube-dns` leads to it. A name outside the cluster does not exist.
///
/// # Errors
/// When its configuration can't be written.
pub fn coredns(site: Site<'_>) -> Result<Program> {
    let file = site.folder("Corefile");
    let text = format!(
        "cluster.local:53 in-addr.arpa:53 {{
    bind {address}
    errors
    health 127.0.0.1:8080
    ready 127.0.0.1:8181
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        ttl 2
    }}
    cache 2
}}
.:53 {{
    bind {address}
    errors
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
",
        address = site.state.control_plane,
        kubeconfig = site.kubeconfig("admin").display(),
    );
    fs::write(&file, text)?;
    Ok(Program::new("coredns", &site.tools.coredns.join("coredns"), [format!("-conf={file}")]))
}
