//! `cargo xtask bench`: figures, with what they are measured against in the same run.

mod autoscale;
mod gpu;
mod memory;
mod serve;

use anyhow::Result;
use clap::Subcommand;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Resident memory of the server beyond that of the bare engine loop with the same model and threads
    Memory,
    /// One session of the engine on this machine's GPU: on CUDA node by node and as graphs, and on TensorRT
    Gpu(gpu::Options),
    /// The scaling law in simulation, against rivals and bounds
    Autoscale(autoscale::Options),
    /// What a request costs the model server, beside its limits and its peers
    Serve(serve::Options),
}

/// Runs one.
pub fn run(action: &Action) -> Result<()> {
    match action {
        Action::Memory => memory::run(),
        Action::Gpu(options) => gpu::run(options),
        Action::Autoscale(options) => autoscale::run(options),
        Action::Serve(options) => serve::run(options),
    }
}
