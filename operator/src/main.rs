//! The operator's command line.

use clap::Parser;
use millrace_operator::config::{Cli, Command};
use millrace_operator::{rbac, run};

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Rbac => print!("{}", rbac::yaml().map_err(anyhow::Error::msg)?),
        Command::Run(flags) => {
            tracing_subscriber::fmt()
                .with_env_filter(
                    tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()),
                )
                .init();
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
