//! `cargo xtask bench load`: a closed loop on a URL, summed up as JSON.

use anyhow::{Context, Result};
use clap::Parser;
use millrace_bench::load::{self, Load};
use std::path::PathBuf;
use std::time::Duration;

/// Sends files in turn from so many clients and prints what came of it.
#[derive(Parser)]
struct Arguments {
    /// Where to.
    #[arg(long)]
    url: String,
    /// API key.
    #[arg(long, env = "MILLRACE_KEY", hide_env_values = true)]
    key: String,
    /// Authority of the gateway's certificate (PEM).
    #[arg(long)]
    ca: PathBuf,
    /// Clients at the same time.
    #[arg(long, default_value_t = 16)]
    clients: usize,
    /// Seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Files to send.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

fn main() -> Result<()> {
    let Arguments { url, key, ca, clients, seconds, files } = Arguments::parse();
    let bodies = files
        .iter()
        .map(|file| std::fs::read(file).with_context(|| format!("can't read {}", file.display())))
        .collect::<Result<_>>()?;
    let limit = Duration::from_secs(seconds);
    let summary = load::start(Load { url, key, ca, clients, bodies, limit })?.wait()?;
    println!("{}", serde_json::to_string_pretty(&summary)?);
    anyhow::ensure!(summary.failed == 0, "{summary}");
    Ok(())
}
