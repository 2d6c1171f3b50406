//! `cargo xtask bench serve`: the model server beside its limits and its peers, in one run on loopback.

mod bare;
mod case;
mod check;
mod curve;
mod figure;
mod limit;
mod load;
mod loops;
mod process;
mod raw;
mod report;
mod row;
mod run;
mod server;
mod tensor;
mod wire;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use report::Report;
use run::Effort;
use serde_json::json;
use server::Setup;
use std::{path::PathBuf, time::Duration};

/// The program.
#[derive(Parser)]
#[command(name = "millrace-serve-bench")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure rows
    Run(Run),
    /// Be the limit over HTTP: hyper, serde_json, ONNX Runtime
    Floor {
        #[command(flatten)]
        engine: Engine,
        /// Where
        #[arg(long)]
        address: String,
    },
    /// Be the limit over gRPC: tonic, and no engine
    Echo {
        /// Where
        #[arg(long)]
        address: String,
        /// Elements of each output
        outputs: Vec<usize>,
    },
    /// Print the resident memory of the bare engine after 500 runs, in MiB
    Resident {
        #[command(flatten)]
        engine: Engine,
    },
}

/// ONNX Runtime and a model.
#[derive(Args)]
struct Engine {
    /// The library
    #[arg(long)]
    ort_library: PathBuf,
    /// The model's file
    #[arg(long)]
    model: PathBuf,
}

/// What is measured, and what for.
#[derive(Args)]
struct Run {
    /// Rows whose names begin with one of these; all, if there is none
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// Seconds of each run that count
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Runs of each row and server
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Threads of the generator
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Millrace's program
    #[arg(long)]
    server: PathBuf,
    /// ONNX Runtime's library
    #[arg(long)]
    ort_library: PathBuf,
    /// Folder of the models
    #[arg(long)]
    models: PathBuf,
    /// Folder of the peers' own files
    #[arg(long)]
    peers: PathBuf,
    /// A peer and its interpreter, as NAME=PATH
    #[arg(long = "peer", value_parser = peer)]
    pythons: Vec<(String, PathBuf)>,
    /// Folder that holds Triton's own backend for ONNX Runtime
    #[arg(long, env = "TRITON_BACKENDS")]
    triton_backends: Option<PathBuf>,
    /// Where results go
    #[arg(long)]
    out: PathBuf,
    /// What was built
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// How it was built
    #[arg(long, default_value = "unknown")]
    profile: String,
}

fn peer(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("write a peer as NAME=PATH")?;
    Ok((name.to_owned(), path.into()))
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Run(options) => measure(options),
        Command::Floor { engine, address } => limit::floor::run(engine.ort_library, engine.model, &address),
        Command::Echo { address, outputs } => limit::echo::run(&outputs, &address),
        Command::Resident { engine } => resident(&engine),
    }
}

fn measure(options: Run) -> Result<()> {
    // A thousand connections, on both ends of which this process and its children sit.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most.min(65_536), most)?;
    let work = tempfile::tempdir()?;
    let effort = Effort {
        measured: Duration::from_secs_f64(options.seconds),
        runs: options.runs.max(1),
        threads: options.threads.max(1),
    };
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    let shown = ["--rows", "--seconds", "--runs", "--threads"];
    let words = arguments.windows(2).filter(|pair| shown.contains(&pair[0].as_str())).map(|pair| pair.join(" "));
    let command: Vec<String> = std::iter::once("cargo xtask bench serve".to_owned()).chain(words).collect();
    let about = json!({
        "command": command.join(" "),
        "commit": options.commit,
        "profile": options.profile,
        "machine": report::machine(),
        "seconds": options.seconds,
        "runs": effort.runs,
        "generator_threads": effort.threads,
        "triton_backend": if options.triton_backends.is_some() { "onnxruntime" } else { "python" },
    });
    let setup = Setup {
        server: options.server,
        own: std::env::current_exe()?,
        library: options.ort_library,
        peers: options.peers,
        pythons: options.pythons.into_iter().collect(),
        triton_backends: options.triton_backends,
        work: work.path().to_owned(),
    };
    let mut report = Report::open(&options.out, about);
    run::run(&row::chosen(&options.rows), &setup, &options.models, effort, &mut report)
}

fn resident(engine: &Engine) -> Result<()> {
    let mut bare = bare::Bare::load(&engine.ort_library, &engine.model, 1)?;
    let inputs = case::row(bare.inputs())?;
    for _ in 0..500 {
        bare.run(&inputs)?;
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the kernel tells the memory")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    println!("{}", kibibytes / 1_024.0);
    Ok(())
}
