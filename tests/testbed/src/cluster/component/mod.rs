//! The programs of a cluster: each file writes one program's configuration and says how it is started.

mod containerd;
mod control_plane;
mod coredns;
mod etcd;
mod files;
mod kubelet;
mod kwok;
mod proxy;
mod registry;
mod s3;

use std::path::PathBuf;

use crate::ClusterState;
use crate::tools::Tools;

use super::pki::Pki;

pub use containerd::containerd;
pub use control_plane::{api_server, controller_manager, scheduler};
pub use coredns::coredns;
pub use etcd::etcd;
pub use files::{CERTIFICATE as FILES_CERTIFICATE, PORT as FILES_PORT, TOKEN, files};
pub use kubelet::kubelet;
pub use kwok::kwok;
pub use proxy::kube_proxy;
pub use registry::{PORT as REGISTRY_PORT, registry};
pub use s3::{ACCESS_KEY, PORT as S3_PORT, REGION, SECRET_KEY, s3};

/// What every component's configuration is made from.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The cluster.
    pub state: &'a ClusterState,
    /// Its keys.
    pub pki: &'a Pki,
    /// The programs.
    pub tools: &'a Tools,
}

impl Site<'_> {
    /// The API server's URL.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("https://{}:6443", self.state.control_plane)
    }

    /// The kubeconfig of one identity.
    #[must_use]
    pub fn kubeconfig(&self, identity: &str) -> PathBuf {
        self.state.folder.join(format!("{identity}.kubeconfig"))
    }

    fn kubeconfig_flag(&self, identity: &str) -> String {
        format!("--kubeconfig={}", self.kubeconfig(identity).display())
    }

    fn folder(&self, name: &str) -> String {
        self.state.folder.join(name).display().to_string()
    }
}
