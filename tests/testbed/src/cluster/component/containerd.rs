//! A node's container runtime.

use std::fs;

use anyhow::{Context, Result};

use super::Site;
use crate::cluster::images;
use crate::cluster::nodes::NodeSpec;
use crate::cluster::process::Program;

/// containerd with all its folders and sockets in places of this cluster.
///
/// # Errors
/// When its configuration can't be written.
pub fn containerd(site: Site<'_>, node: NodeSpec) -> Result<Program> {
    let folder = site.state.node_folder(node.name);
    let registry = folder.join("registries").join(&site.state.registry.host);
    fs::create_dir_all(folder.join("cni"))?;
    fs::create_dir_all(&registry)?;
    fs::create_dir_all(site.state.name.sockets())?;
    fs::write(registry.join("hosts.toml"), hosts(&site.state.registry.host))?;
    fs::write(folder.join("cni/10-pods.conflist"), network(site, node))?;
    let file = folder.join("containerd.toml");
    fs::write(&file, configuration(site, node)?)?;
    let arguments = ["--config".to_owned(), file.display().to_string(), "--log-level=warn".to_owned()];
    // containerd finds its shim in PATH.
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", site.tools.containerd.display());
    let program = site.tools.containerd.join("containerd");
    Ok(Program::new(&format!("containerd-{}", node.name), &program, arguments).with_env("PATH", &path))
}

fn configuration(site: Site<'_>, node: NodeSpec) -> Result<String> {
    let socket = &site.state.nodes.get(usize::from(node.number)).context("the node is listed")?.containerd_socket;
    Ok(format!(
        r#"version = 3
root = "{folder}/containerd"
state = "{folder}/state"
imports = []
[grpc]
address = "{socket}"
[ttrpc]
address = "{socket}.ttrpc"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{pause}"
[plugins.'io.containerd.cri.v1.images'.registry]
config_path = "{folder}/registries"
[plugins.'io.containerd.cri.v1.runtime']
# Where the score can't be lowered no sandbox would start.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = "/usr/sbin/runc"
Root = "{folder}/runc"
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "{folder}/cni"
[plugins.'io.containerd.internal.v1.opt']
path = "{folder}/opt"
[plugins.'io.containerd.nri.v1.nri']
disable = true
[plugins.'io.containerd.shim.v1.manager']
socket_dir = "{sockets}"
"#,
        folder = site.folder(node.name),
        socket = socket.display(),
        sockets = site.state.name.sockets().display(),
        pause = images::PAUSE,
    ))
}

/// The registry speaks plain HTTP.
fn hosts(registry: &str) -> String {
    format!("server = \"http://{registry}\"\n[host.\"http://{registry}\"]\ncapabilities = [\"pull\", \"resolve\"]\n")
}

/// Every pod hangs on a link of its own and its packets are routed. On a bridge, the answer of one pod to another of
/// the same node would pass kube-proxy by, and a service's address would not be put back.
fn network(site: Site<'_>, node: NodeSpec) -> String {
    serde_json::json!({
        "cniVersion": "1.0.0",
        "name": format!("{}-{}", site.state.name.netns(), node.name),
        "plugins": [{
            "type": "ptp",
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "dataDir": format!("{}/ipam", site.folder(node.name)),
                "ranges": [[{"subnet": site.state.index.pods_of_node(node.number).to_string()}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    })
    .to_string()
}
