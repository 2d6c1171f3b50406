//! The gateway's program.

use clap::Parser;
use millrace_gateway::args::{Cli, Command};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let command = Cli::parse().command;
    if let Command::Serve(args) = &command {
        // The client's own complaints are told by the watches, once; a filter that names it has the last word.
        match EnvFilter::try_new(format!("kube_client=off,{}", args.log)) {
            Ok(filter) => tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init(),
            Err(error) => {
                eprintln!("millrace-gateway: --log is no filter: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    // The Kubernetes client takes the process's default; ours are named where they are used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Two threads carry what a gateway is asked to; more would only add stacks.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(4).enable_all().build();
    let result = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(millrace_gateway::run::run(command)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("millrace-gateway: {error:#}");
            ExitCode::FAILURE
        }
    }
}
