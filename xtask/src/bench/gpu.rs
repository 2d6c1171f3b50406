//! The engine on a GPU.

use anyhow::{Context, Result};
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
    let ort = tools::ensure_ort(&cache, &mut steps)?;
    let libraries = tools::ensure_gpu(&cache, &mut steps)?;
    let mut cargo = exec::cargo();
    cargo.args(["run", "--quiet", "--locked", "--profile", "image", "--package", "millrace-gpu-bench", "--"]);
    cargo.args(&options.models).args(&options.more);
    // Of the same version, under the same name.
    let library = libraries.ort().join(ort.library.file_name().context("the library has a name")?);
    cargo.env("MILLRACE_ORT_LIBRARY", library).env("LD_LIBRARY_PATH", libraries.nvidia());
    exec::shown_live(&mut cargo)
}
