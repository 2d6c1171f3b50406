//! A cluster: starting it, finding it, taking it down.

pub mod cgroup;
pub mod component;
pub mod environment;
mod hairpin;
pub mod images;
pub mod name;
pub mod netns;
pub mod nodes;
pub mod objects;
pub mod pki;
pub mod process;
pub(crate) mod start;
pub mod state;
pub mod subnets;
mod sweep;
pub mod traces;

use std::fs::File;

use anyhow::{Context, Result, ensure};

use crate::{Cache, ClusterName, ClusterState, Steps, tools};

use process::Record;

/// Starts a cluster, or finds it running. What an unclean end has left is removed first.
///
/// # Errors
/// When a tool can't be had or a component does not start; the log of each is below the cluster's folder.
pub fn up(cache: &Cache, name: &ClusterName, steps: &mut Steps) -> Result<ClusterState> {
    ensure!(nix::unistd::geteuid().is_root(), "a cluster needs root: network namespaces, mounts and cgroups");
    steps.add(tools::STEPS);
    let tools = tools::ensure(cache, steps)?;
    let lock = lock(cache)?;
    if let Some(state) = running(cache, name)? {
        return Ok(state);
    }
    let left = traces::all(name, &ClusterState::folder_of(cache, name), cache.root());
    if !left.is_empty() {
        steps.add(1);
        steps.run(&format!("removal of what cluster {name} left behind"), || sweep::sweep(cache, name))?;
    }
    steps.add(start::STEPS);
    let state = start::prepare(cache, name, &tools, steps)?;
    // The addresses are taken: another cluster may start beside this one.
    drop(lock);
    start::start(cache, &state, &tools, steps)?;
    Ok(state)
}

/// Takes a cluster down. Nothing is left of it: no process, mount, namespace, cgroup, interface or folder.
///
/// # Errors
/// When something can't be removed; the message lists it.
pub fn down(cache: &Cache, name: &ClusterName) -> Result<()> {
    ensure!(nix::unistd::geteuid().is_root(), "taking a cluster down needs root");
    let _lock = lock(cache)?;
    sweep::sweep(cache, name)
}

/// The description of a cluster whose components all run.
///
/// # Errors
/// When there is a description that can't be read.
pub fn running(cache: &Cache, name: &ClusterName) -> Result<Option<ClusterState>> {
    // One that can't be read is of no use to anybody: it counts as an unclean end.
    let Ok(Some(state)) = ClusterState::of(cache, name) else { return Ok(None) };
    let records = Record::all(&state.folder);
    let complete = records.len() == start::COMPONENTS && records.iter().all(|record| record.running().is_some());
    Ok((complete && netns::exists(name) && state.folder.join(start::READY).exists()).then_some(state))
}

/// Only one cluster at a time may choose its addresses.
fn lock(cache: &Cache) -> Result<File> {
    std::fs::create_dir_all(cache.clusters())?;
    let file = File::create(cache.clusters().join(".lock"))?;
    file.lock().context("can't lock the folder of clusters")?;
    Ok(file)
}
