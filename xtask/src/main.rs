//! The repository's tasks.

mod bench;
mod cluster;
mod demo;
mod generate;
mod image;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The repository's tasks
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// From nothing to a served, scaled, sleeping and woken model on a real cluster
    Demo(demo::Options),
    /// Run everything that must pass
    Test {
        /// What to run
        #[arg(value_enum, default_value = "all")]
        what: test::What,
    },
    /// A real Kubernetes on this machine: two nodes, simulated ones, a store and a registry
    Cluster {
        #[command(subcommand)]
        action: cluster::Action,
    },
    /// Build the product's image, and push it
    Image(image::Options),
    /// Measure, side by side with a peer or a limit
    Bench {
        /// What
        #[command(subcommand)]
        action: bench::Action,
    },
    /// Make the generated files anew
    Generate,
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Demo(options) => demo::run(&options),
        Task::Bench { action } => bench::run(&action),
        Task::Test { what } => test::run(what),
        Task::Cluster { action } => cluster::run(action),
        Task::Image(options) => image::run(&options),
        Task::Generate => generate::run(),
    }
}
