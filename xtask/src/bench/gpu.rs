//! The engine on a GPU.

use anyhow::Result;
use clap::Args;
use millrace_testbed::{Cache, Steps, exec, tools};
use std::path::PathBuf;

/// What runs.
#[derive(Debug, Args)]
pub struct Options {
    /// ONNX files
    #[arg(required = true)]
    models: Vec<PathBuf>,
    /// More of the program's own options, such as `--batches 1,8`
    #[arg(last = true)]
    more: Vec<String>,
}

/// Runs the models with the libraries of the GPU image, and prints the figures.
pub fn run(options: &Options) -> Result<()> {
    let cache = Cache::open()?;
    let mut steps = Steps::new(3);
    tools::ensure_ort(&cache, &mut steps)?;
    let libraries = tools::ensure_gpu(&cache, &mut steps)?;
    let mut cargo = exec::cargo();
    cargo.args(["run", "--quiet", "--locked", "--profile", "image", "--package", "millrace-gpu-bench", "--"]);
    cargo.args(&options.models).args(&options.more);
    cargo
        .env("MILLRACE_ORT_LIBRARY", libraries.ort().join("libonnxruntime.so.1.31.1"))
        .env("LD_LIBRARY_PATH", libraries.nvidia());
    exec::shown_live(&mut cargo)
}
