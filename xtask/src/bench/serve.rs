//! The model server beside its limits and its peers: installs the peers, builds both programs, and runs the bench.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use millrace_testbed::image;
use millrace_testbed::tools::{self, Python};
use millrace_testbed::{Cache, Steps, exec, repository};

/// Peers that are installed unless others are named; each has a folder in `bench/serve/peers`.
const PEERS: [&str; 6] = ["triton", "kserve", "mlserver", "fastapi", "litserve", "bentoml"];

/// What is measured, and beside whom.
#[derive(Debug, Args)]
pub struct Options {
    /// Peers, by their folders in bench/serve/peers; `none`: the limits alone
    #[arg(long, value_delimiter = ',', default_values_t = PEERS.map(str::to_owned))]
    peers: Vec<String>,
    /// How both programs are compiled: as they are released, or `image`, which is quicker
    #[arg(long, default_value = "release")]
    profile: String,
    /// Where results go
    #[arg(long, default_value = "bench/results/serve.json")]
    out: PathBuf,
    /// For the bench itself: --rows, --seconds, --runs, --threads
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Measures, and writes the results row by row.
pub fn run(options: &Options) -> Result<()> {
    let cache = Cache::open()?;
    let peers: Vec<&str> = options.peers.iter().map(String::as_str).filter(|peer| *peer != "none").collect();
    let mut steps = Steps::new(5 + peers.len());
    let ort = tools::ensure_ort(&cache, &mut steps)?;
    let models = tools::ensure_models(&cache, &mut steps)?;
    let folder = repository().join("bench/serve/peers");
    let mut pythons = Vec::new();
    for peer in peers {
        let python = Python::locked(&cache, &folder.join(peer).join("requirements.txt"))?;
        steps.ensure(&format!("peer {peer}"), || python.ensure(&cache))?;
        pythons.push(format!("--peer={peer}={}", python.interpreter().display()));
    }
    let programs = steps.run("server and bench", || programs(&options.profile))?;
    steps.show("rows", || {
        let mut bench = std::process::Command::new(programs.join("millrace-serve-bench"));
        bench.current_dir(repository()).arg("run").args(&options.arguments).args(&pythons);
        bench.arg("--server").arg(programs.join("millrace-server"));
        bench.arg("--ort-library").arg(&ort.library).arg("--models").arg(&models.folder);
        bench.arg("--peers").arg(&folder).arg("--out").arg(&options.out).args(["--commit", &image::tag()]);
        bench.args(["--profile", &options.profile]);
        exec::shown_live(&mut bench)
    })
}

/// Builds what is measured and what measures; gives back the folder of both.
fn programs(profile: &str) -> Result<PathBuf> {
    let mut cargo = exec::cargo();
    cargo.args(["build", "--quiet", "--locked", "--profile", profile]);
    cargo.args(["--package", "millrace-server", "--bin", "millrace-server"]);
    exec::shown_live(cargo.args(["--package", "millrace-serve-bench", "--bin", "millrace-serve-bench"]))?;
    Ok(exec::target_folder()?.join(profile))
}
