//! Services: one kube-proxy for both nodes, because they share a network namespace.

use std::fs;

use anyhow::Result;

use super::Site;
use crate::cluster::nodes;
use crate::cluster::process::Program;

/// kube-proxy in its nftables mode: its rules go with the namespace.
///
/// # Errors
/// When its configuration can't be written.
pub fn kube_proxy(site: Site<'_>) -> Result<Program> {
    let file = site.folder("kube-proxy.yaml");
    let index = site.state.index;
    let text = format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: {pods}
clientConnection: {{kubeconfig: {kubeconfig}}}
hostnameOverride: {node}
bindAddress: {address}
metricsBindAddress: 127.0.0.1:10249
healthzBindAddress: 127.0.0.1:10256
# The nftables mode serves NodePorts on one node's address otherwise.
nodePortAddresses: [{nodes}]
# The limit belongs to the host's namespace and can't be set in ours.
conntrack: {{maxPerCore: 0, min: 0}}
",
        pods = index.pods(),
        kubeconfig = site.kubeconfig("proxy").display(),
        node = nodes::REAL[0].name,
        address = site.state.control_plane,
        nodes = index.nodes(),
    );
    fs::write(&file, text)?;
    Ok(Program::new("kube-proxy", &site.tools.kubernetes.join("kube-proxy"), [format!("--config={file}")]))
}
