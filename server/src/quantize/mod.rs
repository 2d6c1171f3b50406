//! `millrace-server quantize`: an INT8 variant of a model, made by ONNX Runtime's own tooling in Python.
//!
//! The server's part is what must be the service's own: the model is fetched and verified, the tensors that ranges are
//! measured on come out of its pipeline, and the result is loaded as it would be served.

mod calibration;
mod python;

use crate::{
    config::{self, QuantizeOptions},
    engine::{
        Engine,
        ort::{OrtEngine, OrtOptions, load_library},
    },
    error::StartError,
    evaluate::{data, mebibytes},
    load,
    model::{self, verify},
};
use millrace_crds::{ExecutionProvider, Model, conditions::reason};
use python::Done;
use serde_json::json;
use std::{path::Path, process::ExitCode};

fn invalid(message: impl Into<String>) -> StartError {
    StartError::new(reason::INVALID, message)
}

/// Writes the variant, and prints what to put into the manifest.
///
/// # Errors
/// The model can't be had or quantised, there is no Python that can, or the result isn't the same model any more.
pub async fn run(options: QuantizeOptions) -> Result<ExitCode, StartError> {
    let manifest = load::read(&options.model)?;
    let spec = &manifest.spec;
    let model = spec.model.as_ref().ok_or_else(|| invalid("the manifest names no model"))?;
    let fetched = model::obtain(&manifest, &options.model, None).await?;
    let folder = tempfile::tempdir().map_err(|error| invalid(format!("no room for calibration: {error}")))?;
    let original = engine(&fetched.path, &options)?;
    let signature = original.signature().clone();
    let calibration = match &options.data {
        None => None,
        Some(path) => {
            let mut items = data::read(path, &spec.pipeline)?;
            items.truncate(options.samples);
            calibration::write(&manifest, &fetched, original, &items, folder.path()).await?;
            let tensorrt = spec.runtime.execution_providers.first() == Some(&ExecutionProvider::TensorRT);
            Some((folder.path(), if tensorrt { "TensorRT" } else { "CPU" }))
        }
    };
    let done = python::quantize(&options.python, &fetched.path, &options.output, calibration)?;
    if *engine(&options.output, &options)?.signature() != signature {
        return Err(invalid("the quantised model takes or gives other tensors than the model: it is no variant of it"));
    }
    print(model, &fetched.path, &options, &done)?;
    Ok(ExitCode::SUCCESS)
}

/// A model on the CPU: there it is quantised, wherever it is served later.
fn engine(model: &Path, options: &QuantizeOptions) -> Result<Box<dyn Engine>, StartError> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let on_cpu = OrtOptions::new(vec![ExecutionProvider::CPU], threads);
    let environment = load_library(&config::ort_library(&options.model))?;
    Ok(Box::new(OrtEngine::load(environment, model, &on_cpu)?))
}

fn print(model: &Model, original: &Path, options: &QuantizeOptions, done: &Done) -> Result<(), StartError> {
    let output = &options.output;
    let unreadable = |error: std::io::Error| invalid(format!("{} can't be read: {error}", output.display()));
    let digest = verify::digest_of(output).map_err(unreadable)?;
    let size = std::fs::metadata(output).map_err(unreadable)?.len();
    let before = std::fs::metadata(original).map_or(0, |file| file.len());
    let new: Vec<String> = done.new.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    println!(
        "{}: {}, before {}; {} (onnxruntime {}, onnx {})\n",
        output.display(),
        mebibytes(size),
        mebibytes(before),
        new.join(", "),
        done.onnxruntime,
        done.onnx
    );
    println!(
        "Put the file beside the model and this under spec.model. Then measure its quality, which is 0 until then:\n  millrace-server evaluate --manifest MANIFEST --data DATA --variant {} --variant-file {0}={}\n",
        options.name,
        output.display()
    );
    println!(
        "variants:\n  - {{name: {}, uri: {}, sha256: {}, precision: INT8, quality: 0}}",
        json!(options.name),
        json!(beside(model.uri.as_str(), output)),
        json!(digest)
    );
    Ok(())
}

/// A file's uri in the folder where the model is.
fn beside(uri: &str, file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let folder = uri.rsplit_once('/').map_or(uri, |(folder, _)| folder);
    format!("{folder}/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_lies_beside_the_model() {
        for (uri, expected) in
            [("s3://models/m/model.onnx", "s3://models/m/int8.onnx"), ("s3://models/m/", "s3://models/m/int8.onnx")]
        {
            assert_eq!(beside(uri, Path::new("out/int8.onnx")), expected);
        }
    }
}
