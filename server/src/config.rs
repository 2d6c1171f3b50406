//! Flags. Each is an environment variable too: `MILLRACE_` and its name.

use clap::{Parser, Subcommand, ValueEnum};
use std::{path::PathBuf, time::Duration};

/// The program.
#[derive(Parser)]
#[command(name = "millrace-server", about = "Serves ONNX models with their pipeline")]
pub struct Args {
    /// What is logged: error, warn, info or debug, also by module, such as `info,millrace_server=debug`.
    #[arg(long, env = "MILLRACE_LOG", default_value = "info", global = true)]
    pub log: String,
    /// Shape of the log.
    #[arg(long, env = "MILLRACE_LOG_FORMAT", default_value = "text", global = true)]
    pub log_format: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Serve the models of a manifest.
    Serve(ServeOptions),
    /// Wait with the runtime up and no model, until the operator assigns a service; then serve it, and no other.
    Standby(StandbyOptions),
    /// Measure a model and its variants: latency, throughput, memory and quality. Exit code 2: a variant is below minQuality.
    Evaluate(EvaluateOptions),
    /// Do nothing until told to end: a pod that does it keeps the image on its node.
    Pause,
    /// Make an INT8 variant of a model. Needs a Python with onnx and onnxruntime.
    Quantize(QuantizeOptions),
}

/// Shape of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// Which model, and where its files are: what every command needs.
#[derive(Clone, Debug, clap::Args)]
pub struct ModelOptions {
    /// The InferenceService, as YAML.
    #[arg(long, env = "MILLRACE_MANIFEST")]
    pub manifest: PathBuf,
    /// Stores that models may be read from, as a YAML list.
    #[arg(long, env = "MILLRACE_STORES")]
    pub stores: Option<PathBuf>,
    /// Folder with the keys to the store (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, TOKEN); without it, environment variables of these names.
    #[arg(long, env = "MILLRACE_CREDENTIALS")]
    pub credentials: Option<PathBuf>,
    /// The model's file (or, for a model of several files, their folder), instead of its uri; for several models a folder with NAME.onnx (or NAME/) for each. Digests must still be the manifest's.
    #[arg(long, env = "MILLRACE_MODEL_FILE")]
    pub model_file: Option<PathBuf>,
    /// The file of a variant, as NAME=PATH, instead of its uri; may be repeated. Digests must still be the manifest's.
    #[arg(long, env = "MILLRACE_VARIANT_FILE", value_name = "NAME=PATH", value_delimiter = ',', value_parser = named_file)]
    pub variant_file: Vec<(String, PathBuf)>,
    /// ONNX Runtime's library.
    #[arg(long, env = "MILLRACE_ORT_LIBRARY")]
    pub ort_library: Option<PathBuf>,
    /// Folder for fetched models, kept by digest, and in `engines` for what TensorRT builds of them; without it, a folder that is gone with the process.
    #[arg(long, env = "MILLRACE_CACHE_DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Folder for fetched models that other servers on this machine use too, kept by digest. Each server verifies what it reads there. It must not be shared by tenants who may not see each other's models.
    #[arg(long, env = "MILLRACE_NODE_CACHE")]
    pub node_cache: Option<PathBuf>,
    /// Bytes that models may take there; the one that was used longest ago goes first.
    #[arg(long, env = "MILLRACE_NODE_CACHE_LIMIT", default_value_t = 20 << 30)]
    pub node_cache_limit: u64,
}

/// Where a server answers, and how it ends.
#[derive(Clone, Debug, clap::Args)]
pub struct WireOptions {
    /// Where HTTP/1.1, HTTP/2 and gRPC are answered; of a standby server, once it has a model.
    #[arg(long, env = "MILLRACE_ADDRESS", default_value = "127.0.0.1:8000")]
    pub address: String,
    /// Where /livez and /readyz are answered, without TLS; empty: nowhere.
    #[arg(long, env = "MILLRACE_HEALTH_ADDRESS", default_value = "127.0.0.1:8081")]
    pub health_address: String,
    /// File for the reason why the server couldn't start.
    #[arg(long, env = "MILLRACE_TERMINATION_MESSAGE")]
    pub termination_message: Option<PathBuf>,
    /// Longest time for what was admitted, once told to end.
    #[arg(long, env = "MILLRACE_DRAIN", default_value = "30s", value_parser = duration)]
    pub drain: Duration,
    /// Time for others to learn that this server ends, while it still answers.
    #[arg(long, env = "MILLRACE_DRAIN_DELAY", default_value = "2s", value_parser = duration)]
    pub drain_delay: Duration,
}

/// Options of `serve`.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeOptions {
    /// The model.
    #[command(flatten)]
    pub model: ModelOptions,
    /// Where it answers.
    #[command(flatten)]
    pub wire: WireOptions,
    /// A variant of the manifest, to be served in the model's place.
    #[arg(long, env = "MILLRACE_VARIANT")]
    pub variant: Option<String>,
    /// A second address for the same service; empty: none.
    #[arg(long, env = "MILLRACE_GRPC_ADDRESS", default_value = "127.0.0.1:8001")]
    pub grpc_address: String,
    /// Serve TLS, and only clients with a certificate of this authority (PEM; read again when it changes).
    #[arg(long, env = "MILLRACE_CLIENT_CA")]
    pub client_ca: Option<PathBuf>,
}

/// Options of `standby`.
#[derive(Clone, Debug, clap::Args)]
pub struct StandbyOptions {
    /// Where the operator assigns a service: TLS, for callers with its certificate alone.
    #[arg(long, env = "MILLRACE_ASSIGN_ADDRESS", default_value = "127.0.0.1:8444")]
    pub assign_address: String,
    /// Where it answers.
    #[command(flatten)]
    pub wire: WireOptions,
    /// The authority (PEM; read again when it changes) whose certificates callers must have.
    #[arg(long, env = "MILLRACE_CLIENT_CA")]
    pub client_ca: PathBuf,
    /// Folder with the keys to stores, as of `serve`.
    #[arg(long, env = "MILLRACE_CREDENTIALS")]
    pub credentials: Option<PathBuf>,
    /// ONNX Runtime's library.
    #[arg(long, env = "MILLRACE_ORT_LIBRARY")]
    pub ort_library: Option<PathBuf>,
    /// Bring CUDA up as well.
    #[arg(long, env = "MILLRACE_GPU")]
    pub gpu: bool,
    /// Folder for the fetched model. It keeps the mark that an assignment leaves: a server that finds one there won't start.
    #[arg(long, env = "MILLRACE_CACHE_DIR")]
    pub cache_dir: PathBuf,
}

/// Options of `evaluate`.
#[derive(Clone, Debug, clap::Args)]
pub struct EvaluateOptions {
    /// The model.
    #[command(flatten)]
    pub model: ModelOptions,
    /// Inputs: a file of JSON lines {"input": ..., "expected": ...}, or a folder with an input in each file.
    ///
    /// An input is what the service's first step reads: for bytes, images and audio the path of a file, from where the data file is; for tokenize a text; for records an object; without input steps the `inputs` of an inference request. `expected` (or `label`) is a class by its name, an object of scores by class, a number or a list of numbers. Without it, answers are held to the model's own. If every file of a folder lies one folder down, those folders' names are the labels.
    #[arg(long, env = "MILLRACE_DATA")]
    pub data: PathBuf,
    /// A variant to be measured; may be repeated. Without it, all of the manifest's.
    #[arg(long, env = "MILLRACE_VARIANT", value_delimiter = ',')]
    pub variant: Vec<String>,
    /// Seconds to measure each variant for, beyond one answer to each input.
    #[arg(long, env = "MILLRACE_SECONDS", default_value = "10")]
    pub seconds: u32,
    /// Print JSON rather than a table.
    #[arg(long, env = "MILLRACE_JSON")]
    pub json: bool,
    /// Measure this alone (empty: the model itself) and print what was measured: how the command runs itself.
    #[arg(long, env = "MILLRACE_ONLY", hide = true)]
    pub only: Option<String>,
}

/// Options of `quantize`.
#[derive(Clone, Debug, clap::Args)]
pub struct QuantizeOptions {
    /// The model.
    #[command(flatten)]
    pub model: ModelOptions,
    /// Where the INT8 model is written.
    #[arg(long, env = "MILLRACE_OUTPUT")]
    pub output: PathBuf,
    /// Inputs as `evaluate` takes them, to measure the ranges of activations on (static quantisation). Without it, ranges are measured at run time (dynamic).
    #[arg(long, env = "MILLRACE_DATA")]
    pub data: Option<PathBuf>,
    /// Inputs that ranges are measured on, at most.
    #[arg(long, env = "MILLRACE_SAMPLES", default_value = "200")]
    pub samples: usize,
    /// Name of the variant.
    #[arg(long, env = "MILLRACE_NAME", default_value = "int8")]
    pub name: String,
    /// The Python that quantises: one with onnx and onnxruntime.
    #[arg(long, env = "MILLRACE_PYTHON", default_value = "python3")]
    pub python: PathBuf,
}

fn named_file(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("write NAME=PATH")?;
    Ok((name.to_owned(), PathBuf::from(path)))
}

fn duration(text: &str) -> Result<Duration, String> {
    millrace_crds::Duration::from(text).to_std().ok_or_else(|| "write a duration as 300ms, 2s or 1m30s".to_owned())
}

/// Where ONNX Runtime is, if nobody says: as in the image, or as the system finds it.
#[must_use]
pub fn ort_library(options: &ModelOptions) -> PathBuf {
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
        let options = [
            Args::augment_args,
            ServeOptions::augment_args,
            StandbyOptions::augment_args,
            EvaluateOptions::augment_args,
            QuantizeOptions::augment_args,
        ];
        let commands = options.map(|augment| augment(clap::Command::new("server")));
        for flag in commands.iter().flat_map(clap::Command::get_arguments) {
            let (long, variable) = (flag.get_long().unwrap(), flag.get_env().and_then(|name| name.to_str()));
            assert_eq!(variable, Some(&*format!("MILLRACE_{}", long.replace('-', "_").to_uppercase())), "--{long}");
        }
    }
}
