//! The cgroups of a cluster's nodes, in version 1 and in version 2.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::wait_until;

use super::name::ClusterName;

const ROOT: &str = "/sys/fs/cgroup";
/// Values that a new cpuset of version 1 does not inherit, and without which it takes no process.
const CPUSET: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

/// Makes the cgroup of a node in every hierarchy and gives back its name for the kubelet.
///
/// # Errors
/// When the cgroups can't be written.
pub fn create(name: &ClusterName, node: &str) -> Result<String> {
    let path = format!("{}/{node}", name.cgroup());
    for hierarchy in hierarchies() {
        let mut folder = hierarchy.clone();
        for part in path.split('/') {
            delegate(&folder);
            let child = folder.join(part);
            fs::create_dir_all(&child).with_context(|| format!("can't make the cgroup {}", child.display()))?;
            for file in CPUSET {
                if folder.join(file).exists() && !folder.join("cgroup.controllers").exists() {
                    fs::write(child.join(file), fs::read(folder.join(file))?)?;
                }
            }
            folder = child;
        }
        delegate(&folder);
    }
    Ok(format!("/{path}"))
}

/// Lets the children of a cgroup of version 2 have its controllers; version 1 has no such file.
fn delegate(folder: &Path) {
    let Ok(controllers) = fs::read_to_string(folder.join("cgroup.controllers")) else { return };
    for controller in controllers.split_whitespace() {
        // One controller that can't be delegated must not keep the others from it.
        drop(fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}")));
    }
}

/// The processes in the cluster's cgroups: those of its pods.
#[must_use]
pub fn processes(name: &ClusterName) -> Vec<i32> {
    processes_below(&folders(name))
}

/// The processes of one node's pods.
#[must_use]
pub fn processes_of_node(name: &ClusterName, node: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for hierarchy in hierarchies() {
        descend(&hierarchy.join(name.cgroup()).join(node), &mut found);
    }
    processes_below(&found)
}

fn processes_below(folders: &[PathBuf]) -> Vec<i32> {
    let mut pids: Vec<i32> = folders
        .iter()
        .flat_map(|folder| {
            let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            text.lines().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
        })
        .collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// Removes the cluster's cgroups.
///
/// # Errors
/// When one is still in use after 10 s.
pub fn remove(name: &ClusterName) -> Result<()> {
    wait_until("the removal of the cgroups", Duration::from_secs(10), || {
        for folder in folders(name) {
            fs::remove_dir(&folder).with_context(|| folder.display().to_string())?;
        }
        Ok(true)
    })
}

/// The cluster's cgroups that exist, children before their parents.
#[must_use]
pub fn folders(name: &ClusterName) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for hierarchy in hierarchies() {
        descend(&hierarchy.join(name.cgroup()), &mut found);
    }
    found
}

fn descend(folder: &Path, found: &mut Vec<PathBuf>) {
    if !folder.is_dir() {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            descend(&entry.path(), found);
        }
    }
    found.push(folder.to_path_buf());
}

/// The roots of the hierarchies: one for each controller in version 1, the mount itself in version 2.
fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new(ROOT);
    if root.join("cgroup.controllers").exists() {
        return vec![root.to_path_buf()];
    }
    fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .filter(|path| path.join("cgroup.procs").exists())
        .collect()
}
