//! The scaling law: in the simulator of `bench/autoscale`, and on a real cluster.

mod ground;
mod operator;
mod replay;
mod starts;
mod watch;

use anyhow::Result;
use clap::Args;
use ground::Ground;
use millrace_testbed::{ClusterName, exec, repository};

/// What is run, and its arguments.
#[derive(Debug, Args)]
pub struct Options {
    /// Replay a trace at real speed on a real cluster, and compare with what the simulator says of it. `--trace FILE` or
    /// `--generate KIND`, `--minutes` and `--seed` after it say what arrives
    #[arg(long)]
    cluster: bool,
    /// Measure on a real cluster, several times each: a burst of ten times the load to the first `/scale` write, and the first
    /// answer from zero
    #[arg(long, conflicts_with = "cluster")]
    starts: bool,
    /// With --cluster: mean load, in replicas
    #[arg(long, default_value_t = 2.0)]
    replicas: f64,
    /// Name of the cluster; it is started if it doesn't run, and left running
    #[arg(long = "cluster-name", default_value = "millrace")]
    name: ClusterName,
    /// Passed on to the simulator; `--help` after `--` shows them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// How both programs are compiled.
const PROFILE: &str = "image";

/// Runs what the options name, from the repository's root.
pub fn run(options: &Options) -> Result<()> {
    if options.cluster {
        return replay::run(&Ground::new(&options.name)?, options.replicas, &options.arguments);
    }
    if options.starts {
        return starts::run(&Ground::new(&options.name)?);
    }
    let mut cargo = exec::cargo();
    cargo.current_dir(repository());
    cargo.args(["run", "--quiet", "--locked", "--profile", PROFILE, "--package", "millrace-autoscale", "--"]);
    exec::shown_live(cargo.args(&options.arguments))
}
