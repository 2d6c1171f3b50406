//! `millrace-server serve`: arguments, logging, and the exit code.

use clap::Parser;
use millrace_server::{
    config::{Args, Command as Asked, LogFormat},
    error::StartError,
    evaluate, memory, quantize, serve, standby,
};
use std::{path::PathBuf, process::ExitCode};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Tensors are made on one thread and freed on another, by ONNX Runtime as well, whose own calls of `malloc` come here too.
/// glibc's heaps would hold several times what a model needs, or, being one, make all threads wait for each other.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    memory::keep_freed();
    let Args { log, log_format, command } = Args::parse();
    let filter = match EnvFilter::try_new(&log) {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("--log is no filter: {error}");
            return ExitCode::FAILURE;
        }
    };
    let logger = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match log_format {
        LogFormat::Text => logger.init(),
        LogFormat::Json => logger.json().init(),
    }
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a cryptography provider was installed already");
    }
    // This thread accepts connections and answers probes; those that carry the wire have runtimes of their own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(8)
        .thread_stack_size(1 << 20)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime can't start");
            return ExitCode::FAILURE;
        }
    };
    let ended = match command {
        Asked::Serve(options) => {
            let message = options.wire.termination_message.clone();
            runtime.block_on(told(message, serve::run(options)))
        }
        Asked::Standby(options) => {
            let message = options.wire.termination_message.clone();
            runtime.block_on(told(message, standby::run(options)))
        }
        Asked::Pause => runtime.block_on(pause()),
        Asked::Evaluate(options) => runtime.block_on(evaluate::run(options)),
        Asked::Quantize(options) => runtime.block_on(quantize::run(options)),
    };
    ended.unwrap_or_else(|error| {
        tracing::error!(reason = error.reason, "{}", error.message);
        ExitCode::FAILURE
    })
}

/// Waits for SIGTERM or SIGINT.
async fn pause() -> Result<ExitCode, StartError> {
    let invalid =
        |error: std::io::Error| StartError::new(millrace_crds::conditions::reason::INVALID, error.to_string());
    let mut terminate = signal(SignalKind::terminate()).map_err(invalid)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Serves to the end; an error is also left where the kubelet reads it.
async fn told(
    termination_message: Option<PathBuf>,
    serving: impl Future<Output = Result<(), StartError>>,
) -> Result<ExitCode, StartError> {
    let ended = serving.await;
    if let (Err(error), Some(path)) = (&ended, termination_message) {
        let text = serde_json::json!({"reason": error.reason, "message": error.message}).to_string();
        if let Err(error) = std::fs::write(path, text) {
            tracing::warn!(%error, "the termination message can't be written");
        }
    }
    ended.map(|()| ExitCode::SUCCESS)
}
