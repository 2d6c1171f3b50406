//! `cargo xtask bench gpu`: one session in a closed loop on this machine's GPU, for each model, batch size and way to run.

mod measure;

use anyhow::{Context, Result};
use clap::Parser;
use measure::{Effort, Figure, Loop, Way};
use millrace_server::{
    engine::ort::{load_library, version},
    gpu::Gpu,
};
use serde::Serialize;
use std::{path::PathBuf, time::Duration};

/// Runs models and prints the figures as JSON, and a table.
#[derive(Parser)]
struct Arguments {
    /// ONNX Runtime's library, with its CUDA provider beside it.
    #[arg(long, env = "MILLRACE_ORT_LIBRARY")]
    ort_library: PathBuf,
    /// Rows in a batch.
    #[arg(long, value_delimiter = ',', default_value = "1,4,16,64")]
    batches: Vec<usize>,
    /// Length of dimensions that are free besides the batch.
    #[arg(long, default_value_t = 32)]
    length: usize,
    /// Seconds of one run.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Runs of each, of which the median counts.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Ways to run.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "nodes,graph,tensorrt,tensorrt-fp16")]
    ways: Vec<Way>,
    /// Models.
    #[arg(required = true)]
    models: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    gpu: String,
    runtime: &'static str,
    figures: Vec<Figure>,
    /// What can't be run, and why.
    refused: Vec<String>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let gpu = Gpu::first().context("there is no NVIDIA driver with a GPU on this machine")?;
    let environment = load_library(&arguments.ort_library)?;
    let mut report = Report { gpu: gpu.kind(), runtime: version(), figures: Vec::new(), refused: Vec::new() };
    let effort = Effort { time: Duration::from_secs_f64(arguments.seconds), runs: arguments.runs };
    for model in &arguments.models {
        for &way in &arguments.ways {
            let mut session = match Loop::new(environment, model, way, &arguments.batches, arguments.length) {
                Ok(session) => session,
                Err(error) => {
                    let refused = format!("{}, {way}: {error:#}", model.display());
                    eprintln!("{refused}");
                    report.refused.push(refused);
                    continue;
                }
            };
            for &rows in &arguments.batches {
                let figure = session.measure(rows, arguments.length, effort, &gpu)?;
                eprintln!("{figure}");
                report.figures.push(figure);
            }
        }
    }
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
