//! Brings the runtime up as far as it goes without a service's model: the library, and by a model of one node what the first
//! session of a process makes, on a GPU its context and libraries.

use crate::{
    engine::{
        EngineError,
        ort::{OrtEngine, OrtOptions, load_library},
    },
    error::StartError,
    warm_up,
};
use millrace_crds::{ExecutionProvider, conditions::reason};
use std::path::Path;

/// Loads the library and runs the model of one node; `folder` is for its file. Without the library nothing can be served; that
/// a provider can't be had is for the services to say that ask for it.
///
/// # Errors
/// The library can't be loaded.
pub fn up(library: &Path, gpu: bool, folder: &Path) -> Result<(), StartError> {
    let environment = load_library(library)?;
    let file = folder.join("warm.onnx");
    std::fs::write(&file, one_node())
        .map_err(|error| StartError::new(reason::INVALID, format!("no file can be written: {error}")))?;
    let providers: &[ExecutionProvider] =
        if gpu { &[ExecutionProvider::CPU, ExecutionProvider::CUDA] } else { &[ExecutionProvider::CPU] };
    for provider in providers {
        let ran = OrtEngine::load(environment, &file, &OrtOptions::new(vec![*provider], 1))
            .map_err(|error| error.to_string())
            .and_then(|mut engine| {
                warm_up::run_zeros(&mut engine, &[], &[]).map_err(|error: EngineError| error.to_string())
            });
        match ran {
            Ok(()) => tracing::info!(?provider, "the runtime is up"),
            Err(error) => tracing::warn!(?provider, %error, "the runtime isn't up for this provider"),
        }
    }
    Ok(())
}

/// A field of a protobuf message: a number below 16, and at most 127 bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    [&[number << 3 | 2, length][..], bytes].concat()
}

/// An ONNX model that gives the positive part of one number.
fn one_node() -> Vec<u8> {
    // TypeProto: a tensor of FLOAT with one dimension of size 1.
    let kind = field(1, &[&[1 << 3, 1][..], &field(2, &field(1, &[1 << 3, 1]))].concat());
    let value = |name: &[u8]| [field(1, name), field(2, &kind)].concat();
    let node = [field(1, b"x"), field(2, b"y"), field(4, b"Relu")].concat();
    let graph = [field(1, &node), field(2, b"g"), field(11, &value(b"x")), field(12, &value(b"y"))].concat();
    // IR version 8, operators of version 13.
    [&[1 << 3, 8][..], &field(7, &graph), &field(8, &[2 << 3, 13])].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine as _;

    #[test]
    fn the_model_of_one_node_is_a_model() {
        let bytes = one_node();
        let found = crate::model::external::tensors_in(std::io::Cursor::new(&bytes), bytes.len() as u64).unwrap();
        assert!(found.is_empty());
        let Some(library) = std::env::var_os("MILLRACE_ORT_LIBRARY") else {
            println!("not run with the real engine: MILLRACE_ORT_LIBRARY names none");
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        up(Path::new(&library), false, folder.path()).unwrap();
        let environment = load_library(Path::new(&library)).unwrap();
        let options = OrtOptions::new(vec![ExecutionProvider::CPU], 1);
        let engine = OrtEngine::load(environment, &folder.path().join("warm.onnx"), &options).unwrap();
        assert_eq!(engine.signature().inputs.len(), 1);
    }
}
