//! The servers that are measured: how each is started for a model, and which wires it speaks.

mod running;
mod triton;

use crate::{
    case::{Case, Model},
    check::Check,
    process::cores,
    wire::Wire,
};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

pub use running::Running;

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    /// What this is all about.
    Millrace,
    /// The limit over HTTP.
    Floor,
    /// The limit over gRPC.
    Echo,
    /// NVIDIA's: its own ONNX Runtime backend if there is one, else its Python backend.
    Triton,
    /// KServe's Python server.
    Kserve,
    /// Seldon's.
    Mlserver,
    /// What people write themselves: FastAPI and uvicorn.
    Fastapi,
    /// Lightning's.
    Litserve,
    /// BentoML's.
    Bentoml,
    /// Ray Serve.
    Ray,
}

/// What servers are started from.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Millrace's program.
    pub server: PathBuf,
    /// This program.
    pub own: PathBuf,
    /// ONNX Runtime's library.
    pub library: PathBuf,
    /// Folder of the peers' own files.
    pub peers: PathBuf,
    /// The interpreter of each peer that is installed.
    pub pythons: BTreeMap<String, PathBuf>,
    /// Folder with Triton's own ONNX Runtime backend.
    pub triton_backends: Option<PathBuf>,
    /// For files that are made for one run.
    pub work: PathBuf,
}

impl Server {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Millrace,
        Self::Floor,
        Self::Echo,
        Self::Triton,
        Self::Kserve,
        Self::Mlserver,
        Self::Fastapi,
        Self::Litserve,
        Self::Bentoml,
        Self::Ray,
    ];

    /// A word for rows and results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Millrace => "millrace",
            Self::Floor => "floor",
            Self::Echo => "echo",
            Self::Triton => "triton",
            Self::Kserve => "kserve",
            Self::Mlserver => "mlserver",
            Self::Fastapi => "fastapi",
            Self::Litserve => "litserve",
            Self::Bentoml => "bentoml",
            Self::Ray => "ray",
        }
    }

    /// Whether it is someone else's.
    pub fn is_peer(self) -> bool {
        !matches!(self, Self::Millrace | Self::Floor | Self::Echo)
    }

    /// Whether it can answer this.
    pub fn serves(self, model: Model, wire: Wire) -> bool {
        if model.is_raw() != (wire == Wire::Process) {
            return false;
        }
        match self {
            Self::Millrace => true,
            Self::Fastapi if wire == Wire::Process => true,
            _ if wire == Wire::Process => false,
            Self::Triton => true,
            Self::Floor => model == Model::Tiny && wire != Wire::Grpc,
            Self::Echo => model == Model::Tiny && wire == Wire::Grpc,
            Self::Kserve | Self::Mlserver => wire != Wire::Binary,
            Self::Fastapi | Self::Litserve | Self::Bentoml | Self::Ray => wire == Wire::Json,
        }
    }

    /// Whether it is there to be started.
    pub fn is_installed(self, setup: &Setup) -> bool {
        !self.is_peer() || setup.pythons.contains_key(self.name())
    }

    fn command(self, setup: &Setup, case: &Case, [http, grpc]: [u16; 2]) -> Result<Command> {
        let address = format!("127.0.0.1:{http}");
        let model = case.model.name();
        if !self.is_peer() {
            return Ok(match self {
                Self::Floor => {
                    let mut command = Command::new(&setup.own);
                    command.args(["floor", "--address", &address]).arg("--ort-library").arg(&setup.library);
                    command.arg("--model").arg(&case.path);
                    command
                }
                Self::Echo => {
                    let mut command = Command::new(&setup.own);
                    command.args(["echo", "--address", &format!("127.0.0.1:{grpc}"), "1", "2"]);
                    command
                }
                _ => millrace(setup, case, &address, grpc)?,
            });
        }
        let python = setup.pythons.get(self.name()).with_context(|| format!("{} is not installed", self.name()))?;
        let mut command = match self {
            Self::Triton => return triton::command(setup, python, case, [http, grpc]),
            Self::Mlserver => {
                let folder = mlserver(setup, case, [http, grpc])?;
                let mut command = Command::new(python.with_file_name("mlserver"));
                command.arg("start").arg(folder);
                command
            }
            Self::Bentoml => {
                let mut command = Command::new(python.with_file_name("bentoml"));
                command.args([
                    "serve",
                    "app:Onnx",
                    "--host",
                    "127.0.0.1",
                    "--port",
                    &http.to_string(),
                    "--working-dir",
                ]);
                command.arg(setup.peers.join(self.name())).env("BENTOML_DO_NOT_TRACK", "True");
                command
            }
            _ => {
                let mut command = Command::new(python);
                command.env("RAY_USAGE_STATS_ENABLED", "0").arg(setup.peers.join(self.name()).join("app.py"));
                command
            }
        };
        command
            .env("PYTHONPATH", setup.peers.join(self.name()))
            .env("BENCH_MODEL", model)
            .env("BENCH_FILE", &case.path)
            .env("BENCH_HTTP", http.to_string())
            .env("BENCH_GRPC", grpc.to_string())
            .env("BENCH_CORES", cores().to_string());
        Ok(command)
    }
}

/// What is to be said of raw inputs, by the peer that has their reference.
pub fn reference(setup: &Setup, model: Model, file: &Path) -> Command {
    let name = Server::Fastapi.name();
    let mut command = Command::new(setup.pythons.get(name).map_or(Path::new("python3"), PathBuf::as_path));
    command.arg(setup.peers.join(name).join("app.py")).arg("reference");
    command.env("BENCH_FILE", file).env("BENCH_MODEL", model.name());
    command
}

fn millrace(setup: &Setup, case: &Case, address: &str, grpc: u16) -> Result<Command> {
    let mut command = Command::new(&setup.server);
    command.args(arguments(setup, case)?).args(["--address", address]);
    command.args(["--health-address", "", "--grpc-address", &format!("127.0.0.1:{grpc}")]);
    Ok(command)
}

/// What Millrace's server is told of a model. It runs a batch on each core, as the others do.
pub fn arguments(setup: &Setup, case: &Case) -> Result<Vec<OsString>> {
    let manifest = setup.work.join(format!("{}.yaml", case.model.name()));
    let runtime = json!({"executionProviders": ["CPU"], "instances": cores(), "intraOpThreads": 1});
    let mut spec = json!({"model": {"uri": "s3://bench/model.onnx"}});
    let mut file = case.path.as_path();
    if case.model == Model::RawText {
        let example = std::fs::read_to_string(setup.peers.join("../../../examples/text-embeddings.yaml"))?;
        let mut example: Value = serde_saphyr::from_str(&example).context("the example of text embeddings")?;
        spec = example["spec"].take();
        file = case.path.parent().context("a model lies in a folder")?;
    }
    if case.model == Model::RawImage {
        // As the package that has the model prepares pictures.
        spec["pipeline"] = json!({
            "preprocess": [
                {"decodeImage": {"color": "BGR"}},
                {"resize": {"width": 256, "height": 256, "filter": "Bilinear"}},
                {"centreCrop": {"width": 224, "height": 224}},
                {"normalize": {"scale": 1, "mean": [104, 117, 123], "layout": "NHWC"}},
            ],
            "postprocess": [{"labelMap": {"labels": {"values": ["sfw", "nsfw"]}}}],
        });
    }
    spec["runtime"] = runtime;
    let text = json!({"apiVersion": "millrace.dev/v1alpha1", "kind": "InferenceService",
        "metadata": {"name": case.model.name(), "namespace": "bench"}, "spec": spec});
    std::fs::write(&manifest, text.to_string())?;
    let mut arguments: Vec<OsString> = ["serve", "--log", "warn", "--manifest"].map(OsString::from).into();
    arguments.extend([manifest.into(), "--model-file".into(), file.into(), "--ort-library".into()]);
    arguments.push(setup.library.clone().into());
    Ok(arguments)
}

/// MLServer reads its settings from a folder.
fn mlserver(setup: &Setup, case: &Case, [http, grpc]: [u16; 2]) -> Result<PathBuf> {
    let folder = setup.work.join(format!("mlserver-{}", case.model.name()));
    std::fs::create_dir_all(&folder)?;
    let settings = json!({"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_endpoint": null,
        "parallel_workers": cores(), "debug": false});
    std::fs::write(folder.join("settings.json"), settings.to_string())?;
    let model = json!({"name": case.model.name(), "implementation": "app.OnnxModel",
        "parameters": {"uri": case.path}});
    std::fs::write(folder.join("model-settings.json"), model.to_string())?;
    Ok(folder)
}

/// Whether answers are looked at: those of `echo` are nobody's.
pub fn check(server: Server, case: &Case, wire: Wire) -> Check {
    let check = Check::new(case, wire);
    if server == Server::Echo { check.of_nothing() } else { check }
}

/// A link to a file in a folder of its own, made anew.
fn link(target: &Path, at: &Path) -> Result<()> {
    std::fs::create_dir_all(at.parent().context("a link lies in a folder")?)?;
    drop(std::fs::remove_file(at));
    std::os::unix::fs::symlink(target, at).with_context(|| at.display().to_string())
}
