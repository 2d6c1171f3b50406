//! Flags. Each is an environment variable too: `MILLRACE_` and its name.

use clap::{Parser, Subcommand, ValueEnum};
use std::{path::PathBuf, time::Duration};

/// The program.
#[derive(Parser)]
#[command(name = "millrace-server", about = "Serves an ONNX model with its pipeline")]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Serve the model of a manifest.
    Serve(ServeOptions),
}

/// Shape of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// Options of `serve`.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeOptions {
    /// The InferenceService to serve, as YAML.
    #[arg(long, env = "MILLRACE_MANIFEST")]
    pub manifest: PathBuf,
    /// Where HTTP/1.1, HTTP/2 and gRPC are answered.
    #[arg(long, env = "MILLRACE_ADDRESS", default_value = "127.0.0.1:8000")]
    pub address: String,
    /// A second address for the same service; empty: none.
    #[arg(long, env = "MILLRACE_GRPC_ADDRESS", default_value = "127.0.0.1:8001")]
    pub grpc_address: String,
    /// Where /livez and /readyz are answered, without TLS; empty: nowhere.
    #[arg(long, env = "MILLRACE_HEALTH_ADDRESS", default_value = "127.0.0.1:8081")]
    pub health_address: String,
    /// Serve TLS, and only clients with a certificate of this authority (PEM; read again when it changes).
    #[arg(long, env = "MILLRACE_CLIENT_CA")]
    pub client_ca: Option<PathBuf>,
    /// Stores that models may be read from, as a YAML list.
    #[arg(long, env = "MILLRACE_STORES")]
    pub stores: Option<PathBuf>,
    /// Folder with the keys to the store (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, TOKEN); without it, environment variables of these names.
    #[arg(long, env = "MILLRACE_CREDENTIALS")]
    pub credentials: Option<PathBuf>,
    /// The model's file (or, for a model of several files, their folder), instead of its uri; digests must still be the manifest's.
    #[arg(long, env = "MILLRACE_MODEL_FILE")]
    pub model_file: Option<PathBuf>,
    /// ONNX Runtime's library.
    #[arg(long, env = "MILLRACE_ORT_LIBRARY")]
    pub ort_library: Option<PathBuf>,
    /// Folder for fetched models, kept by digest; without it, a folder that is gone with the process.
    #[arg(long, env = "MILLRACE_CACHE_DIR")]
    pub cache_dir: Option<PathBuf>,
    /// File for the reason why the server couldn't start.
    #[arg(long, env = "MILLRACE_TERMINATION_MESSAGE")]
    pub termination_message: Option<PathBuf>,
    /// Longest time for what was admitted, once told to end.
    #[arg(long, env = "MILLRACE_DRAIN", default_value = "30s", value_parser = duration)]
    pub drain: Duration,
    /// Time for others to learn that this server ends, while it still answers.
    #[arg(long, env = "MILLRACE_DRAIN_DELAY", default_value = "2s", value_parser = duration)]
    pub drain_delay: Duration,
    /// What is logged: error, warn, info or debug, also by module, such as `info,millrace_server=debug`.
    #[arg(long, env = "MILLRACE_LOG", default_value = "info")]
    pub log: String,
    /// Shape of the log.
    #[arg(long, env = "MILLRACE_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

fn duration(text: &str) -> Result<Duration, String> {
    millrace_crds::Duration::from(text).to_std().ok_or_else(|| "write a duration as 300ms, 2s or 1m30s".to_owned())
}

/// Where ONNX Runtime is, if nobody says: as in the image, or as the system finds it.
#[must_use]
pub fn ort_library(options: &ServeOptions) -> PathBuf {
    let image = PathBuf::from("/opt/ort/lib/libonnxruntime.so.1.31.1");
    options
        .ort_library
        .clone()
        .unwrap_or_else(|| if image.exists() { image } else { PathBuf::from("libonnxruntime.so") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Args as _;

    #[test]
    fn a_flag_is_an_environment_variable_of_the_same_words() {
        let command = ServeOptions::augment_args(clap::Command::new("serve"));
        for flag in command.get_arguments() {
            let (long, variable) = (flag.get_long().unwrap(), flag.get_env().and_then(|name| name.to_str()));
            assert_eq!(variable, Some(&*format!("MILLRACE_{}", long.replace('-', "_").to_uppercase())), "--{long}");
        }
    }
}
