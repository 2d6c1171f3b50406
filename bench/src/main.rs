//! Load on a URL: a closed loop, summed up as JSON, or requests at given moments, each one a row of CSV.

use anyhow::{Context, Result};
use clap::Parser;
use millrace_bench::{
    load::{self, Load},
    open::{self, Open},
};
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
    /// When to send each request: CSV whose first column is seconds, with a header. Instead of --clients and --seconds
    #[arg(long)]
    schedule: Option<PathBuf>,
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
    let Arguments { url, key, ca, schedule, clients, seconds, files } = Arguments::parse();
    let bodies = files
        .iter()
        .map(|file| std::fs::read(file).with_context(|| format!("can't read {}", file.display())))
        .collect::<Result<Vec<_>>>()?;
    if let Some(schedule) = schedule {
        let instants = open::read_schedule(&schedule)?;
        return open::run(&Open { url, key, ca, bodies, instants }, &mut std::io::stdout().lock());
    }
    let limit = Duration::from_secs(seconds);
    let summary = load::start(Load { url, key, ca, clients, bodies, limit })?.wait()?;
    println!("{}", serde_json::to_string_pretty(&summary)?);
    anyhow::ensure!(summary.failed == 0, "{summary}");
    Ok(())
}
