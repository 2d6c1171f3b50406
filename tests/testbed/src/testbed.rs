//! The handle on a running cluster that tests and the demo hold.

mod clients;
mod faults;
mod files;

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{Cache, ClusterName, ClusterState, Steps, cluster};

/// A running cluster.
#[derive(Debug, Clone)]
pub struct Testbed {
    cache: Cache,
    state: ClusterState,
}

impl Testbed {
    /// Starts a cluster, or finds it running.
    ///
    /// # Errors
    /// When it does not start.
    pub fn up(name: &ClusterName, steps: &mut Steps) -> Result<Self> {
        let cache = Cache::open()?;
        let state = cluster::up(&cache, name, steps)?;
        Ok(Self { cache, state })
    }

    /// A cluster that runs already.
    ///
    /// # Errors
    /// When it does not run.
    pub fn attach(name: &ClusterName) -> Result<Self> {
        let cache = Cache::open()?;
        let state = cluster::running(&cache, name)?.with_context(|| {
            format!("cluster {name} does not run: start it with `cargo xtask cluster up --name {name}`")
        })?;
        Ok(Self { cache, state })
    }

    /// A cluster that was started, even if some of its components have ended.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn open(name: &ClusterName) -> Result<Self> {
        let cache = Cache::open()?;
        let state = ClusterState::of(&cache, name)?.with_context(|| format!("cluster {name} was not started"))?;
        Ok(Self { cache, state })
    }

    /// The cluster that `MILLRACE_TESTBED` describes.
    ///
    /// # Errors
    /// When the variable is not set or its file can't be read.
    pub fn from_env() -> Result<Self> {
        let file = std::env::var_os("MILLRACE_TESTBED").context(
            "these tests need a cluster: run `cargo xtask test e2e`, or `eval \"$(cargo xtask cluster env)\"`",
        )?;
        Ok(Self { cache: Cache::open()?, state: ClusterState::read(&PathBuf::from(file))? })
    }

    /// Takes the cluster down.
    ///
    /// # Errors
    /// When something of it is left.
    pub fn down(self) -> Result<()> {
        cluster::down(&self.cache, &self.state.name)
    }

    /// What is known of the cluster.
    #[must_use]
    pub fn state(&self) -> &ClusterState {
        &self.state
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }
}
