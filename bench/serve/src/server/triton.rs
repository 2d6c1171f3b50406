//! Triton: the program that the package nvidia-pytriton bundles. With a folder of backends that has Triton's own for ONNX
//! Runtime, that is what runs; the package itself has only the one for Python.

use super::{Setup, link};
use crate::{
    bare::{Bare, Outlet},
    case::{Case, Model},
    process::cores,
};
use anyhow::{Context, Result};
use ort::value::TensorElementType;
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

/// Lays out a repository of models and says how to start Triton on it.
pub fn command(setup: &Setup, python: &Path, case: &Case, [http, grpc]: [u16; 2]) -> Result<Command> {
    let bundled = bundled(python)?;
    let repository = setup.work.join(format!("triton-{}", case.model.name()));
    let model = repository.join(case.model.name());
    std::fs::create_dir_all(model.join("1"))?;
    let backends = match &setup.triton_backends {
        Some(backends) => {
            link(&case.path, &model.join("1/model.onnx"))?;
            std::fs::write(model.join("config.pbtxt"), own_backend(case.model))?;
            backends.clone()
        }
        None => {
            link(&setup.peers.join("triton/model.py"), &model.join("1/model.py"))?;
            std::fs::write(model.join("config.pbtxt"), python_backend(setup, case)?)?;
            with_stub(setup, &bundled)?
        }
    };
    let mut command = Command::new(bundled.join("bin/tritonserver"));
    // The package says that its own Python loads its backend for Python.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", python.parent().context("an interpreter lies in a folder")?.display()));
    command.arg("--model-repository").arg(repository).arg("--backend-directory").arg(backends);
    command.args(["--allow-metrics=false", "--http-address=127.0.0.1", "--grpc-address=127.0.0.1"]);
    command.arg(format!("--http-port={http}")).arg(format!("--grpc-port={grpc}"));
    Ok(command)
}

/// What the package has: programs and backends.
fn bundled(python: &Path) -> Result<PathBuf> {
    let environment = python.ancestors().nth(2).context("an environment has bin/python")?;
    for entry in std::fs::read_dir(environment.join("lib"))?.flatten() {
        let folder = entry.path().join("site-packages/pytriton/tritonserver");
        if folder.is_dir() {
            return Ok(folder);
        }
    }
    anyhow::bail!("no tritonserver in {}", environment.display())
}

/// The backend for Python, with the stub for this version of Python beside it, where it is looked for.
fn with_stub(setup: &Setup, bundled: &Path) -> Result<PathBuf> {
    let backends = setup.work.join("triton-backends");
    for entry in std::fs::read_dir(bundled.join("backends/python"))?.flatten() {
        link(&entry.path(), &backends.join("python").join(entry.file_name()))?;
    }
    let stub = bundled.join("python_backend_stubs/3.11/triton_python_backend_stub");
    link(&stub, &backends.join("python/triton_python_backend_stub"))?;
    Ok(backends)
}

fn head(model: Model, backend: &str) -> String {
    // Batches are worth their scheduler only where a run costs more than that.
    let batching = if model == Model::Tiny { "" } else { "dynamic_batching { }\n" };
    format!(
        "name: \"{}\"\nbackend: \"{backend}\"\nmax_batch_size: 32\n{batching}instance_group [ {{ kind: KIND_CPU, count: {} }} ]\n",
        model.name(),
        cores()
    )
}

fn own_backend(model: Model) -> String {
    let mut text = head(model, "onnxruntime");
    for key in ["intra_op_thread_count", "inter_op_thread_count"] {
        let _ = writeln!(text, "parameters {{ key: \"{key}\" value: {{ string_value: \"1\" }} }}");
    }
    text
}

fn python_backend(setup: &Setup, case: &Case) -> Result<String> {
    let bare = Bare::load(&setup.library, &case.path, 1)?;
    let mut text = head(case.model, "python");
    for (kind, outlets) in [("input", bare.inputs()), ("output", bare.outputs())] {
        for outlet in outlets {
            let _ = writeln!(text, "{kind} [ {} ]", described(outlet));
        }
    }
    let file = case.path.display();
    let _ = writeln!(text, "parameters {{ key: \"file\" value: {{ string_value: \"{file}\" }} }}");
    Ok(text)
}

fn described(outlet: &Outlet) -> String {
    let kind = if outlet.element == TensorElementType::Int64 { "TYPE_INT64" } else { "TYPE_FP32" };
    let dims: Vec<String> = outlet.shape.iter().skip(1).map(ToString::to_string).collect();
    // A batch alone: Triton wants a dimension, and takes it back out.
    if dims.is_empty() {
        return format!("{{ name: \"{}\" data_type: {kind} dims: [ 1 ] reshape: {{ shape: [ ] }} }}", outlet.name);
    }
    format!("{{ name: \"{}\" data_type: {kind} dims: [ {} ] }}", outlet.name, dims.join(", "))
}
