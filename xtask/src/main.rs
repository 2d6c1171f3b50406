//! The repository's tasks.

mod cluster;

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
    /// A real Kubernetes on this machine: two nodes, simulated ones, a store and a registry
    Cluster {
        #[command(subcommand)]
        action: cluster::Action,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().task {
        Task::Cluster { action } => cluster::run(action),
    }
}
