//! A node's agent.

use std::fs;

use anyhow::{Context, Result};

use super::Site;
use crate::cluster::cgroup;
use crate::cluster::nodes::NodeSpec;
use crate::cluster::process::Program;

/// A kubelet with an identity, an address, folders and cgroups of its own.
///
/// # Errors
/// When its configuration or its cgroups can't be written.
pub fn kubelet(site: Site<'_>, node: NodeSpec) -> Result<Program> {
    let folder = site.folder(node.name);
    fs::create_dir_all(format!("{folder}/manifests"))?;
    let file = format!("{folder}/kubelet.yaml");
    fs::write(&file, configuration(site, node)?)?;
    let mut arguments = vec![
        format!("--config={file}"),
        site.kubeconfig_flag(node.name),
        format!("--hostname-override={}", node.name),
        format!("--node-ip={}", site.state.index.node(node.number)),
        format!("--root-dir={folder}/kubelet"),
        format!("--cert-dir={folder}/kubelet-pki"),
        format!("--node-labels={}", node.label_flag()),
    ];
    if !node.taints.is_empty() {
        arguments.push(format!("--register-with-taints={}", node.taints.join(",")));
    }
    Ok(Program::new(&format!("kubelet-{}", node.name), &site.tools.kubernetes.join("kubelet"), arguments))
}

fn configuration(site: Site<'_>, node: NodeSpec) -> Result<String> {
    let socket = &site.state.nodes.get(usize::from(node.number)).context("the node is listed")?.containerd_socket;
    Ok(format!(
        r#"apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix://{socket}
address: {address}
port: 10250
healthzPort: 0
# Version 1 is refused otherwise.
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: {cgroup}
enforceNodeAllocatable: []
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: {ca}}}
authorization: {{mode: Webhook}}
clusterDomain: cluster.local
clusterDNS: [{dns}]
# Names outside the cluster are unknown inside.
resolvConf: ""
podLogsDir: {folder}/pod-logs
volumePluginDir: {folder}/volume-plugins
staticPodPath: ""
makeIPTablesUtilChains: false
localStorageCapacityIsolation: false
failSwapOn: false
nodeStatusUpdateFrequency: 2s
maxPods: 110
serializeImagePulls: false
# The machine's disk is not the testbed's to watch: a full one must not evict pods of a test.
imageGCHighThresholdPercent: 100
evictionHard: {{memory.available: 100Mi, nodefs.available: "1%", imagefs.available: "1%"}}
"#,
        socket = socket.display(),
        address = site.state.index.node(node.number),
        cgroup = cgroup::create(&site.state.name, node.name)?,
        ca = site.pki.file("ca.crt"),
        dns = site.state.index.dns_service(),
        folder = site.folder(node.name),
    ))
}
