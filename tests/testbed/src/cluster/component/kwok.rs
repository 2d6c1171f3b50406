//! The simulated nodes.

use super::Site;
use crate::cluster::nodes::SIMULATED_MARK;
use crate::cluster::process::Program;

/// kwok, for the nodes with its mark and no other.
#[must_use]
pub fn kwok(site: Site<'_>) -> Program {
    let (mark, fake) = SIMULATED_MARK;
    let arguments = [
        site.kubeconfig_flag("admin"),
        "--manage-all-nodes=false".to_owned(),
        format!("--manage-nodes-with-annotation-selector={mark}={fake}"),
        format!("--cidr={}", site.state.index.simulated_pods()),
        format!("--node-ip={}", site.state.index.nobody()),
        "--node-lease-duration-seconds=40".to_owned(),
    ];
    // Its configuration would be read from the home folder otherwise.
    Program::new("kwok", &site.tools.kwok.join("kwok"), arguments).with_env("KWOK_WORKDIR", &site.folder("kwok"))
}
