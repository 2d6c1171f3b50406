//! Builds the simulator of `bench/autoscale` optimised, and runs it with the given arguments.

use anyhow::Result;
use clap::Args;
use millrace_testbed::{exec, repository};

/// Arguments of the simulator.
#[derive(Debug, Args)]
pub struct Options {
    /// Passed on; `--help` after `--` shows them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs the simulator from the repository's root.
pub fn run(options: &Options) -> Result<()> {
    let mut cargo = exec::cargo();
    cargo.current_dir(repository());
    cargo.args(["run", "--quiet", "--locked", "--profile", "image", "--package", "millrace-autoscale", "--"]);
    exec::shown_live(cargo.args(&options.arguments))
}
