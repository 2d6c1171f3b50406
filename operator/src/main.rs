//! The operator's command line.

use anyhow::Context as _;
use clap::Parser;
use millrace_operator::config::{Cli, Command};
use millrace_operator::{rbac, run};

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Rbac => print!("{}", rbac::yaml().map_err(anyhow::Error::msg)?),
        Command::Run(flags) => {
            let filter = tracing_subscriber::EnvFilter::try_new(&flags.log).context("--log is no filter")?;
            tracing_subscriber::fmt().with_env_filter(filter).init();
            // Two threads: the work is waiting; more only cost stacks and arenas.
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?
                .block_on(run::run(*flags))?;
        }
    }
    Ok(())
}
