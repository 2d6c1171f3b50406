//! A server in process with the real engine, and the reference in Python.

use super::Serving;
use clap::Parser as _;
use millrace_server::{
    config::{Args, Command, ServeOptions},
    error::StartError,
    load,
};
use serde_json::Value;
use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{self, Stdio},
};

/// What tests with real models need.
pub struct Real {
    pub library: PathBuf,
    pub python: PathBuf,
    pub models: PathBuf,
}

impl Real {
    /// What the environment names, or nothing, with the reason why.
    pub fn here() -> Option<Self> {
        let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let (library, python, models) =
            (path("MILLRACE_ORT_LIBRARY"), path("MILLRACE_PYTHON"), path("MILLRACE_MODELS"));
        let found = library.zip(python).zip(models).map(|((library, python), models)| Self { library, python, models });
        if found.is_none() {
            println!(
                "not run: MILLRACE_ORT_LIBRARY, MILLRACE_PYTHON and MILLRACE_MODELS name no ONNX Runtime, clients and models (cargo xtask test sets them)"
            );
        }
        found
    }

    /// Options to serve a manifest with a model that lies on this machine.
    pub fn options(&self, manifest: &Path, model: &Path) -> ServeOptions {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let arguments = ["millrace-server", "serve", "--manifest", &path(manifest), "--model-file", &path(model)];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
        arguments.extend(["--ort-library".to_owned(), path(&self.library)]);
        let Command::Serve(options) = Args::try_parse_from(arguments).unwrap().command else { panic!() };
        options
    }

    /// Serves it.
    pub async fn serve(&self, manifest: &str, model: &Path) -> Result<Serving, StartError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.yaml");
        std::fs::write(&path, manifest).unwrap();
        let (replica, _threads) = load::load(&self.options(&path, model)).await?;
        Ok(Serving::with(replica).await)
    }

    /// Audio files of every kind. They are gone with the folder.
    pub fn recordings(&self) -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let (packages, speech) = (self.models.join("python"), self.models.join("audio/sample.wav"));
        let arguments = [&*packages, &*speech, folder.path()].map(|path: &Path| path.to_str().unwrap());
        let files = serde_json::from_value(self.python("recordings.py", &arguments, "")).unwrap();
        (folder, files)
    }

    /// Runs a script of `tests/python` and reads the JSON that it prints.
    pub fn python(&self, script: &str, arguments: &[&str], input: &str) -> Value {
        let printed = self.run(script, arguments, input);
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{script} printed {printed}: {error}"))
    }

    /// A program beside the interpreter, or the interpreter itself. Without these variables, clients would ask a proxy.
    pub fn command(&self, program: &str) -> process::Command {
        let mut command = process::Command::new(self.python.with_file_name(program));
        command.env_remove("http_proxy").env_remove("https_proxy").env_remove("all_proxy").env("NO_PROXY", "*");
        command
    }

    /// Runs a client of `tests/python` against a server of this process; each entry of what it prints must be true.
    pub async fn client(self, script: &'static str, arguments: Vec<String>, least: usize) {
        let task = tokio::task::spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            self.python(script, &arguments, "")
        });
        let Value::Object(seen) = task.await.unwrap() else { panic!("{script} printed no object") };
        let failed: Vec<_> = seen.iter().filter(|(_, value)| **value != Value::Bool(true)).collect();
        assert!(failed.is_empty() && seen.len() >= least, "{script}: {failed:?} of {}", seen.len());
        println!("{script}: {} checks", seen.len());
    }

    /// Runs a script of `tests/python`.
    pub fn run(&self, script: &str, arguments: &[&str], input: &str) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/python").join(script);
        let mut command = self.command("python");
        command.arg(&script).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{} failed", script.display());
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The repository's `examples/NAME`.
pub fn example(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)).unwrap()
}
