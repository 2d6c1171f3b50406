//! The store.

use super::Site;
use crate::cluster::process::Program;

/// Where the API server finds it: a loopback address of the namespace.
pub const URL: &str = "http://127.0.0.1:2379";
const PEERS: &str = "http://127.0.0.1:2380";

/// One member. Its data do not outlive the cluster, so it need not wait for the disk.
#[must_use]
pub fn etcd(site: Site<'_>) -> Program {
    let arguments = [
        format!("--data-dir={}", site.folder("etcd")),
        format!("--listen-client-urls={URL}"),
        format!("--advertise-client-urls={URL}"),
        format!("--listen-peer-urls={PEERS}"),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    Program::new("etcd", &site.tools.etcd.join("etcd"), arguments)
}
