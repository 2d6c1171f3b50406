//! `cargo xtask bench`: figures, with what they are measured against in the same run.

mod autoscale;
mod memory;

use anyhow::Result;
use clap::Subcommand;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Resident memory of the server beyond that of the bare engine loop with the same model and threads
    Memory,
    /// The scaling law in simulation, against rivals and bounds
    Autoscale(autoscale::Options),
}

/// Runs one.
pub fn run(action: &Action) -> Result<()> {
    match action {
        Action::Memory => memory::run(),
        Action::Autoscale(options) => autoscale::run(options),
    }
}
