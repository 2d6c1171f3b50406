//! What a cluster leaves on the machine while it runs, found by looking at the machine and not at our records: a sweep
//! has to work after an unclean end.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::name::ClusterName;
use super::{cgroup, netns};

/// Where the kubelet links the logs of containers to, whatever its configuration says.
const CONTAINER_LOGS: &str = "/var/log/containers";
/// Where the library behind CNI keeps its results, whatever containerd's configuration says.
const CNI_RESULTS: &str = "/var/lib/cni/results";

/// Where a kubelet listens for device plugins, whatever its root folder is.
const DEVICE_PLUGINS: &str = "/var/lib/kubelet/device-plugins/kubelet.sock";

/// Folders that the kubelet, CNI and `ip` make outside the state folder: they are removed when nobody has anything in them.
pub const STRAY_FOLDERS: [&str; 10] = [
    netns::NAMED,
    CONTAINER_LOGS,
    CNI_RESULTS,
    "/var/lib/cni",
    "/var/lib/kubelet/device-plugins",
    "/var/lib/kubelet",
    "/usr/libexec/kubernetes/kubelet-plugins/volume/exec",
    "/usr/libexec/kubernetes/kubelet-plugins/volume",
    "/usr/libexec/kubernetes/kubelet-plugins",
    "/usr/libexec/kubernetes",
];

/// The programs that run for this cluster: those of the cache that were started with its state folder, and everything
/// in its network namespace. `own` is our cache folder.
#[must_use]
pub fn programs(name: &ClusterName, state: &Path, own: &Path) -> Vec<i32> {
    let netns = fs::metadata(netns::path(name)).map(|file| file.ino()).ok();
    let ours = i32::try_from(std::process::id()).unwrap_or_default();
    pids()
        .filter(|pid| *pid != ours)
        .filter(|pid| in_netns(*pid, netns) || (runs_from(*pid, own) && mentions(*pid, state)))
        .collect()
}

/// The processes of pods.
#[must_use]
pub fn pods(name: &ClusterName) -> Vec<i32> {
    cgroup::processes(name)
}

/// Mount points at or below a folder, the last mounted first.
#[must_use]
pub fn mounts(folder: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts_below(&table, folder)
}

/// Files outside the state folder: links to logs of containers, results of CNI, and a socket that nobody listens on.
#[must_use]
pub fn stray_files(state: &Path) -> Vec<PathBuf> {
    let listed = |folder: &str| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let logs = listed(CONTAINER_LOGS).filter(|link| fs::read_link(link).is_ok_and(|target| target.starts_with(state)));
    let netns = format!("\"netns\":\"{}/", state.display());
    let results = listed(CNI_RESULTS).filter(|path| fs::read_to_string(path).is_ok_and(|text| text.contains(&netns)));
    let socket = Path::new(DEVICE_PLUGINS);
    let stale = socket.exists() && UnixStream::connect(socket).is_err();
    logs.chain(results).chain(stale.then(|| socket.to_path_buf())).collect()
}

/// Everything that is still there, in words: empty after a clean end.
#[must_use]
pub fn all(name: &ClusterName, state: &Path, own: &Path) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(programs(name, state, own).iter().chain(&pods(name)).map(|pid| format!("process {pid}")));
    let namespaces = netns::empty_folder().map(mounts).unwrap_or_default();
    found.extend(mounts(state).iter().chain(&namespaces).map(|path| format!("mount {}", path.display())));
    found.extend(cgroup::folders(name).iter().map(|path| format!("cgroup {}", path.display())));
    found.extend(stray_files(state).iter().map(|path| format!("file {}", path.display())));
    found.extend(netns::exists(name).then(|| format!("network namespace {}", name.netns())));
    found.extend(netns::link_exists(name).then(|| format!("interface {}", name.host_interface())));
    found.extend(
        [state.to_path_buf(), name.sockets()]
            .iter()
            .filter(|folder| folder.exists())
            .map(|folder| format!("folder {}", folder.display())),
    );
    found
}

fn pids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn in_netns(pid: i32, netns: Option<u64>) -> bool {
    let file = fs::metadata(format!("/proc/{pid}/ns/net"));
    netns.is_some() && file.map(|file| file.ino()).ok() == netns
}

fn runs_from(pid: i32, folder: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program.starts_with(folder))
}

fn mentions(pid: i32, state: &Path) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    command_line_mentions(&line, state)
}

/// Whether an argument has the folder itself or a path below it: `NAME2` must not count for `NAME`.
fn command_line_mentions(line: &[u8], state: &Path) -> bool {
    let state = state.display().to_string();
    line.split(|byte| *byte == 0).map(String::from_utf8_lossy).any(|argument| {
        argument
            .match_indices(&state)
            .any(|(at, _)| matches!(argument.as_bytes().get(at + state.len()), None | Some(b'/')))
    })
}

fn mounts_below(table: &str, state: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = table
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .map(|path| PathBuf::from(path.replace("\\040", " ")))
        .filter(|path| path.starts_with(state))
        .collect();
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_counts_for_its_own_cluster_only() {
        let state = Path::new("/c/clusters/a");
        assert!(command_line_mentions(b"shim\0-address\0/c/clusters/a/n/c.sock\0", state));
        assert!(command_line_mentions(b"etcd\0--data-dir=/c/clusters/a\0", state));
        assert!(!command_line_mentions(b"etcd\0--data-dir=/c/clusters/ab/etcd\0", state));
        assert!(!command_line_mentions(b"", state));
    }

    #[test]
    fn mounts_are_listed_inner_first() {
        let table = "x /c/a t\ny /c/a/b t\nz /c/ab t\nw /c/a/d\\040e t\n";
        let found = mounts_below(table, Path::new("/c/a"));
        assert_eq!(found, ["/c/a/d e", "/c/a/b", "/c/a"].map(PathBuf::from));
    }
}
