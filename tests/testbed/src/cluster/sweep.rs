//! Removing a cluster, or what an unclean end left of it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::Signal;

use crate::{Cache, ClusterState, wait_until};

use super::name::ClusterName;
use super::process::{self, Record};
use super::{cgroup, netns, traces};

/// How long ended processes may take to go.
const GONE: Duration = Duration::from_secs(20);

/// Removes everything that a cluster of this name has on the machine.
///
/// # Errors
/// When something can't be removed; the message lists what is left.
pub fn sweep(cache: &Cache, name: &ClusterName) -> Result<()> {
    let state = ClusterState::folder_of(cache, name);
    end_processes(cache, name, &state)?;
    unmount(&state)?;
    netns::delete(name)?;
    netns::empty_folder().map_or(Ok(()), unmount)?;
    cgroup::remove(name)?;
    for file in traces::stray_files(&state) {
        fs::remove_file(&file).with_context(|| file.display().to_string())?;
    }
    for folder in traces::STRAY_FOLDERS {
        // Fails when something is in it: then it is not ours alone.
        drop(fs::remove_dir(folder));
    }
    for folder in [state.clone(), name.sockets()] {
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("can't remove {}", folder.display()))?;
        }
    }
    let left = traces::all(name, &state, cache.root());
    ensure!(left.is_empty(), "this is left of cluster {name}, remove it by hand: {}", left.join(", "));
    Ok(())
}

/// Kubelets first, which would start pods again, then container runtimes; then the pods and the rest, again and again
/// until none is left: a process may have started another just before its end.
fn end_processes(cache: &Cache, name: &ClusterName, state: &Path) -> Result<()> {
    for first in ["kubelet-", "containerd-"] {
        for record in Record::all(state).iter().filter(|record| record.program.name.starts_with(first)) {
            record.end(Signal::SIGKILL)?;
        }
    }
    wait_until("the end of the cluster's processes", GONE, || {
        let mut left = traces::pods(name);
        left.extend(traces::programs(name, state, cache.root()));
        left.extend(Record::all(state).iter().filter_map(Record::running));
        for pid in &left {
            process::end(*pid, Signal::SIGKILL);
        }
        ensure!(left.is_empty(), "still there: {left:?}");
        Ok(true)
    })
}

/// Unmounts everything below a folder: volumes, root file systems, pods' namespaces.
///
/// # Errors
/// When a mount can't be removed.
pub fn unmount(folder: &Path) -> Result<()> {
    wait_until("the unmounting", GONE, || {
        let mounts = traces::mounts(folder);
        for mount in &mounts {
            match umount2(mount, MntFlags::UMOUNT_NOFOLLOW) {
                Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
                Err(error) => return Err(error).with_context(|| format!("can't unmount {}", mount.display())),
            }
        }
        Ok(mounts.is_empty())
    })
}
