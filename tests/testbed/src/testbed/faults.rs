//! Faults on demand: a component is killed and started again, a node goes down and comes back.

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::Testbed;
use crate::cluster::nodes::{self, NodeSpec};
use crate::cluster::process::Record;
use crate::cluster::start;

impl Testbed {
    /// The names of the components: `etcd`, `kube-apiserver`, `kubelet-NODE` and so on.
    #[must_use]
    pub fn components(&self) -> Vec<String> {
        let mut names: Vec<String> =
            Record::all(&self.state.folder).into_iter().map(|record| record.program.name).collect();
        names.sort();
        names
    }

    /// The pid of a component, if it runs.
    #[must_use]
    pub fn pid(&self, component: &str) -> Option<i32> {
        Record::of(&self.state.folder, component)?.running()
    }

    /// Kills a component. Pods outlive their kubelet and their container runtime.
    ///
    /// # Errors
    /// When there is no such component or it does not end.
    pub fn kill(&self, component: &str) -> Result<()> {
        self.record(component)?.end(Signal::SIGKILL)
    }

    /// Starts a component that was killed, as it was started before.
    ///
    /// # Errors
    /// When it can't be started. That it is ready again is not waited for.
    pub fn start(&self, component: &str) -> Result<()> {
        let record = self.record(component)?;
        if record.running().is_none() {
            record.program.start(&self.state.folder, &self.state.netns)?;
        }
        Ok(())
    }

    /// Kills a component and starts it again.
    ///
    /// # Errors
    /// As [`Testbed::kill`] and [`Testbed::start`].
    pub fn restart(&self, component: &str) -> Result<()> {
        self.kill(component)?;
        self.start(component)
    }

    /// Takes a node down: its kubelet, its container runtime and all its pods end at once, unannounced. The cluster
    /// notices after the grace period of 40 s.
    ///
    /// # Errors
    /// When a process does not end.
    pub fn node_down(&self, node: &str) -> Result<()> {
        self.kill(&format!("kubelet-{node}"))?;
        self.kill(&format!("containerd-{node}"))?;
        start::end_pods(&self.state, node)
    }

    /// Brings a node back, with its GPUs, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn node_up(&self, node: &str) -> Result<()> {
        let spec = spec(node)?;
        self.start(&format!("containerd-{node}"))?;
        self.start(&format!("kubelet-{node}"))?;
        start::node_ready(&self.state, node)?;
        start::offer_gpus(&self.state, spec)
    }

    fn record(&self, component: &str) -> Result<Record> {
        Record::of(&self.state.folder, component)
            .with_context(|| format!("there is no component {component}; there are {}", self.components().join(", ")))
    }
}

fn spec(node: &str) -> Result<NodeSpec> {
    nodes::REAL.into_iter().find(|spec| spec.name == node).with_context(|| format!("there is no real node {node}"))
}
