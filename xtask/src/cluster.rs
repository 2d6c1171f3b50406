//! `cargo xtask cluster`

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use millrace_testbed::cluster::environment;
use millrace_testbed::{Cache, ClusterName, ClusterState, Steps, Testbed, cluster};

#[derive(Debug, Subcommand)]
pub enum Action {
    /// Start a cluster, or find it running
    Up(Which),
    /// Take a cluster down, or remove what an unclean end has left of it
    Down(Which),
    /// Print variables for a shell: eval "$(cargo xtask cluster env)"
    Env(Which),
    /// List the clusters of this machine
    List,
    /// Kill a component and start it again
    Restart(Component),
    /// Kill a component
    Kill(Component),
    /// Start a component that was killed
    Start(Component),
    /// Take a node down: kubelet, container runtime and pods end at once
    NodeDown(Node),
    /// Bring a node back
    NodeUp(Node),
}

#[derive(Debug, Args)]
pub struct Which {
    /// The cluster
    #[arg(long, default_value = "millrace")]
    name: ClusterName,
}

#[derive(Debug, Args)]
pub struct Component {
    #[command(flatten)]
    which: Which,
    /// Its name: etcd, kube-apiserver, kubelet-NODE and so on
    component: String,
}

#[derive(Debug, Args)]
pub struct Node {
    #[command(flatten)]
    which: Which,
    /// Its name
    node: String,
}

pub fn run(action: Action) -> Result<()> {
    match action {
        Action::Up(which) => up(&which.name),
        Action::Down(which) => {
            cluster::down(&Cache::open()?, &which.name)?;
            eprintln!("cluster {} is down, and nothing of it is left", which.name);
            Ok(())
        }
        Action::Env(which) => {
            print!("{}", environment::exports(Testbed::attach(&which.name)?.state()));
            Ok(())
        }
        Action::List => list(),
        Action::Restart(which) => which.testbed()?.restart(&which.component),
        Action::Kill(which) => which.testbed()?.kill(&which.component),
        Action::Start(which) => which.testbed()?.start(&which.component),
        Action::NodeDown(which) => which.testbed()?.node_down(&which.node),
        Action::NodeUp(which) => which.testbed()?.node_up(&which.node),
    }
}

fn up(name: &ClusterName) -> Result<()> {
    let testbed = Testbed::up(name, &mut Steps::new(0))?;
    let option = if name.to_string() == "millrace" { String::new() } else { format!(" --name {name}") };
    eprintln!("cluster {name} runs. To use it:  eval \"$(cargo xtask cluster env{option})\"");
    eprintln!("To stop it:  cargo xtask cluster down{option}");
    eprintln!("Logs:  {}", testbed.state().folder.join("log").display());
    Ok(())
}

fn list() -> Result<()> {
    let cache = Cache::open()?;
    for name in ClusterState::names(&cache)? {
        let running = cluster::running(&cache, &name)?;
        println!(
            "{name}\t{}",
            if running.is_some() { "runs" } else { "incomplete: `up` or `down` removes what is left" }
        );
    }
    Ok(())
}

impl Component {
    /// The cluster, which may lack components just now.
    fn testbed(&self) -> Result<Testbed> {
        Testbed::open(&self.which.name).context("no such cluster")
    }
}

impl Node {
    fn testbed(&self) -> Result<Testbed> {
        Testbed::open(&self.which.name).context("no such cluster")
    }
}
